"""CycleGAN: unpaired translation by cycle consistency."""

import keras

from tf_cyclegan.models import building, losses
from tf_cyclegan.models.any_size import smallest_side
from tf_cyclegan.models.roles import TwoWay
from tf_cyclegan.networks.blocks import check_image_shape
from tf_cyclegan.settings.checks import check_choice
from tf_cyclegan.settings.fields import documented
from tf_cyclegan.settings.models import CycleGANSettings

_POOL_SIZE = 50
_NETWORKS = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")


@keras.saving.register_keras_serializable(package="tf_cyclegan")
@documented(CycleGANSettings)
class CycleGAN(TwoWay):
    """Learns to translate between two sets of images without pairs of images.

    `generator_ab` translates A to B, `generator_ba` B to A; `discriminator_a` judges domain A, `discriminator_b`
    domain B. The generators minimize, for lsgan,

        lambda_adversarial * mean((D_b(G_ab(a)) - 1)^2)                        `adversarial_ab`
        + lambda_cycle[0] * mean(|G_ba(G_ab(a)) - a|)                          `cycle_a`, forward
        + lambda_identity * lambda_cycle[0] * mean(|G_ba(a) - a|)              `identity_a`

    and the same with A and B exchanged, with `lambda_cycle[1]`. A term whose weight is 0 is not computed. The paper's
    ablations are settings: cycle alone is `lambda_adversarial=0`, GAN alone `lambda_cycle=0`, GAN with the forward
    or the backward cycle `lambda_cycle=(10, 0)` or `(0, 10)`, each with `lambda_identity=0`.

    Args:
        image_shape: `(height, width, channels)` of domain A; it sizes the pools. Height and width may be None when
            `pool_size` is 0. Networks take any size. Defaults to `(256, 256, 3)`.
        channels_b: int, channels of domain B. Defaults to the channels of A.
        {settings}
        seed: optional int for the pools, the gradient penalty and `augment`. Defaults to None.
        generator_ab, generator_ba, discriminator_a, discriminator_b: own networks instead of the built ones.
        name: optional name.
        dtype: dtype or policy, as `"mixed_bfloat16"`; None for the ambient policy.

    Raises:
        ValueError: if an argument is out of its range, or two do not fit together.

    Example:
        >>> model = CycleGAN(image_shape=(64, 64, 3), filters=32, residual_blocks=6)
        >>> model.compile()
        >>> model.fit(load_dataset("emoji", batch_size=4))  # doctest: +SKIP

    Reference:
        [Zhu et al., 2017](https://arxiv.org/abs/1703.10593)
    """

    network_arguments = _NETWORKS

    generator_functions = ("resnet_generator", "global_generator", "unet_generator")

    def __init__(
        self,
        image_shape=(256, 256, 3),
        channels_b=None,
        filters=64,
        residual_blocks=9,
        normalization="instance",
        dropout=0.0,
        padding="reflect",
        upsampling="deconvolution",
        initializer="normal",
        discriminator_type="patch",
        discriminator_filters=64,
        discriminator_layers=3,
        lambda_cycle=10.0,
        lambda_identity=0.5,
        lambda_adversarial=1.0,
        lambda_gradient_penalty=10.0,
        gan_mode="lsgan",
        pool_size=50,
        seed=None,
        generator_ab=None,
        generator_ba=None,
        discriminator_a=None,
        discriminator_b=None,
        convolution_padding="explicit",
        augment=(),
        augment_fill=0.0,
        name=None,
        dtype=None,
        generator_type="resnet",
        downsamplings=None,
        full_size_skip=False,
    ):
        arguments = locals()
        super().__init__(name, dtype, arguments)
        self._keep(arguments)
        self._check_settings()
        self.downsamplings = building.checked_downsamplings(generator_type, downsamplings, self.image_shape)
        self.size_multiple = 2**self.downsamplings

        channels_a = self.image_shape[-1]
        shape_a, shape_b = ((*self.image_shape[:2], channels) for channels in (channels_a, self.channels_b))
        self.generator_ab = building.build_network(generator_ab, shape_a) or building.new_generator(
            self, channels_a, self.channels_b, "generator_ab"
        )
        self.generator_ba = building.build_network(generator_ba, shape_b) or building.new_generator(
            self, self.channels_b, channels_a, "generator_ba"
        )
        self.discriminator_a = building.build_network(discriminator_a, shape_a) or self._new_discriminator(
            channels_a, "discriminator_a"
        )
        self.discriminator_b = building.build_network(discriminator_b, shape_b) or self._new_discriminator(
            self.channels_b, "discriminator_b"
        )
        if gan_mode == "wgangp":
            building.check_no_batch_normalization(self.discriminators)
        self.pool_a = self._new_pool(channels_a, "pool_a")
        self.pool_b = self._new_pool(self.channels_b, "pool_b")
        self._penalty_seed = keras.random.SeedGenerator(seed)
        self.build()

    def _check_settings(self):
        check_image_shape(self.image_shape)
        check_choice("generator_type", self.generator_type, building.GENERATORS)
        check_choice("discriminator_type", self.discriminator_type, building.DISCRIMINATORS)
        building.check_common_settings(self, losses.GAN_MODES)
        others = ("lambda_identity", "lambda_gradient_penalty")
        building.check_loss_weights(self, ("lambda_cycle", "lambda_adversarial"), others, pair="lambda_cycle")
        if self.lambda_identity and self.channels_b != self.image_shape[-1]:
            raise ValueError(
                f"`lambda_identity` must be 0 when the domains differ in channels ({self.image_shape[-1]} and "
                f"{self.channels_b}). Received: lambda_identity={self.lambda_identity}"
            )

    def _new_discriminator(self, channels, name):
        return building.new_discriminator(self, (*self.image_shape[:2], channels), name)

    def _new_pool(self, channels, name):
        return building.new_pool(self, (*self.image_shape[:2], channels), name)

    @classmethod
    def settings_of(cls, found):
        """Two generators make a CycleGAN, with own networks if no settings describe all networks of the files."""
        if not {"generator_ab", "generator_ba"} <= found.parts.keys():
            return None
        generators = [found.parts["generator_ab"], found.parts["generator_ba"]]
        for part in generators:
            if part.architecture.function not in cls.generator_functions:
                raise ValueError(
                    "`files` must hold ResNets or U-Nets to make a CycleGAN: convert each alone. "
                    f"Received: {part.path}, a {part.architecture.function}"
                )
        channels_a, channels_b = generators[0].channels
        common = len({part.architecture.settings["normalization"] for part in generators + found.judges}) == 1
        moving = generators[0].architecture.settings.get("inference_statistics", "moving") == "moving"
        own = {role: part for role, part in found.parts.items() if role in _NETWORKS}
        if common and moving and building.same_architecture(generators) and building.same_architecture(found.judges):
            own = {}
        return {
            "image_shape": (*found.size, channels_a),
            "channels_b": channels_b,
            "pool_size": _POOL_SIZE if found.judges else 0,  # pools take 79 MB, and only training uses them
            "lambda_identity": 0.5 if channels_a == channels_b else 0.0,
            **{role: part.architecture.build(name=role) for role, part in own.items()},
        }

    # ---- the contract of a model ----

    @property
    def smallest_side(self):
        return smallest_side(self.size_multiple, map_side=1 if self.generator_type == "unet" else 2)

    @property
    def cycle_weights(self):
        """Weights of the cycles that begin in A (forward) and in B (backward)."""
        pair = isinstance(self.lambda_cycle, (tuple, list))
        return tuple(self.lambda_cycle) if pair else (self.lambda_cycle, self.lambda_cycle)

    @property
    def loss_names(self):
        names = []
        for domain, direction, cycle in zip("ab", self.directions, self.cycle_weights, strict=True):
            names += [f"adversarial_{direction}"] * bool(self.lambda_adversarial)
            names += [f"cycle_{domain}"] * bool(cycle)
            names += [f"identity_{domain}"] * bool(cycle * self.lambda_identity)
            names += [f"discriminator_{domain}"] * bool(self.lambda_adversarial)
            penalized = self.lambda_adversarial and self.gan_mode == "wgangp"
            names += [f"gradient_penalty_{domain}"] * bool(penalized)
        return sorted(names)

    def forward(self, batch, training):
        real_a, real_b = batch
        # Each generator translates the images of one domain, and should leave the images of the other as they are.
        of_ab = [real_a] + [real_b] * ("identity_b" in self.loss_names)
        of_ba = [real_b] + [real_a] * ("identity_a" in self.loss_names)
        fake_b, *identity_b = building.call_together(self.generator_ab, of_ab, training)
        fake_a, *identity_a = building.call_together(self.generator_ba, of_ba, training)
        outputs = {"fake_a": fake_a, "fake_b": fake_b}
        if "cycle_a" in self.loss_names:
            outputs["reconstructed_a"] = self.generator_ba(fake_b, training=training)
        if "cycle_b" in self.loss_names:
            outputs["reconstructed_b"] = self.generator_ab(fake_a, training=training)
        identities = {"identity_a": identity_a, "identity_b": identity_b}
        return outputs | {name: images[0] for name, images in identities.items() if images}

    def generator_losses(self, batch, outputs, training=True):
        terms = self._adversarial_losses(outputs, training)
        for domain, real, weight in zip("ab", batch, self.cycle_weights, strict=True):
            if f"reconstructed_{domain}" in outputs:
                cycle = losses.reconstruction_loss(real, outputs[f"reconstructed_{domain}"])
                terms[f"cycle_{domain}"] = weight * cycle
            if f"identity_{domain}" in outputs:
                identity = losses.reconstruction_loss(real, outputs[f"identity_{domain}"])
                terms[f"identity_{domain}"] = weight * self.lambda_identity * identity
        return terms

    def discriminator_losses(self, batch, outputs, training=True):
        terms = {}
        for domain, real in zip("ab", batch, strict=True) if self.lambda_adversarial else ():
            discriminator = getattr(self, f"discriminator_{domain}")
            real, fake = self._shown(real, training), self._shown(outputs[f"fake_{domain}"], training)
            real_scores, fake_scores = building.call_together(discriminator, [real, fake], training)
            terms[f"discriminator_{domain}"] = losses.discriminator_adversarial_loss(
                real_scores, fake_scores, self.gan_mode
            )
            # A penalty in a test would move the random state, and change the training that follows.
            if self.gan_mode == "wgangp" and training:
                penalty = losses.gradient_penalty(discriminator, real, fake, self._penalty_seed)
                terms[f"gradient_penalty_{domain}"] = self.lambda_gradient_penalty * penalty
        return terms
