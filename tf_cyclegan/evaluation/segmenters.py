"""Segmentation networks, which find the class of each pixel of an image."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_cyclegan.data.images import to_uint8
from tf_cyclegan.settings.checks import one_line
from tf_cyclegan.weights.trained_models import load_keras_file

_SHOWN = 200  # characters of TensorFlow's words on a failure


class Segmenter:
    """A segmentation network as a function of one image.

    Args:
        network: `keras.Model` from images `(batch, height, width, 1 or 3)` to scores of classes `(batch, height, width,
            classes)`, whose height and width may be smaller than those of the images.
        name: str, its name in reports.
        value_range: `(low, high)`, the values that the network takes for 0 and 255. Defaults to `(-1, 1)`.

    Attributes:
        classes: int, number of classes.
        channels: int, channels of the images.
        image_size: `(height, width)` of the images, with None for any.

    Raises:
        ValueError: if the network has other inputs or outputs, or `low` is not below `high`.
    """

    def __init__(self, network, name, value_range=(-1, 1)):
        low, high = value_range
        if not low < high:
            raise ValueError(
                f"`segmenter_range` must be LOW HIGH with LOW below HIGH. Received: {float(low):g} {float(high):g}"
            )
        images, scores = _shapes(network)
        self.name, self.classes, self.channels, self.image_size = name, scores[-1], images[-1], images[1:3]
        self._low, self._scale = np.float32(low), np.float32((high - low) / 255)
        signature = tf.TensorSpec((1, *images[1:]), tf.float32)
        self._classify = tf.function(
            lambda image: tf.argmax(network(image, training=False), axis=-1), input_signature=[signature]
        )

    def __call__(self, image, size):
        """The class of each pixel.

        Args:
            image: float array `(height, width, channels)` in [-1, 1]; it is rounded to 8 bits as in a PNG file.
            size: `(height, width)` of the result; a pixel gets the nearest class.

        Returns:
            int64 array of that size.

        Raises:
            ValueError: if the network cannot take an image of this size.
        """
        pixels = to_uint8(image).astype(np.float32) * self._scale + self._low
        try:
            classes = self._classify(pixels[None]).numpy()[0]
        except tf.errors.InvalidArgumentError as error:
            height, width = pixels.shape[:2]
            raise ValueError(
                f"`segmenter` must take images of the data's size; `image_size` sets that. Received: {self.name}, "
                f"which fails at {height}x{width} pixels: {one_line(error)[:_SHOWN]}"
            ) from error
        return _resized(classes, size)


def open_segmenter(path, value_range=(-1, 1)):
    """Loads a segmentation network from a `.keras` file.

    Args:
        path: `.keras` file, see `Segmenter`.
        value_range: as in `Segmenter`. Defaults to `(-1, 1)`.

    Returns:
        `Segmenter`, named after the file.

    Raises:
        ValueError: if there is no such file, or it holds no segmentation network.

    Example:
        >>> open_segmenter("fcn.keras").classes  # doctest: +SKIP
        19
    """
    path = Path(path)
    if path.suffix != ".keras" or not path.is_file():
        missing = "" if path.exists() else ", there is no such file"
        raise ValueError(f"`segmenter` must be a .keras file. Received: segmenter={str(path)!r}{missing}")
    return Segmenter(load_keras_file(path, "segmenter"), path.name, value_range)


def _shapes(network):
    """The shapes of the images and of the scores."""
    tensors = [*(getattr(network, "inputs", None) or []), *(getattr(network, "outputs", None) or [])]
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if [len(shape) for shape in shapes] != [4, 4] or shapes[0][-1] not in (1, 3) or (shapes[1][-1] or 0) < 2:
        raise ValueError(
            "`segmenter` must take images (batch, height, width, 1 or 3) and give scores of two or more classes "
            f"(batch, height, width, classes). Received: shapes {shapes or 'that are not known'}"
        )
    return shapes


def _resized(classes, size):
    rows, columns = (
        ((np.arange(wanted) + 0.5) * length / wanted).astype(int)
        for wanted, length in zip(size, classes.shape, strict=True)
    )
    return classes[rows[:, None], columns]
