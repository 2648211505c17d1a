"""What every translation model shares: the train step, two optimizers, losses in the logs, saving."""

import inspect

import keras
import tensorflow as tf
from keras import ops

from tf_cyclegan.distribution.overrides import ReplicatedTraining, check_compile_arguments, check_loss_scaling
from tf_cyclegan.distribution.replicas import replica_count, spread_seeds
from tf_cyclegan.image_pool import ImagePool
from tf_cyclegan.models.augmentation import augmented, draw_augmentation
from tf_cyclegan.models.batches import CheckedBatches
from tf_cyclegan.models.freezing import freeze, frozen_layers
from tf_cyclegan.models.inference import Translating
from tf_cyclegan.models.parts import leaves_a_score
from tf_cyclegan.models.rates import FollowingRates
from tf_cyclegan.optimizers import Adam

_RANDOM_STATE = "random_state_"
# Up to which the smallest side is looked for.
_LARGEST_LEAST = 512


class TranslationModel(Translating, CheckedBatches, FollowingRates, ReplicatedTraining, keras.Model):
    """A model that translates images between two domains, trained against discriminators.

    A batch is `(images_a, images_b)`, float32 in [-1, 1], `(batch, height, width, channels)`. A subclass has:

    - `directions`, `("ab", "ba")` or `("ab",)`, and `generator(direction)`;
    - `generators` and `discriminators`, the lists of networks that the two optimizers train;
    - `loss_names`, the names of all its losses, as they stand in the logs;
    - `forward(batch, training)`, a dict of images;
    - `generator_losses(batch, outputs, training)` and `discriminator_losses(batch, outputs, training)`, dicts of
      weighted scalars whose sums are the objectives;
    - where it has them, `augment` and `augment_fill` of `models.augmentation`: discriminators then take what `_shown`
      makes of images;
    - and, where they are not the default, `discriminator_inputs(outputs)`, `discriminator_first`, `size_multiple`,
      `paired`, `takes_ids`, `new_optimizer(learning_rate)`, `displayed(images, domain)`,
      `to_last_stage()`, `is_finished`, `finish(dataset)` and `notes`.

    Every argument of a subclass's constructor becomes an attribute of the same name, from which `get_config` is made;
    a network stands there only if it was given.

    Args:
        name: optional name.
        dtype: dtype or policy of the networks, as `"mixed_bfloat16"`; None for the ambient policy.
        networks: dict of the `network_arguments` as they were given, None where the model makes its own.
    """

    directions = ("ab", "ba")
    discriminator_first = False
    size_multiple = 4
    # Whether image i of A belongs to image i of B in training.
    paired = False
    # Whether images of A are maps of numbers, see `networks.instance_maps`: files hold the numbers as they are.
    takes_ids = False
    # What losses of discriminators are multiplied by, as those of `losses.discriminator_adversarial_loss` are not.
    discriminator_weight = 1.0
    # How discriminators are shown images in training: as they are.
    augment = ()
    augment_fill = 0.0
    # Constructor arguments that take networks.
    network_arguments = ()
    # The functions of `networks` whose generators training can begin with.
    generator_functions = ()
    # What who exports a generator should know of it, lines of text.
    notes = ()

    def __init__(self, name=None, dtype=None, networks=None):
        super().__init__(name=name, dtype=dtype)
        self._given_networks = [key for key, network in (networks or {}).items() if network is not None]
        self.step = self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False, name="step")
        self._followed_rate = self.add_weight(
            shape=(), dtype="float32", initializer="zeros", trainable=False, autocast=False, name="followed_rate"
        )

    def build(self, input_shape=None):
        """Completes the model when its networks are there: constructors end with it."""
        if self.augment:
            self._augmentation_seed = keras.random.SeedGenerator(getattr(self, "seed", None))
        # The last of the model's own: files from before there was one have the others at the same places.
        self._rate_quotient = self.add_weight(
            shape=(), dtype="float32", initializer="ones", trainable=False, autocast=False, name="rate_quotient"
        )
        self.loss_trackers = [keras.metrics.Mean(name=name) for name in ("loss", *self.loss_names)]
        self.built = True
        self._make_notes()
        # What its maker, or the maker of a given network, has frozen already.
        self._frozen_by_itself = frozen_layers(self)
        spread_seeds(self._random_states())

    # ---- training ----

    @property
    def smallest_training_side(self):
        """Pixels that an image must have to be trained on, for networks of any size: each convolution leaves less."""
        sides = range(self.size_multiple, _LARGEST_LEAST + 1, self.size_multiple)
        fitting = (side for side in sides if all(leaves_a_score(network, side) for network in self.discriminators))
        return max(next(fitting, self.size_multiple), self.smallest_side)

    def new_optimizer(self, learning_rate=2e-4):
        """The paper's optimizer, an Adam with `beta_1` of 0.5.

        Args:
            learning_rate: float or schedule. Defaults to 2e-4.
        """
        return Adam(learning_rate)

    def displayed(self, images, domain):
        """Images of a domain as people want to see them: as they are, where nothing else is said.

        Args:
            images: float array `(batch, height, width, channels)`.
            domain: `"a"` or `"b"`.

        Returns:
            Float array in [-1, 1], `(batch, height, width, channels)`.
        """
        return images

    def to_last_stage(self):
        """Has a model that is trained in stages show its last, largest one. Others have but one."""

    # Whether nothing is left to do when training has come to an end; otherwise `finish` does it.
    is_finished = True

    def finish(self, dataset):
        """Does what a model has to do once its training has come to an end.

        Args:
            dataset: `tf.data.Dataset`, an epoch of batches.

        Returns:
            bool, whether the model has changed.
        """
        return False

    def compile(self, generator_optimizer=None, discriminator_optimizer=None, jit_compile=False, **kwargs):
        """Configures training. Without arguments it is the paper's recipe, at a constant learning rate.

        Stock callbacks that set `model.optimizer.learning_rate`, the generators', move the discriminators' rate in
        the same proportion. Where the generators' is 0 and theirs is not, each keeps its own from there on.

        Args:
            generator_optimizer, discriminator_optimizer: optimizers or their names. Default to
                `new_optimizer()`.
            jit_compile: bool, whether to compile with XLA, which is slower on CPUs. Defaults to False.
            **kwargs: `steps_per_execution`, `run_eagerly` and `auto_scale_loss`, as in `keras.Model.compile`.

        Raises:
            ValueError: for any other argument, as `loss`, or one optimizer given twice.
        """
        _check_compile_arguments(kwargs, generator_optimizer, discriminator_optimizer)
        auto_scale_loss = kwargs.get("auto_scale_loss", True)
        check_compile_arguments(jit_compile, kwargs.get("steps_per_execution", 1))
        super().compile(
            optimizer=self._prepared(generator_optimizer, self.generator_variables, auto_scale_loss),
            jit_compile=jit_compile,
            **kwargs,
        )
        self.discriminator_optimizer = self._prepared(
            discriminator_optimizer, self.discriminator_variables, auto_scale_loss
        )
        self._frozen_when_compiled = frozen_layers(self)
        self._begin_to_follow()
        self._compile_settings = {"jit_compile": jit_compile, **kwargs}

    def _prepared(self, optimizer, variables, auto_scale_loss):
        """Keras scales the loss of one optimizer only, and restores moments only into built ones."""
        optimizer = keras.optimizers.get(optimizer or self.new_optimizer())
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if self.dtype_policy.name == "mixed_float16" and auto_scale_loss and not scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        check_loss_scaling(optimizer)
        optimizer.build(variables)
        return optimizer

    def get_compile_config(self):
        if not self.compiled:
            return None
        optimizers = {"generator_optimizer": self.optimizer, "discriminator_optimizer": self.discriminator_optimizer}
        serialized = {name: keras.saving.serialize_keras_object(value) for name, value in optimizers.items()}
        frozen = self._frozen_when_compiled
        changed = {"frozen": frozen} if frozen != frozen_layers(self) else {}
        return {**serialized, **self._compile_settings, **changed}

    def compile_from_config(self, config):
        """Optimizers hold moments of what was trainable when they were made, which may be otherwise now."""
        arguments = {name: keras.saving.deserialize_keras_object(value) for name, value in config.items()}
        now = frozen_layers(self)
        freeze(self, arguments.pop("frozen", now))
        self.compile(**arguments)
        freeze(self, now)

    @property
    def generator_optimizer(self):
        return self.optimizer

    @property
    def generator_variables(self):
        return [variable for network in self.generators for variable in network.trainable_variables]

    @property
    def discriminator_variables(self):
        return [variable for network in self.discriminators for variable in network.trainable_variables]

    def discriminator_inputs(self, outputs):
        """What of `forward`'s images the discriminators are trained on: a model with a pool exchanges them here."""
        return outputs

    def _drawn_augmentation(self, images, training):
        """How a discriminator is shown a batch: an empty draw, without a random state that moves, is as it is."""
        if not (training and self.augment):
            return {}
        return draw_augmentation(self.augment, ops.shape(images), self._augmentation_seed)

    def _shown(self, images, training):
        """Images as a discriminator is shown them: in training augmented, each call with a draw of its own."""
        return augmented(images, self._drawn_augmentation(images, training), self.augment_fill)

    def train_step(self, data):
        batch = self._unpacked(data)
        self._follow_rate()
        losses = {}
        with tf.GradientTape() as tape:
            outputs = self._forward(batch, training=True)
            if self.discriminator_first:
                with tape.stop_recording():
                    losses |= self._update_discriminators(batch, outputs)
            generator_losses = self.generator_losses(batch, outputs, training=True)
            objective = self._objective(generator_losses)
            scaled = self.optimizer.scale_loss(_share(objective))
        self.optimizer.apply(tape.gradient(scaled, self.generator_variables), self.generator_variables)
        if not self.discriminator_first:
            losses |= self._update_discriminators(batch, outputs)
        self.step.assign_add(1)
        return self._logs({"loss": objective, **generator_losses, **losses})

    def _update_discriminators(self, batch, outputs):
        inputs = {name: tf.stop_gradient(images) for name, images in self.discriminator_inputs(outputs).items()}
        with tf.GradientTape() as tape:
            losses = self.discriminator_losses(batch, inputs, training=True)
            scaled = self.discriminator_optimizer.scale_loss(_share(self._objective(losses)))
        if losses:
            gradients = tape.gradient(scaled, self.discriminator_variables)
            self.discriminator_optimizer.apply(gradients, self.discriminator_variables)
        return losses

    def test_step(self, data):
        batch = self._unpacked(data)
        outputs = self._forward(batch, training=False)
        losses = self.generator_losses(batch, outputs, training=False)
        discriminator_losses = self.discriminator_losses(batch, outputs, training=False)
        return self._logs({"loss": self._objective(losses), **losses, **discriminator_losses})

    @property
    def metrics(self):
        """Each name once: Keras has a `loss` of its own, which nothing updates here."""
        return list({metric.name: metric for metric in super().metrics}.values())

    def _forward(self, batch, training):
        """Own networks may answer in half precision; losses and pools are computed in full."""
        return {name: self._wide(images) for name, images in self.forward(batch, training).items()}

    def _wide(self, images):
        return ops.cast(images, self.dtype_policy.variable_dtype)

    def _objective(self, losses):
        return ops.sum(ops.stack(list(losses.values()))) if losses else ops.zeros(())

    def _logs(self, losses):
        trackers = [tracker for tracker in self.loss_trackers if tracker.name in losses]
        for tracker in trackers:
            tracker.update_state(losses[tracker.name])
        return {tracker.name: tracker.result() for tracker in trackers}

    # ---- saving ----

    def _random_states(self):
        """The variables behind every random choice: pools, dropout, penalties, augmentations."""
        return [variable for variable in self.variables if variable.path.endswith("seed_generator_state")]

    @property
    def _pools(self):
        return [
            layer for layer in self._flatten_layers(include_self=False) if isinstance(layer, ImagePool) and layer.size
        ]

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

    def save_own_variables(self, store):
        """Keras saves no random states; without them a loaded model would train on differently."""
        super().save_own_variables(store)
        for index, state in enumerate(self._random_states()):
            store[f"{_RANDOM_STATE}{index}"] = state.numpy()

    def load_own_variables(self, store):
        entries = {key: store[key] for key in store.keys() if not key.startswith(_RANDOM_STATE)}
        entries.setdefault(str(len(self._trainable_variables) + len(self._non_trainable_variables) - 1), 1.0)
        super().load_own_variables(entries)
        for index, state in enumerate(self._random_states()):
            if f"{_RANDOM_STATE}{index}" in store.keys():
                state.assign(store[f"{_RANDOM_STATE}{index}"])
        spread_seeds(self._random_states())

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


def _share(objective):
    """A replica's part of the objective: losses are means over its images, and the gradients of replicas are summed."""
    replicas = replica_count()
    return objective if replicas == 1 else objective / replicas


def _serialized(value):
    plain = value is None or isinstance(value, (bool, int, float, str, tuple, list))
    return value if plain else keras.saving.serialize_keras_object(value)


def _is_object(value):
    return isinstance(value, dict) and "class_name" in value


def _check_compile_arguments(kwargs, generator_optimizer, discriminator_optimizer):
    unknown = set(kwargs) - {"steps_per_execution", "run_eagerly", "auto_scale_loss"}
    if unknown:
        raise ValueError(
            f"`{min(unknown)}` is no argument of this model's `compile`: the losses are settings of the model, the "
            "optimizers are `generator_optimizer` and `discriminator_optimizer`"
        )
    if generator_optimizer is not None and generator_optimizer is discriminator_optimizer:
        raise ValueError("`discriminator_optimizer` must be another object than `generator_optimizer`")
