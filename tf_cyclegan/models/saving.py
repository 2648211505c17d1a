"""How a model is saved and comes back: its settings, own networks, what is frozen, and every random state."""

import inspect

import keras

from tf_cyclegan.distribution.replicas import spread_seeds
from tf_cyclegan.image_pool import ImagePool
from tf_cyclegan.models.freezing import freeze, frozen_layers

_RANDOM_STATE = "random_state_"


class Saving:
    """A mixin that stands before `keras.Model`.

    Every argument of a model's constructor is an attribute of the same name, from which `get_config` is made; a
    network stands there only if it was given, which `_given_networks` tells.
    """

    def get_config(self):
        """The constructor's arguments, as what JSON knows."""
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
        """Keras saves no random states; without them a loaded model would train on differently."""
        super().save_own_variables(store)
        for index, state in enumerate(self._random_states()):
            store[f"{_RANDOM_STATE}{index}"] = state.numpy()

    def load_own_variables(self, store):
        entries = {key: store[key] for key in store.keys() if not key.startswith(_RANDOM_STATE)}
        # Files from before there was a quotient of rates, the last of the model's own, lack it.
        entries.setdefault(str(len(self._trainable_variables) + len(self._non_trainable_variables) - 1), 1.0)
        super().load_own_variables(entries)
        for index, state in enumerate(self._random_states()):
            if f"{_RANDOM_STATE}{index}" in store.keys():
                state.assign(store[f"{_RANDOM_STATE}{index}"])
        spread_seeds(self._random_states())

    def __dir__(self):
        # Keras saves a network by the first of the names that it finds it by here: its own, not that of a list.
        return [name for name in super().__dir__() if name != "auxiliaries"]

    def gather_replicas(self, keep=True):
        """Fetches what each replica has for itself, for the next saving; all workers must call it at the same time.

        Where one process has all replicas, `save` does without.

        Args:
            keep: bool, whether this worker is to save. Defaults to True.
        """
        for pool in self._pools:
            pool.of_replicas.gather(keep)

    @property
    def untracked_variables(self):
        """Variables that are saved beside those that Keras knows, for what takes a snapshot."""
        return [variable for pool in self._pools for variable in pool.of_replicas.variables()]

    def _random_states(self):
        """The variables behind every random choice: pools, dropout, penalties, augmentations."""
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
