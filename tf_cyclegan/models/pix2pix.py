"""pix2pix: translation learned from pairs; the discriminator sees question and answer together."""

import keras
import tensorflow as tf
from keras import ops

from tf_cyclegan.models import building, losses
from tf_cyclegan.models.any_size import smallest_side
from tf_cyclegan.models.roles import Paired
from tf_cyclegan.networks.blocks import check_image_shape
from tf_cyclegan.networks.layers import INFERENCE_STATISTICS
from tf_cyclegan.settings.checks import check_choice
from tf_cyclegan.settings.fields import documented
from tf_cyclegan.settings.models import Pix2PixSettings

DIRECTIONS = ("ab", "ba")
_JUDGES = [builder.__name__ for builder in building.DISCRIMINATORS.values()]


@keras.saving.register_keras_serializable(package="tf_cyclegan")
@documented(Pix2PixSettings)
class Pix2Pix(Paired):
    """Learns to translate from pairs of images: the first of a pair is the question, the second the answer.

    The discriminator sees both together, `D(a, b)`. The generator minimizes, for vanilla,

        lambda_adversarial * mean(-log sigmoid(D(a, G(a))))        `adversarial_ab`
        + lambda_l1 * mean(|G(a) - b|)                             `l1_ab`

    The discriminator is updated before the generator. With direction `"ba"` the names end in `_ba`, and `b` is the
    question. Dropout is off in `translate`, so that the same image always gets the same answer.

    Args:
        image_shape: `(height, width, channels)` of domain A. Height and width may be None when `pool_size` is 0 and
            `downsamplings` is given. Defaults to `(256, 256, 3)`.
        channels_b: int, channels of domain B. Defaults to the channels of A.
        {settings}
        seed: optional int for the pool, the gradient penalty and `augment`. Defaults to None.
        generator_network, discriminator_network: own networks instead of the built ones; the discriminator takes the
            channels of question and answer, in this order.
        name: optional name.
        dtype: dtype or policy, as `"mixed_bfloat16"`; None for the ambient policy.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> model = Pix2Pix(image_shape=(64, 64, 3), filters=16)
        >>> model.compile()
        >>> model.fit(load_dataset("emoji/lines", batch_size=4))  # doctest: +SKIP

    Reference:
        [Isola et al., 2016](https://arxiv.org/abs/1611.07004)
    """

    discriminator_first = True
    generator_functions = ("unet_generator", "resnet_generator")
    network_arguments = ("generator_network", "discriminator_network")

    def __init__(
        self,
        image_shape=(256, 256, 3),
        channels_b=None,
        direction="ab",
        generator_type="unet",
        filters=64,
        downsamplings=None,
        residual_blocks=9,
        padding="reflect",
        upsampling="deconvolution",
        normalization="batch",
        inference_statistics="image",
        dropout=0.5,
        dropout_placement="reference",
        initializer="normal",
        discriminator_type="patch",
        discriminator_filters=64,
        discriminator_layers=3,
        lambda_l1=100.0,
        lambda_adversarial=1.0,
        lambda_gradient_penalty=10.0,
        gan_mode="vanilla",
        pool_size=0,
        seed=None,
        generator_network=None,
        discriminator_network=None,
        augment=(),
        augment_fill=0.0,
        name=None,
        dtype=None,
        full_size_skip=False,
    ):
        arguments = locals()
        super().__init__(name, dtype, arguments)
        self._keep(arguments)
        self._check_settings()
        self.downsamplings = building.checked_downsamplings(generator_type, downsamplings, self.image_shape)
        self.size_multiple = 2**self.downsamplings

        asked_shape = (*self.image_shape[:2], self.channels[direction[0]])
        self.generator_network = building.build_network(generator_network, asked_shape) or building.new_generator(
            self, self.channels[direction[0]], self.channels[self._target], f"generator_{direction}"
        )
        self.discriminator_network = building.build_network(
            discriminator_network, self._pair_shape
        ) or building.new_discriminator(self, self._pair_shape, f"discriminator_{self._target}")
        if gan_mode == "wgangp":
            building.check_no_batch_normalization(self.discriminators)
        self.pool = building.new_pool(self, self._pair_shape, f"pool_{self._target}")
        self._penalty_seed = keras.random.SeedGenerator(seed)
        self.build()

    def _check_settings(self):
        check_image_shape(self.image_shape)
        check_choice("direction", self.direction, DIRECTIONS)
        check_choice("generator_type", self.generator_type, building.GENERATORS)
        check_choice("inference_statistics", self.inference_statistics, INFERENCE_STATISTICS)
        check_choice("discriminator_type", self.discriminator_type, building.DISCRIMINATORS)
        building.check_common_settings(self, losses.GAN_MODES)
        building.check_loss_weights(self, ("lambda_l1", "lambda_adversarial"), ("lambda_gradient_penalty",))

    @classmethod
    def settings_of(cls, found):
        """A generator and a discriminator of question and answer make a pix2pix."""
        generator, discriminator = found.generator, found.parts.get("discriminator")
        if generator is None or discriminator is None or found.label_classes:
            return None
        if discriminator.architecture.function not in _JUDGES or discriminator.channels[0] != sum(generator.channels):
            return None
        own, channels, made = {}, found.channels(), generator.architecture.settings
        if made["normalization"] != discriminator.architecture.settings["normalization"]:
            own["discriminator_network"] = discriminator.architecture.build(name=f"discriminator_{found.way[1]}")
        return {
            "image_shape": (*found.size, channels["a"]),
            "channels_b": channels["b"],
            "direction": found.way,
            "inference_statistics": made.get("inference_statistics", "moving"),
            **own,
        }

    # ---- the contract of a model ----

    @property
    def smallest_side(self):
        return smallest_side(self.size_multiple, map_side=1 if self.generator_type == "unet" else 2)

    @property
    def loss_names(self):
        names = [f"l1_{self.direction}"] * bool(self.lambda_l1)
        if self.lambda_adversarial:
            names += [f"adversarial_{self.direction}", f"discriminator_{self._target}"]
            names += [f"gradient_penalty_{self._target}"] * (self.gan_mode == "wgangp")
        return sorted(names)

    @property
    def notes(self):
        if self.normalization == "batch" and self.inference_statistics == "image":
            return (
                "Batch normalization takes the statistics of each image alone, as in training with batches of one.",
            )
        return ()

    def forward(self, batch, training):
        question, _ = self._question_and_answer(batch)
        fake = self.generator_network(question, training=training)
        return {"fake": fake, "fake_pair": self._pair(question, fake)}

    def generator_losses(self, batch, outputs, training=True):
        _, answer = self._question_and_answer(batch)
        terms = {}
        if self.lambda_adversarial:
            scores = self.discriminator_network(self._shown(outputs["fake_pair"], training), training=training)
            adversarial = losses.generator_adversarial_loss(scores, self.gan_mode)
            terms[f"adversarial_{self.direction}"] = self.lambda_adversarial * adversarial
        if self.lambda_l1:
            terms[f"l1_{self.direction}"] = self.lambda_l1 * losses.reconstruction_loss(answer, outputs["fake"])
        return terms

    def discriminator_inputs(self, outputs):
        return {"fake_pair": self.pool(outputs["fake_pair"])}

    def discriminator_losses(self, batch, outputs, training=True):
        if not self.lambda_adversarial:
            return {}
        network = self.discriminator_network
        real_pair = self._shown(self._pair(*self._question_and_answer(batch)), training)
        fake_pair = self._shown(outputs["fake_pair"], training)
        # The reference judges the generated pair first; batch normalization's moving averages remember the order.
        fake_scores, real_scores = building.call_together(network, [fake_pair, real_pair], training)
        loss = losses.discriminator_adversarial_loss(real_scores, fake_scores, self.gan_mode)
        terms = {f"discriminator_{self._target}": loss}
        # A penalty in a test would move the random state, and change the training that follows.
        if self.gan_mode == "wgangp" and training:
            penalty = losses.gradient_penalty(network, real_pair, fake_pair, self._penalty_seed)
            terms[f"gradient_penalty_{self._target}"] = self.lambda_gradient_penalty * penalty
        return terms

    def _shown(self, pair, training):
        draw = self._drawn_augmentation(pair, training)
        if not draw:
            return pair
        question, answer = tf.split(pair, [-1, self.channels[self._target]], axis=-1)
        return self._pair(*self._shown_pair(question, answer, draw))

    def _pair(self, question, answer):
        return ops.concatenate([question, ops.cast(answer, question.dtype)], axis=-1)
