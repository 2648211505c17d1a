"""Metrics of pairs: how close translations are to the right answers."""

import math

import numpy as np
from scipy import ndimage

from tf_cyclegan.evaluation.metrics.image_batches import float_batch, float_pair
from tf_cyclegan.settings.checks import one_line

_WINDOW = 11  # pixels
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03


def mean_absolute_difference(images_a, images_b):
    """Mean absolute difference of two images (L1), in the units of [-1, 1]: 127.5 times it is in levels of 255.

    Args:
        images_a: array `(batch, height, width, channels)`, uint8, or float in [-1, 1].
        images_b: array of the same shape.

    Returns:
        float64 array `(batch,)` in [0, 2].

    Raises:
        ValueError: if an argument is no batch of images, or their shapes differ.
    """
    a, b = float_pair(images_a, images_b)
    return np.abs(a - b).mean(axis=(1, 2, 3))


def psnr(images_a, images_b):
    """Peak signal-to-noise ratio in decibels: `10 log10(peak^2 / mean squared error)`.

    Args:
        images_a: array `(batch, height, width, channels)`, uint8, or float in [-1, 1].
        images_b: array of the same shape.

    Returns:
        float64 array `(batch,)`, infinite where the images are equal.

    Raises:
        ValueError: if an argument is no batch of images, or their shapes differ.

    Example:
        >>> black = np.zeros((1, 4, 4, 3), np.uint8)
        >>> psnr(black, black + np.uint8(255)).tolist()
        [0.0]
    """
    a, b = float_pair(images_a, images_b)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(4 / ((a - b) ** 2).mean(axis=(1, 2, 3)))


def ssim(images_a, images_b):
    """Structural similarity with a Gaussian window of 11x11 and sigma 1.5, the mean over pixels and channels.

    Args:
        images_a: array `(batch, height, width, channels)`, uint8, or float in [-1, 1], of at least 11 pixels a side.
        images_b: array of the same shape.

    Returns:
        float64 array `(batch,)` in [-1, 1], 1 where the images are equal.

    Raises:
        ValueError: if an argument is no batch of images, their shapes differ, or they are smaller than the window.

    Reference:
        [Wang et al., 2004](https://doi.org/10.1109/TIP.2003.819861)
    """
    a, b = float_pair(images_a, images_b)
    if min(a.shape[1:3]) < _WINDOW:
        raise ValueError(f"`images_a` must be at least {_WINDOW} pixels high and wide. Received: shape {a.shape}")
    a, b = (a + 1) / 2, (b + 1) / 2
    mean_a, mean_b = _blurred(a), _blurred(b)
    variances = _blurred(a * a) - mean_a**2 + _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _K1**2) / (mean_a**2 + mean_b**2 + _K1**2)
    structure = (2 * covariance + _K2**2) / (variances + _K2**2)
    return (luminance * structure).mean(axis=(1, 2, 3))


def perceptual_distance(images_a, images_b, network=None):
    """Distance of the features of a network, in the manner of LPIPS but without its learned weights.

    The features of each pixel of a layer are scaled to length 1. Their squared differences are summed over channels,
    and averaged over pixels and over layers. LPIPS weights each channel by the judgments of people, so that its numbers
    are not comparable.

    Args:
        images_a: array `(batch, height, width, 3)`, uint8, or float in [-1, 1].
        images_b: array of the same shape.
        network: callable of float32 images in [-1, 1] that returns features `(batch, height, width, channels)` or a
            list of them. Defaults to `tf_cyclegan.networks.vgg.vgg19_features()`, whose weights Keras downloads.

    Returns:
        float64 array `(batch,)` in [0, 4].

    Raises:
        ValueError: if an argument is no batch of images, their shapes differ, or VGG19's weights are unavailable.

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1801.03924)
    """
    a, b = float_pair(images_a, images_b)
    network = network or _vgg19()
    layers = zip(_normalized_features(network, a), _normalized_features(network, b), strict=True)
    return np.mean([((x - y) ** 2).sum(axis=-1).mean(axis=(1, 2)) for x, y in layers], axis=0)


def _vgg19():
    from tf_cyclegan.networks import vgg

    try:
        return vgg.vgg19_features(dtype="float32")
    except vgg.WeightsUnavailable as error:
        reason = one_line(error.__cause__)
        raise vgg.WeightsUnavailable(
            "`network` must be given where Keras's VGG19 cannot be downloaded, as `vgg19_features(weights=FILE)`. "
            f"Received: None ({reason})"
        ) from error


def _normalized_features(network, images):
    outputs = network(images.astype(np.float32))
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    layers = [float_batch("network", output) for output in outputs]
    return [x / np.sqrt((x * x).sum(axis=-1, keepdims=True) + 1e-20) for x in layers]


def _blurred(images):
    """Gaussian means of the windows that lie inside the images."""
    radius = _WINDOW // 2
    weights = [math.exp(-(x**2) / (2 * _SIGMA**2)) for x in range(-radius, radius + 1)]
    weights = np.array(weights) / sum(weights)
    for axis in (1, 2):
        images = ndimage.correlate1d(images, weights, axis)
    return images[:, radius:-radius, radius:-radius]
