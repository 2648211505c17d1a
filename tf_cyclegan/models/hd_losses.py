"""What pix2pixHD compares generated and real images by: features of the discriminators and of VGG19."""

import tensorflow as tf
from keras import ops

from tf_cyclegan import losses

# Of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1.
_PERCEPTUAL_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)


def feature_matching_loss(real_scales, fake_scales):
    """How far the discriminators' features of generated images are from those of real ones.

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
    """How far VGG19's features of generated images are from those of real ones.

    Args:
        network: images of 3 channels to the list of `networks.vgg.vgg19_features`.
        real, fake: float tensors `(batch, height, width, 1 or 3)` in [-1, 1]. No gradient goes through the real ones.

    Returns:
        Scalar: the weighted sum of `mean(|real - fake|)` over the layers, deep ones most.
    """
    found = [network(tf.image.grayscale_to_rgb(x) if x.shape[-1] == 1 else x, training=False) for x in (real, fake)]
    return sum(w * _distance(r, f) for w, r, f in zip(_PERCEPTUAL_WEIGHTS, *found, strict=True))


def _distance(real, fake):
    return losses.reconstruction_loss(ops.stop_gradient(real), fake)
