"""Images of any size for networks that take multiples: mirrored at the border, translated and cropped back."""

import numpy as np
import tensorflow as tf

# Exported generators of every family take images from this height and width on.
SMALLEST_EXPORTED_SIDE = 16


def smallest_side(multiple, map_side=1):
    """Smallest height and width, in pixels, of an image that can be mirrored to a multiple.

    An image is mirrored once, to twice its size at most.

    Args:
        multiple: int, the multiple that height and width must be of for a network.
        map_side: int, pixels that the network needs in its smallest map: 2 if it mirrors the border of that map.
            Defaults to 1.
    """
    return max((map_side - 1) * multiple + 1, -(-multiple // 2))


def mirrored(images, multiple, axes=(1, 2)):
    """Images that continue as mirror images at the bottom and on the right, up to the next multiple.

    Args:
        images: array or tensor `(batch, height, width, channels)`.
        multiple: int, what height and width become multiples of.
        axes: the axes that are mirrored. Defaults to height and width.
    """
    if all(images.shape[axis] is not None and images.shape[axis] % multiple == 0 for axis in axes):
        return images
    missing = [-_side(images, axis) % multiple if axis in axes else 0 for axis in range(4)]
    return tf.pad(images, [[0, pixels] for pixels in missing], mode="SYMMETRIC")


def translated(network, images, multiple, training=False):
    """What a network makes of images of any size: it gets mirrored images, and its answers are cropped back.

    Args:
        network: callable as `keras.Model`, images whose height and width are multiples to images of the same size.
        images: float array or tensor `(batch, height, width, channels)`.
        multiple: int, the multiple that height and width must be of for `network`.
        training: bool, which is passed to `network`. Defaults to False.
    """
    height, width = _side(images, 1), _side(images, 2)
    return network(mirrored(images, multiple), training=training)[:, :height, :width]


def image_translator(model, direction):
    """A model's translation of one image, as a function that is traced once for all sizes.

    Args:
        model: `TranslationModel`.
        direction: str, one of `model.directions`.

    Returns:
        Callable, a float32 array `(height, width, channels)` in [-1, 1] to another of the same size.
    """
    # A trace for each size would cost seconds and memory every time.
    signature = tf.TensorSpec((1, None, None, model.generator(direction).input_shape[-1]), tf.float32)
    function = tf.function(lambda images: model.translate(images, direction), input_signature=[signature])
    return lambda image: np.asarray(function(image[None]), np.float32)[0]


def _side(images, axis):
    """A side that is known stays a number, so that graphs of one size have no dynamic shapes inside."""
    return tf.shape(images)[axis] if images.shape[axis] is None else images.shape[axis]
