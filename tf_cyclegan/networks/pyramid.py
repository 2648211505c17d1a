"""UNIT's discriminator, which judges an image at several scales."""

import keras
from keras import layers as keras_layers

from tf_cyclegan.networks.blocks import Blocks, check_image_shape
from tf_cyclegan.networks.resizing import HalvingPooling2D
from tf_cyclegan.settings.checks import check_integer


def unit_discriminator(
    image_shape=(256, 256, 3), filters=64, layers=4, scales=3, initializer="normal", name=None, dtype=None
):
    """The discriminator of UNIT 1.1: patches of the image, of half of it, of a quarter, each judged by weights apart.

    At each scale strided 4x4 convolutions that double the filters, with mirrored borders and no normalization, and a
    1x1 convolution to the scores.

    Args:
        image_shape: `(height, width, channels)`; height and width may be None. Defaults to `(256, 256, 3)`.
        filters: int, filters of a scale's first convolution. Defaults to 64.
        layers: int, strided convolutions of a scale. Defaults to 4.
        scales: int, sizes at which the image is judged. Defaults to 3.
        initializer: as in `resnet_generator`. Defaults to `"normal"`.
        name: optional name of the model. Defaults to `"unit_discriminator"`.
        dtype: dtype or policy; None for the ambient policy. The scores are float32 even when it is narrower.

    Returns:
        `keras.Model`, images in [-1, 1] to a list of raw scores `(batch, rows, columns, 1)`, the finest scale first.

    Raises:
        ValueError: if an argument is out of its range, or the image is too small for so many layers and scales.

    Example:
        >>> unit_discriminator((256, 256, 3)).output_shape
        [(None, 16, 16, 1), (None, 8, 8, 1), (None, 4, 4, 1)]

    Reference:
        [Liu et al., 2017](https://arxiv.org/abs/1703.00848)
    """
    check_image_shape(image_shape)
    for argument, value in {"filters": filters, "layers": layers, "scales": scales}.items():
        check_integer(argument, value, 1)
    _check_large_enough(image_shape, layers, scales)
    blocks = Blocks("none", initializer, dtype)
    scaled = image = blocks.input(image_shape, name="image")
    scores = []
    for scale in range(1, scales + 1):
        scores.append(_scale_scores(blocks, scaled, filters, layers, f"pyramid{scale}"))
        if scale < scales:
            scaled = HalvingPooling2D(dtype=blocks.dtype, name=f"pyramid{scale + 1}_pool")(scaled)
    return keras.Model(image, scores, name=name or "unit_discriminator")


def _scale_scores(blocks, x, filters, layers, name):
    for index in range(layers):
        layer = f"{name}_patch{index + 1}"
        x = blocks.pad(x, 1, "reflect", f"{layer}_pad")
        x = blocks.leaky_relu(blocks.convolution(x, filters * 2**index, 4, layer, strides=2), layer)
    x = blocks.convolution(x, 1, 1, f"{name}_head")
    return keras_layers.Activation("linear", dtype=blocks.output_dtype, name=f"{name}_scores")(x)


def _check_large_enough(image_shape, layers, scales):
    """A border can be mirrored where there are two pixels, also before the last convolution of the coarsest scale."""
    # Scales round a side up, convolutions round it down.
    smallest = (2**layers - 1) * 2 ** (scales - 1) + 1
    if any(side is not None and side < smallest for side in image_shape[:2]):
        raise ValueError(
            f"`image_shape` must have a height and width of at least {smallest} for {layers} `layers` at {scales} "
            f"`scales`: take larger images or fewer of them. Received: image_shape={tuple(image_shape)}"
        )
