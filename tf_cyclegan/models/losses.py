"""The losses as pure functions from tensors to one scalar, in at least float32; how adversarial losses are read."""

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from tf_cyclegan.settings.checks import check_choice

GAN_MODES = ("lsgan", "vanilla", "hinge", "wgangp")
# A discriminator has won if its loss is below the first number and the generator's loss is above the second. Balanced
# losses are 0.25 and 0.25 for lsgan, 0.69 and 0.69 for vanilla, 2 and 0 for hinge. A critic's losses have no bounds.
WON = {"lsgan": (0.02, 0.8), "vanilla": (0.05, 3.0), "hinge": (0.05, 0.95)}

# For relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of VGG19.
_PERCEPTUAL_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)


def generator_adversarial_loss(fake_scores, gan_mode="lsgan"):
    """The generator's loss for images that the discriminator does not take for real.

    Args:
        fake_scores: float tensor of any shape, the discriminator's raw scores (no sigmoid) of generated images; or a
            list of them, one a scale, whose losses are summed.
        gan_mode: `"lsgan"` (least squares), `"vanilla"` (non-saturating cross entropy), `"hinge"` or `"wgangp"`.
            Defaults to `"lsgan"`.

    Returns:
        Scalar. For lsgan `mean((D(G(x)) - 1)^2)`.

    Raises:
        ValueError: if `gan_mode` is unknown.

    Reference:
        [Mao et al., 2016](https://arxiv.org/abs/1611.04076), [Goodfellow et al., 2014](https://arxiv.org/abs/1406.2661),
        [Lim and Ye, 2017](https://arxiv.org/abs/1705.02894), [Gulrajani et al., 2017](https://arxiv.org/abs/1704.00028)
    """
    check_choice("gan_mode", gan_mode, GAN_MODES)
    if isinstance(fake_scores, (list, tuple)):
        return sum(generator_adversarial_loss(scores, gan_mode) for scores in fake_scores)
    fake_scores = _wide(fake_scores)
    if gan_mode == "lsgan":
        return ops.mean(ops.square(fake_scores - 1))
    if gan_mode == "vanilla":
        return ops.mean(ops.softplus(-fake_scores))
    return -ops.mean(fake_scores)


def discriminator_adversarial_loss(real_scores, fake_scores, gan_mode="lsgan"):
    """The discriminator's loss for its mistakes on real and on generated images.

    lsgan and vanilla are halved, as in section 4 of the CycleGAN paper; hinge and wgangp are as in their papers.

    Args:
        real_scores: float tensor of any shape, raw scores of real images; or a list of them, one a scale, whose losses
            are summed.
        fake_scores: raw scores of generated images, of the same structure.
        gan_mode: as in `generator_adversarial_loss`. Defaults to `"lsgan"`.

    Returns:
        Scalar. For lsgan `(mean((D(y) - 1)^2) + mean(D(G(x))^2)) / 2`.

    Raises:
        ValueError: if `gan_mode` is unknown.
    """
    check_choice("gan_mode", gan_mode, GAN_MODES)
    if isinstance(real_scores, (list, tuple)):
        pairs = zip(real_scores, fake_scores, strict=True)
        return sum(discriminator_adversarial_loss(real, fake, gan_mode) for real, fake in pairs)
    real_scores, fake_scores = _wide(real_scores), _wide(fake_scores)
    if gan_mode == "lsgan":
        return 0.5 * (ops.mean(ops.square(real_scores - 1)) + ops.mean(ops.square(fake_scores)))
    if gan_mode == "vanilla":
        return 0.5 * (ops.mean(ops.softplus(-real_scores)) + ops.mean(ops.softplus(fake_scores)))
    if gan_mode == "hinge":
        return ops.mean(ops.relu(1 - real_scores)) + ops.mean(ops.relu(1 + fake_scores))
    return ops.mean(fake_scores) - ops.mean(real_scores)


def gradient_penalty(discriminator, real_images, fake_images, seed=None):
    """How far the discriminator's slope is from 1 between real and generated images: `E[(||grad D(x^)||_2 - 1)^2]`.

    The gradient of the sum of an image's scores, at one random point `x^` on the line between each pair.

    Args:
        discriminator: callable, images to scores; differentiated twice.
        real_images, fake_images: float tensors of one shape, `(batch, height, width, channels)`.
        seed: int or `keras.random.SeedGenerator` for the random points. Defaults to None.

    Returns:
        Scalar, float32 or wider, without its weight (10 in the paper).

    Reference:
        [Gulrajani et al., 2017](https://arxiv.org/abs/1704.00028), equation 3.
    """
    batch = ops.shape(real_images)[0]
    epsilon = keras.random.uniform((batch, 1, 1, 1), dtype=real_images.dtype, seed=seed)
    points = epsilon * real_images + (1 - epsilon) * fake_images
    with tf.GradientTape() as tape:
        tape.watch(points)
        scores = ops.sum(_wide(discriminator(points)))
    gradient = ops.reshape(tape.gradient(scores, points), (batch, -1))
    # The square root has no slope at 0: a constant discriminator would make NaN of the whole step.
    norm = ops.sqrt(ops.sum(ops.square(gradient), axis=1) + 1e-16)
    return ops.mean(ops.square(norm - 1))


def reconstruction_loss(images, reconstructed):
    """Mean absolute difference: the cycle, identity and L1 losses of the papers.

    Args:
        images, reconstructed: float tensors of one shape.

    Returns:
        Scalar `mean(|reconstructed - images|)`.
    """
    return ops.mean(ops.abs(_wide(reconstructed) - _wide(images)))


def feature_matching_loss(real_scales, fake_scales):
    """How far the discriminators' features of generated images are from the features of real images.

    Args:
        real_scales, fake_scales: lists of lists of tensors, outputs of a multi-scale discriminator. The scores, which
            are last, do not count; no gradient goes through the real ones.

    Returns:
        Scalar: for each scale 4 times the mean of `mean(|real - fake|)` over its layers; of these the mean.

    Reference:
        [Wang et al., 2017](https://arxiv.org/abs/1711.11585), section 3.3.
    """
    terms = [
        4 / len(real[:-1]) * sum(map(_distance, real[:-1], fake[:-1]))
        for real, fake in zip(real_scales, fake_scales, strict=True)
    ]
    return sum(terms) / len(terms)


def perceptual_loss(network, real, fake):
    """How far VGG19's features of generated images are from the features of real images.

    Args:
        network: images of 3 channels to the list of `networks.vgg.vgg19_features`.
        real, fake: float tensors `(batch, height, width, 1 or 3)` in [-1, 1]. No gradient goes through the real ones.

    Returns:
        Scalar: the weighted sum of `mean(|real - fake|)` over the layers, deep ones most.
    """
    found = [network(tf.image.grayscale_to_rgb(x) if x.shape[-1] == 1 else x, training=False) for x in (real, fake)]
    return sum(w * _distance(r, f) for w, r, f in zip(_PERCEPTUAL_WEIGHTS, *found, strict=True))


def _distance(real, fake):
    return reconstruction_loss(ops.stop_gradient(real), fake)


def _wide(x):
    """Half precision as float32: a mean over an image needs more than 8 bits."""
    x = ops.convert_to_tensor(x)
    return x if keras.backend.standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")


@dataclasses.dataclass(frozen=True)
class Adversaries:
    """How to read the adversarial losses of a model.

    Args:
        won: pair of floats: a discriminator has won if its loss is below the first and the generator's loss is above
            the second. None for losses without bounds, as of a critic. Defaults to None.
        discriminator_scale: float, factor of the logged loss of a discriminator. Defaults to 1.
        adversarial_scale: float, factor of the logged loss of a generator; 0 if there is no such loss. Defaults to 1.
    """

    won: tuple | None = None
    discriminator_scale: float = 1.0
    adversarial_scale: float = 1.0

    def unscaled(self, discriminator_loss, adversarial_loss):
        """The pair of logged losses without their factors, to compare with `won`."""
        return discriminator_loss / self.discriminator_scale, adversarial_loss / self.adversarial_scale

    def verdict(self, discriminator_loss, adversarial_loss, domain):
        """A sentence that says whether the discriminator has won, from the losses of an epoch.

        Args:
            discriminator_loss, adversarial_loss: the logged floats, or None if there is no such loss.
            domain: `"a"` or `"b"`, the domain that the discriminator judges.

        Returns:
            str, `""` if the discriminator has not won, or None if the losses do not tell.
        """
        if discriminator_loss is None or adversarial_loss is None or not self.adversarial_scale:
            return None
        discriminator, adversarial = self.unscaled(discriminator_loss, adversarial_loss)
        if self.won is None or not (discriminator < self.won[0] and adversarial > self.won[1]):
            return ""
        return (
            f"The discriminator of domain {domain.upper()} has won: its loss is {discriminator:.3g} and the "
            f"generator's {adversarial:.3g}"
        )
