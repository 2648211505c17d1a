"""How images come to the size of a network: results depend on it, so a rule has a name that goes with every number."""

import numpy as np
import tensorflow as tf

from tf_cyclegan.data import images
from tf_cyclegan.settings.checks import check_choice

RESIZE_RULES = ("legacy_pytorch", "clean")


def resize_image(image, size, rule="legacy_pytorch"):
    """Brings an image to the size of a network.

    Args:
        image: uint8 array `(height, width, channels)`.
        size: `(height, width)` wanted, in pixels.
        rule: `"legacy_pytorch"`, bilinear without antialiasing, as pytorch-fid; or `"clean"`, PIL's antialiased bicubic
            in float32, channel by channel, as clean-fid. Defaults to `"legacy_pytorch"`.

    Returns:
        float32 array `(height, width, channels)` in [0, 255], not rounded.

    Raises:
        ValueError: if `rule` is unknown.

    Reference:
        [Parmar et al., 2022](https://arxiv.org/abs/2104.11222)
    """
    check_choice("rule", rule, RESIZE_RULES)
    image = np.asarray(image, np.float32)
    if rule == "clean":
        return images.resize(image, size)
    return np.asarray(tf.image.resize(image, size, method="bilinear", antialias=False))


def inception_scale(rule):
    """What brings [0, 255] to the numbers that Inception takes: the projects behind the rules differ by half a level.

    Args:
        rule: one of `RESIZE_RULES`.

    Returns:
        Function of an array.
    """
    if rule == "clean":
        return lambda pixels: (pixels - 128) / 128
    return lambda pixels: pixels / 127.5 - 1
