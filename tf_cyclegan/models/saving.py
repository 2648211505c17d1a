"""Saving and loading of a model: its settings, the networks that were given, frozen layers and random states."""

import inspect

import keras

from tf_cyclegan.distribution.replicas import spread_seeds
from tf_cyclegan.image_pool import ImagePool
from tf_cyclegan.models.freezing import freeze, frozen_layers

_RANDOM_STATE = "random_state_"


class Saving:
    """Saves a model and loads it; a mixin that stands before `keras.Model`.

    Every argument of a model's constructor is an attribute of the same name, and `get_config` collects the attributes.
    Of the networks it takes those that were given, which `_given_networks` names.
    """

    def get_config(self):
        """The constructor's arguments in types that JSON knows."""
        given = self._given_networks
        left_out = {"self", "name", "dtype", *self.network_arguments} - set(given)
        names = [name for name in inspect.signature(type(self).__init__).parameters if name not in left_out]
        frozen = frozen_layers(self)
        return {
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            **{name: _serialized(getattr(self, name)) for name in names},
            **({"frozen": frozen} if set(frozen) != set(self._frozen_by_itself) else {}),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = cls(
            **{
                name: keras.saving.deserialize_keras_object(value, custom_objects) if _is_object(value) else value
                for name, value in config.items()
                if name != "frozen"
            }
        )
        if "frozen" in config:
            freeze(model, config["frozen"])
        return model

    def save_own_variables(self, store):
        """Saves random states too, which Keras does not: without them a loaded model would train on differently."""
        super().save_own_variables(store)
        for index, state in enumerate(self._random_states()):
            store[f"{_RANDOM_STATE}{index}"] = state.numpy()

    def load_own_variables(self, store):
        entries = {key: store[key] for key in store.keys() if not key.startswith(_RANDOM_STATE)}
        # Older files lack the quotient of rates, the last of the model's own weights.
        entries.setdefault(str(len(self._trainable_variables) + len(self._non_trainable_variables) - 1), 1.0)
        super().load_own_variables(entries)
        for index, state in enumerate(self._random_states()):
            if f"{_RANDOM_STATE}{index}" in store.keys():
                state.assign(store[f"{_RANDOM_STATE}{index}"])
        spread_seeds(self._random_states())

    def __dir__(self):
        # Keras saves a network under the first attribute that holds it: not the list, but the attribute of its own.
        return [name for name in super().__dir__() if name != "auxiliaries"]

    def gather_replicas(self, keep=True):
        """Fetches the variables that each replica has for itself; all workers must call it at the same time.

        `save` needs it only where several processes have replicas.

        Args:
            keep: bool, whether this worker is to save. Defaults to True.
        """
        for pool in self._pools:
            pool.of_replicas.gather(keep)

    @property
    def untracked_variables(self):
        """Variables that `save` stores and Keras does not know; a `callbacks.Snapshot` keeps them too."""
        return [variable for pool in self._pools for variable in pool.of_replicas.variables()]

    def _random_states(self):
        """The variables from which pools, dropout, penalties and augmentations draw."""
        return [variable for variable in self.variables if variable.path.endswith("seed_generator_state")]

    @property
    def _pools(self):
        return [
            layer for layer in self._flatten_layers(include_self=False) if isinstance(layer, ImagePool) and layer.size
        ]


def _serialized(value):
    plain = value is None or isinstance(value, (bool, int, float, str, tuple, list))
    return value if plain else keras.saving.serialize_keras_object(value)


def _is_object(value):
    return isinstance(value, dict) and "class_name" in value
