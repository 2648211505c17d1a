"""Batches of images as the metrics take them: uint8 in [0, 255], or float in [-1, 1]."""

import numpy as np

from tf_cyclegan.data.images import to_uint8


def uint8_batch(name, images):
    """Images in 8 bits, as a PNG file holds them.

    Args:
        name: str, what errors call the argument.
        images: array or eager tensor `(batch, height, width, channels)`, uint8, or float in [-1, 1], which is rounded.

    Returns:
        uint8 array of the same shape.

    Raises:
        ValueError: if the argument is no batch of images.
    """
    images = _batch(name, images)
    return images if images.dtype == np.uint8 else to_uint8(images)


def float_batch(name, images):
    """Images in [-1, 1] and float64, not rounded.

    Args:
        name, images: as in `uint8_batch`.

    Returns:
        float64 array of the same shape.

    Raises:
        ValueError: if the argument is no batch of images.
    """
    images = _batch(name, images)
    return images / 127.5 - 1 if images.dtype == np.uint8 else images.astype(np.float64)


def float_pair(images_a, images_b):
    """Two batches of images of one shape, in [-1, 1] and float64.

    Raises:
        ValueError: if an argument is no batch of images, or their shapes differ.
    """
    a, b = float_batch("images_a", images_a), float_batch("images_b", images_b)
    if a.shape != b.shape:
        raise ValueError(f"`images_b` must have the shape of `images_a`. Received: shapes {b.shape} and {a.shape}")
    return a, b


def _batch(name, images):
    images = np.asarray(images)
    if images.ndim != 4 or 0 in images.shape or not (images.dtype == np.uint8 or _is_float(images.dtype)):
        raise ValueError(
            f"`{name}` must have shape (batch, height, width, channels) and be uint8, or float in [-1, 1]. "
            f"Received: shape={images.shape}, dtype={images.dtype}"
        )
    return images


def _is_float(dtype):
    return dtype.kind == "f" or dtype.name == "bfloat16"  # NumPy does not know bfloat16 as a float
