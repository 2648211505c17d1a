"""UNIT: unpaired translation through a latent space that both domains share."""

import keras
from keras import ops

from tf_cyclegan.models import building, losses, unit_networks
from tf_cyclegan.models.optimizers import Adam
from tf_cyclegan.models.roles import TwoWay
from tf_cyclegan.networks import four_stride_discriminator, unit_discriminator
from tf_cyclegan.networks.blocks import check_image_shape
from tf_cyclegan.settings.checks import check_choice
from tf_cyclegan.settings.fields import documented
from tf_cyclegan.settings.models import UNITSettings
from tf_cyclegan.settings.user_errors import renamed

_NETWORKS = (*unit_networks.AUTOENCODERS, "discriminator_a", "discriminator_b")
# What None stands for in each variant.
_VARIANTS = {
    "v1.1": {
        "residual_blocks": 4,
        "initializer": "kaiming",
        "discriminator_layers": 4,
        "scales": 3,
        "lambda_adversarial": 1.0,
        "lambda_kl": 0.01,
        "lambda_reconstruction": 10.0,
        "lambda_cycle_kl": 0.01,
        "lambda_cycle": 10.0,
    },
    "paper": {
        "residual_blocks": 3,
        "initializer": "normal",
        "discriminator_layers": 4,
        "scales": 1,
        "lambda_adversarial": 10.0,
        "lambda_kl": 0.1,
        "lambda_reconstruction": 100.0,
        "lambda_cycle_kl": 0.1,
        "lambda_cycle": 100.0,
    },
}
# The gradient penalty needs one map of scores, and the discriminator of v1.1 has a map for each scale.
_GAN_MODES = ("lsgan", "vanilla", "hinge")


@keras.saving.register_keras_serializable(package="tf_cyclegan")
@documented(UNITSettings)
class UNIT(TwoWay):
    """Learns two autoencoders with one latent space; it translates by encoding in one domain and decoding in the other.

    `encoder_a` computes the mean `E_a(a)` of a normal distribution of codes with a deviation of 1, and `decoder_b`
    makes an image of B of a code. Training draws the code, `z = E_a(a) + N(0, 1)`; otherwise the mean is the code.
    The generators minimize, for lsgan,

        lambda_adversarial * mean((D_b(G_b(z_a)) - 1)^2)           `adversarial_ab`
        + lambda_reconstruction * mean(|G_a(z_a) - a|)             `reconstruction_a`
        + lambda_kl * mean(E_a(a)^2)                               `kl_a`
        + lambda_cycle * mean(|G_a(z') - a|)                       `cycle_a`, with z' = E_b(G_b(z_a)) + N(0, 1)
        + lambda_cycle_kl * mean(E_b(G_b(z_a))^2)                  `cycle_kl_a`

    and the same with A and B exchanged. The discriminators minimize `mean((D_b(b) - 1)^2) + mean(D_b(G_b(z_a))^2)`,
    without CycleGAN's factor of a half. A term whose weight is 0 is not computed.

    People mean two variants by UNIT. `"v1.1"` is the authors' later implementation: separate networks for each domain,
    layer normalization in the decoders, discriminators of three scales, L2 on all weights. `"paper"` shares the
    residual blocks next to the code between the domains, and weighs its losses as the paper does.

    Args:
        image_shape: `(height, width, channels)` of domain A; it sizes the pools and tells whether discriminators fit.
            Height and width may be None when `pool_size` is 0. Networks take any size. Defaults to `(256, 256, 3)`.
        channels_b: int, channels of domain B. Defaults to the channels of A.
        {settings}
        seed: optional int for the codes, the pools and `augment`. Defaults to None.
        encoder_a, encoder_b, decoder_a, decoder_b: own networks instead of the built ones, with `variant="v1.1"` alone.
            Every decoder takes the code of every encoder.
        discriminator_a, discriminator_b: own networks, images to scores or to a list of scores.
        name: optional name.
        dtype: dtype or policy, as `"mixed_bfloat16"`; None for the ambient policy.

    Raises:
        ValueError: if an argument is out of its range, or two do not fit together.

    Example:
        >>> model = UNIT(image_shape=(64, 64, 3), filters=32)
        >>> model.compile()
        >>> model.fit(load_dataset("emoji", batch_size=4))  # doctest: +SKIP

    Reference:
        [Liu et al., 2017](https://arxiv.org/abs/1703.00848)
    """

    network_arguments = _NETWORKS
    # The reference's order. The reference encodes and decodes again for the generators, with other noise; here both
    # updates share the images of one draw, which is as good and saves four of fourteen passes through the networks.
    discriminator_first = True

    def __init__(
        self,
        image_shape=(256, 256, 3),
        channels_b=None,
        variant="v1.1",
        filters=64,
        residual_blocks=None,
        initializer=None,
        discriminator_filters=64,
        discriminator_layers=None,
        scales=None,
        lambda_adversarial=None,
        lambda_kl=None,
        lambda_reconstruction=None,
        lambda_cycle_kl=None,
        lambda_cycle=None,
        gan_mode="lsgan",
        pool_size=0,
        seed=None,
        encoder_a=None,
        encoder_b=None,
        decoder_a=None,
        decoder_b=None,
        discriminator_a=None,
        discriminator_b=None,
        augment=(),
        augment_fill=0.0,
        name=None,
        dtype=None,
    ):
        arguments = locals()
        super().__init__(name, dtype, arguments)
        check_choice("variant", variant, _VARIANTS)
        given = {name: value for name, value in arguments.items() if value is not None}
        self._keep(arguments | _VARIANTS[variant] | given)
        self._check_settings()

        channels_a = self.image_shape[-1]
        self.generator_ab, self.generator_ba = unit_networks.new_generators(self, arguments)
        shape_a, shape_b = ((*self.image_shape[:2], channels) for channels in (channels_a, self.channels_b))
        self.discriminator_a = building.build_network(discriminator_a, shape_a) or self._new_discriminator(
            channels_a, "discriminator_a"
        )
        self.discriminator_b = building.build_network(discriminator_b, shape_b) or self._new_discriminator(
            self.channels_b, "discriminator_b"
        )
        self.pool_a = building.new_pool(self, shape_a, "pool_a")
        self.pool_b = building.new_pool(self, shape_b, "pool_b")
        self._noise_seed = keras.random.SeedGenerator(seed)
        self.build()

    def _check_settings(self):
        check_image_shape(self.image_shape, self.size_multiple, smallest=2 * self.size_multiple)
        building.check_common_settings(self, _GAN_MODES)
        teaching = ("lambda_adversarial", "lambda_reconstruction", "lambda_cycle")
        building.check_loss_weights(self, teaching, ("lambda_kl", "lambda_cycle_kl"))
        if self.variant == "paper":
            self._check_fixed()

    def _check_fixed(self):
        for name in ("discriminator_layers", "scales"):
            fixed, value = _VARIANTS["paper"][name], getattr(self, name)
            if value != fixed:
                raise ValueError(
                    f"`{name}` is a setting of `variant='v1.1'` alone: with 'paper' it must be {fixed} or None. "
                    f"Received: {name}={value!r}"
                )

    def _new_discriminator(self, channels, name):
        shape = (*self.image_shape[:2], channels)
        settings = {"filters": self.discriminator_filters, "name": name, "dtype": self.dtype_policy}
        with renamed(**building.DISCRIMINATOR_SETTINGS):
            if self.variant == "paper":
                return four_stride_discriminator(shape, **settings)
            return unit_discriminator(shape, layers=self.discriminator_layers, scales=self.scales, **settings)

    @property
    def encoder_a(self):
        """The network from images of A to the means of their codes."""
        return self.generator_ab.layers[1]

    @property
    def encoder_b(self):
        """The network from images of B to the means of their codes."""
        return self.generator_ba.layers[1]

    @property
    def decoder_a(self):
        """The network from codes to images of A."""
        return self.generator_ba.layers[2]

    @property
    def decoder_b(self):
        """The network from codes to images of B."""
        return self.generator_ab.layers[2]

    @classmethod
    def settings_of(cls, found):
        """Encoders and decoders make a UNIT."""
        if not any(role.startswith(("encoder_", "decoder_")) for role in found.parts):
            return None
        if missing := sorted(set(unit_networks.AUTOENCODERS) - found.parts.keys()):
            raise ValueError(f"`files` must hold all encoders and decoders of UNIT. Missing: {', '.join(missing)}")
        encoder = found.parts["encoder_a"]
        return {
            **encoder.architecture.settings,
            "image_shape": (*found.size, encoder.channels[0]),
            "channels_b": found.parts["encoder_b"].channels[0],
            "variant": "paper" if encoder.architecture.function.startswith("shared") else "v1.1",
        }

    def networks_by_role(self):
        return {name: getattr(self, name) for name in _NETWORKS}

    def weight_files(self):
        step = int(self.step)
        if self.variant == "paper":
            names = {"E": "encoder", "G": "decoder", "D": "discriminator"}
            return {
                f"{letter}{number}_{step}": {"": [getattr(self, f"{kind}_{domain}")]}
                for letter, kind in names.items()
                for number, domain in enumerate("ab", start=1)
            }
        generators = {domain: [getattr(self, f"{kind}_{domain}") for kind in ("encoder", "decoder")] for domain in "ab"}
        discriminators = {domain: [getattr(self, f"discriminator_{domain}")] for domain in "ab"}
        return {f"gen_{step:08d}": generators, f"dis_{step:08d}": discriminators}

    # ---- the contract of a model ----

    def new_optimizer(self, learning_rate=1e-4):
        """Adam with `beta_1` of 0.5; v1.1 adds the squares of all variables with a weight of 1e-4.

        Args:
            learning_rate: float or schedule. Defaults to 1e-4.
        """
        return Adam(learning_rate, l2=0.0 if self.variant == "paper" else 1e-4)

    @property
    def loss_names(self):
        by_domain = ("kl", "reconstruction", "cycle_kl", "cycle")
        names = [f"{term}_{domain}" for term in by_domain if getattr(self, f"lambda_{term}") for domain in "ab"]
        if self.lambda_adversarial:
            names += ["adversarial_ab", "adversarial_ba", "discriminator_a", "discriminator_b"]
        return sorted(names)

    def forward(self, batch, training):
        real_a, real_b = batch
        means = {"latent_a": self.encoder_a(real_a, training=training)}
        means["latent_b"] = self.encoder_b(real_b, training=training)
        # Both decoders get the codes of one draw, as in the references.
        code_a, code_b = (self._drawn(mean, training) for mean in means.values())
        outputs = {
            **means,
            "fake_a": self.decoder_a(code_b, training=training),
            "fake_b": self.decoder_b(code_a, training=training),
        }
        if self.lambda_reconstruction:
            outputs["reconstructed_a"] = self.decoder_a(code_a, training=training)
            outputs["reconstructed_b"] = self.decoder_b(code_b, training=training)
        return outputs | self._cycles(outputs, training)

    def _cycles(self, outputs, training):
        """The codes of the translated images, and the images back in their domain; names end in that domain."""
        if not (self.lambda_cycle or self.lambda_cycle_kl):
            return {}
        latent_a = self.encoder_b(outputs["fake_b"], training=training)
        latent_b = self.encoder_a(outputs["fake_a"], training=training)
        cycles = {"cycle_latent_a": latent_a, "cycle_latent_b": latent_b}
        if self.lambda_cycle:
            cycles["cycle_a"] = self.decoder_a(self._drawn(latent_a, training), training=training)
            cycles["cycle_b"] = self.decoder_b(self._drawn(latent_b, training), training=training)
        return cycles

    def _drawn(self, mean, training):
        """A code drawn about the mean in training, `mean + N(0, 1)`; otherwise the mean."""
        if not training:
            return mean
        mean = self._wide(mean)
        return mean + keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self._noise_seed)

    def generator_losses(self, batch, outputs, training=True):
        terms = self._adversarial_losses(outputs, training)
        for domain, real in zip("ab", batch, strict=True):
            for term, image in (("reconstruction", f"reconstructed_{domain}"), ("cycle", f"cycle_{domain}")):
                if weight := getattr(self, f"lambda_{term}"):
                    terms[f"{term}_{domain}"] = weight * losses.reconstruction_loss(real, outputs[image])
            for term, latent in (("kl", f"latent_{domain}"), ("cycle_kl", f"cycle_latent_{domain}")):
                if weight := getattr(self, f"lambda_{term}"):
                    terms[f"{term}_{domain}"] = weight * divergence(outputs[latent])
        return terms

    @property
    def discriminator_weight(self):
        """2 where CycleGAN's losses have a factor of a half, which both references leave out."""
        return 2.0 if self.gan_mode in ("lsgan", "vanilla") else 1.0

    def discriminator_losses(self, batch, outputs, training=True):
        terms = {}
        for domain, real in zip("ab", batch, strict=True) if self.lambda_adversarial else ():
            discriminator = getattr(self, f"discriminator_{domain}")
            real, fake = self._shown(real, training), self._shown(outputs[f"fake_{domain}"], training)
            real_scores, fake_scores = building.call_together(discriminator, [real, fake], training)
            loss = losses.discriminator_adversarial_loss(real_scores, fake_scores, self.gan_mode)
            terms[f"discriminator_{domain}"] = self.discriminator_weight * loss
        return terms


def divergence(mean):
    """Twice the Kullback-Leibler divergence of N(mean, 1) from N(0, 1), for each number of the code.

    Args:
        mean: float tensor of any shape.

    Returns:
        Scalar `mean(mean^2)`.

    Reference:
        [Liu et al., 2017](https://arxiv.org/abs/1703.00848), equation 3.
    """
    return ops.mean(ops.square(mean))
