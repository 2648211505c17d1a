"""The base class of all translation models: their contract and their train step."""

import keras
import tensorflow as tf
from keras import ops

from tf_cyclegan.models.augmentation import Augmenting, checked_augment
from tf_cyclegan.models.batches import CheckedBatches
from tf_cyclegan.models.building import smallest_judged_side
from tf_cyclegan.models.compiling import Compiling, frozen_layers
from tf_cyclegan.models.keras_overrides import ReplicatedTraining
from tf_cyclegan.models.losses import WON, Adversaries
from tf_cyclegan.models.replicas import replica_count, spread_seeds
from tf_cyclegan.models.saving import Saving, WeightFiles
from tf_cyclegan.models.styles import Styling
from tf_cyclegan.models.translation import Translating


class TranslationModel(
    Saving, WeightFiles, Compiling, Styling, Translating, Augmenting, CheckedBatches, ReplicatedTraining, keras.Model
):
    """A model that translates images between two domains, trained against discriminators.

    A batch is a tree, see `CheckedBatches`: `(images_a, images_b)`, or with labels. A subclass has:

    - `directions`, one or both of `"ab"` and `"ba"`, and `generator(direction)`, a network from one image to one image;
    - `generators` and `discriminators`, the lists of networks that the two optimizers train;
    - `loss_names`, the names of all losses in the logs;
    - `forward(batch, training)`, which returns a dict of images;
    - `generator_losses(batch, outputs, training)` and `discriminator_losses(batch, outputs, training)`, which return
      dicts of weighted scalars; their sums are the objectives.

    It overrides further methods of this class and of its mixins where they do not fit. `models.roles` has base classes
    for models of one and of both directions.

    Every argument of a subclass's constructor becomes an attribute of the same name; the constructor ends with
    `self.build()`.

    Args:
        name: optional name.
        dtype: dtype or policy of the networks, as `"mixed_bfloat16"`; None for the ambient policy.
        networks: dict of the `network_arguments` to the networks that were given, None where the model makes its own.
    """

    directions = ("ab", "ba")
    discriminator_first = False
    size_multiple = 4
    # Whether image i of A belongs to image i of B in training.
    paired = False
    # Whether images of A are label maps, whose pixels are ids, see `networks.instance_maps`.
    takes_ids = False
    # Further networks that the generators' optimizer trains, which translate nothing; each is an attribute too.
    auxiliaries = ()
    # The names of the scalars of `measures`.
    measure_names = ()
    # The factor by which `losses.discriminator_adversarial_loss` is multiplied.
    discriminator_weight = 1.0
    # Constructor arguments that take networks.
    network_arguments = ()
    # The builders in `networks` of whose generators `--initial-model` takes the weights.
    generator_functions = ()
    # Lines for users who export a generator.
    notes = ()
    # Whether the model is complete when training has ended; otherwise `finish` completes it.
    is_finished = True
    # Number of parts of a step that do not wait for each other, and can run on different cores of a CPU.
    independent_parts = 1

    def __init__(self, name=None, dtype=None, networks=None):
        super().__init__(name=name, dtype=dtype)
        self._given_networks = [key for key in self.network_arguments if (networks or {}).get(key) is not None]
        self.step = self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False, name="step")
        self._followed_rate = self.add_weight(
            shape=(), dtype="float32", initializer="zeros", trainable=False, autocast=False, name="followed_rate"
        )

    def _keep(self, arguments):
        """Sets every argument of a constructor, given as its `locals()`, as an attribute, except the networks."""
        apart = {"self", "__class__", "name", "dtype", *self.network_arguments}
        for name, value in arguments.items():
            if name not in apart:  # a saved config has lists where the constructor takes tuples
                setattr(self, name, tuple(value) if isinstance(value, list) else value)
        self.image_shape = tuple(self.image_shape)
        if self.channels_b is None:
            self.channels_b = self.image_shape[-1]
        self.augment = checked_augment(self.augment)

    def build(self, input_shape=None):
        """Completes a model that has its networks; a constructor ends with it."""
        if self.augment:
            self._augmentation_seed = keras.random.SeedGenerator(getattr(self, "seed", None))
        # The last of the model's own weights: files of older versions lack it, and number the others the same.
        self._rate_quotient = self.add_weight(
            shape=(), dtype="float32", initializer="ones", trainable=False, autocast=False, name="rate_quotient"
        )
        self.loss_trackers = [keras.metrics.Mean(name=name) for name in ("loss", *self.loss_names, *self.measure_names)]
        self.built = True
        self._make_largest()
        # Layers that were frozen before the user could freeze any.
        self._frozen_by_itself = frozen_layers(self)
        spread_seeds(self._random_states())

    # ---- facts about a model ----

    @property
    def channels(self):
        """Dict of `"a"` and `"b"` to the channels of the images."""
        channels = self.image_shape[-1]
        return {"a": channels, "b": getattr(self, "channels_b", channels)}

    @property
    def smallest_training_side(self):
        """Smallest height and width, in pixels, of an image that generators and discriminators can train on."""
        return max(smallest_judged_side(self.discriminators, self.size_multiple), self.smallest_side)

    @property
    def generator_variables(self):
        """The variables that the generators' optimizer trains, each once: networks may share layers."""
        return _variables((*self.generators, *self.auxiliaries))

    @property
    def discriminator_variables(self):
        return _variables(self.discriminators)

    @property
    def adversaries(self):
        """The `Adversaries`, which say how to read the adversarial losses of the model."""
        won, scales = WON.get(getattr(self, "gan_mode", None)), getattr(self, "scales", 1)
        return Adversaries(won, scales * self.discriminator_weight, scales * getattr(self, "lambda_adversarial", 1.0))

    def displayed(self, images, domain):
        """Images of a domain in colors that people can read; by default the images themselves.

        Args:
            images: float array `(batch, height, width, channels)`.
            domain: `"a"` or `"b"`.

        Returns:
            Float array in [-1, 1], `(batch, height, width, channels)`.
        """
        return images

    # ---- hooks of a step, and the end of training ----

    def discriminator_inputs(self, outputs):
        """The images of `forward` that train the discriminators; a model with a pool exchanges them here."""
        return outputs

    def measures(self, batch, outputs, training=True):
        """Scalars that are logged and not minimized, a dict by `measure_names`."""
        return {}

    def after_step(self):
        """Runs after the updates of a step, for instance to average weights."""

    def to_last_stage(self):
        """Puts a model with stages of training into its last stage; other models do nothing."""

    def finish(self, dataset):
        """Completes the model after its training.

        Args:
            dataset: `tf.data.Dataset`, an epoch of batches.

        Returns:
            bool, whether the model has changed.
        """
        return False

    # ---- the steps ----

    def train_step(self, data):
        batch = self.unpack(data)
        self._follow_rate()
        losses = {}
        with tf.GradientTape() as tape:
            outputs = self._forward(batch, training=True)
            if self.discriminator_first:
                with tape.stop_recording():
                    losses |= self._update_discriminators(batch, outputs)
            generator_losses = self.generator_losses(batch, outputs, training=True)
            objective = _sum(generator_losses)
            scaled = self.optimizer.scale_loss(_share(objective))
        self.optimizer.apply(tape.gradient(scaled, self.generator_variables), self.generator_variables)
        if not self.discriminator_first:
            losses |= self._update_discriminators(batch, outputs)
        self.after_step()
        self.step.assign_add(1)
        measures = self.measures(batch, outputs, training=True)
        return self._logs({"loss": objective, **generator_losses, **losses, **measures})

    def _update_discriminators(self, batch, outputs):
        inputs = {name: tf.stop_gradient(images) for name, images in self.discriminator_inputs(outputs).items()}
        with tf.GradientTape() as tape:
            losses = self.discriminator_losses(batch, inputs, training=True)
            scaled = self.discriminator_optimizer.scale_loss(_share(_sum(losses)))
        if losses:
            gradients = tape.gradient(scaled, self.discriminator_variables)
            self.discriminator_optimizer.apply(gradients, self.discriminator_variables)
        return losses

    def test_step(self, data):
        batch = self.unpack(data)
        outputs = self._forward(batch, training=False)
        losses = self.generator_losses(batch, outputs, training=False)
        discriminator_losses = self.discriminator_losses(batch, outputs, training=False)
        measures = self.measures(batch, outputs, training=False)
        return self._logs({"loss": _sum(losses), **losses, **discriminator_losses, **measures})

    @property
    def metrics(self):
        """Metrics with each name once: Keras adds a second `loss`, which nothing updates."""
        return list({metric.name: metric for metric in super().metrics}.values())

    def _forward(self, batch, training):
        """The images of `forward` in the precision of the weights: a user's network may return half precision."""
        return {name: self._wide(images) for name, images in self.forward(batch, training).items()}

    def _wide(self, images):
        return ops.cast(images, self.dtype_policy.variable_dtype)

    def _logs(self, values):
        trackers = [tracker for tracker in self.loss_trackers if tracker.name in values]
        for tracker in trackers:
            tracker.update_state(values[tracker.name])
        return {tracker.name: tracker.result() for tracker in trackers}


def _variables(networks):
    found = {id(variable): variable for network in networks for variable in network.trainable_variables}
    return list(found.values())


def _sum(losses):
    return ops.sum(ops.stack(list(losses.values()))) if losses else ops.zeros(())


def _share(objective):
    """A replica's share of the objective: losses are means over its images, and gradients are summed over replicas."""
    replicas = replica_count()
    return objective if replicas == 1 else objective / replicas
