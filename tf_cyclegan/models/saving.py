"""Saving: the contents of a model's `.keras` file, and the weight files of other implementations for its networks."""

import inspect

import keras

from tf_cyclegan.models.compiling import freeze, frozen_layers
from tf_cyclegan.models.image_pool import ImagePool
from tf_cyclegan.models.replicas import spread_seeds

_RANDOM_STATE = "random_state_"


class Saving:
    """Saves a model and loads it; a mixin before `keras.Model`.

    Every argument of a model's constructor is an attribute of the same name, and `get_config` collects these
    attributes. It has only those networks that the user gave, whose names are in `_given_networks`.
    """

    def get_config(self):
        """The constructor's arguments in JSON's types."""
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
        """Saves random states too, which Keras leaves out: without them a loaded model would train differently."""
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
        # Keras saves a network under the first attribute that holds it, which must not be this list.
        return [name for name in super().__dir__() if name != "auxiliaries"]

    def gather_replicas(self, keep=True):
        """Gathers the replicas' own variables before `save`; all workers must call it at the same time.

        Only training with several processes needs it.

        Args:
            keep: bool, whether this worker is to save. Defaults to True.
        """
        for pool in self._pools:
            pool.of_replicas.gather(keep)

    @property
    def untracked_variables(self):
        """Variables that `save` stores and Keras does not track, for `callbacks.Snapshot`."""
        return [variable for pool in self._pools for variable in pool.of_replicas.variables()]

    def _random_states(self):
        """The variables from which pools, dropout, penalties and augmentations draw."""
        return [variable for variable in self.variables if variable.path.endswith("seed_generator_state")]

    @property
    def _pools(self):
        return [
            layer for layer in self._flatten_layers(include_self=False) if isinstance(layer, ImagePool) and layer.size
        ]


class WeightFiles:
    """Weight files of other implementations, which the command `convert` reads and writes; a mixin."""

    def networks_by_role(self):
        """Dict of the roles of networks in weight files, see `weights.weight_files`, to the networks."""
        return {f"generator_{direction}": self.generator(direction) for direction in self.directions}

    def weight_files(self):
        """The weight files that the PyTorch implementation of the model writes.

        Returns:
            Dict of files to their contents. A file is a role, or a name without an ending. Its contents are a dict of
            domains, or of `""`, to the list of networks in the file.
        """
        return {role: {"": [network]} for role, network in self.networks_by_role().items()}

    @classmethod
    def settings_of(cls, found):
        """The constructor's arguments that make a model from the networks in weight files.

        Args:
            found: `weights.import_model.Found`, whose `settings()` are the other arguments.

        Returns:
            Dict of arguments, or None if the networks belong to another kind of model.

        Raises:
            ValueError: if the networks belong to this kind of model, and do not fit together.
        """
        return None


def _serialized(value):
    plain = value is None or isinstance(value, (bool, int, float, str, tuple, list))
    return value if plain else keras.saving.serialize_keras_object(value)


def _is_object(value):
    return isinstance(value, dict) and "class_name" in value
