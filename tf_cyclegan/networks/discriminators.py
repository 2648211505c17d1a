"""Builders of the discriminators: PatchGANs at one scale and at several, and a discriminator of single pixels."""

import keras

from tf_cyclegan.networks.blocks import Blocks, HDBlocks, check_image_shape
from tf_cyclegan.networks.layers.resizing import HalvingPooling2D
from tf_cyclegan.settings.checks import check_integer

_LARGEST_WIDTH = 512


def patchgan_discriminator(
    image_shape=(256, 256, 3),
    filters=64,
    layers=3,
    normalization="instance",
    initializer="normal",
    convolution_padding="explicit",
    name=None,
    dtype=None,
):
    """PatchGAN: each output pixel scores the patch of the image that it sees, 70x70 with the default of 3 layers.

    Strided 4x4 convolutions that double the filters (up to eight times), one of stride 1, and one to a single channel;
    zeros on all four sides of each, so 256 pixels give 30x30 scores, as in the PyTorch implementation.

    Args:
        image_shape: `(height, width, channels)`; height and width may be None. Defaults to `(256, 256, 3)`.
        filters: int, filters of the first convolution. Defaults to 64.
        layers: int, strided convolutions. Defaults to 3.
        normalization: `"instance"`, `"affine_instance"`, `"batch"` or `"none"`, as in `resnet_generator`; the first
            convolution has none. Defaults to `"instance"`.
        initializer: as in `resnet_generator`. Defaults to `"normal"`.
        convolution_padding: `"explicit"`, as the PyTorch implementation pads, or `"same"`, as TensorFlow does: 256
            pixels give 32x32 scores, and it is what discriminators trained in TensorFlow expect. Defaults to
            `"explicit"`.
        name: optional name of the model. Defaults to `"patchgan_discriminator"`.
        dtype: dtype or policy; None for the ambient policy. The scores are float32 even when it is narrower.

    Returns:
        `keras.Model`, images in [-1, 1] to raw scores `(batch, rows, columns, 1)`.

    Raises:
        ValueError: if an argument is out of its range, or the image is too small for so many layers.

    Example:
        >>> patchgan_discriminator((256, 256, 3)).output_shape
        (None, 30, 30, 1)

    Reference:
        [Isola et al., 2016](https://arxiv.org/abs/1611.07004)
    """
    check_integer("layers", layers, 1)
    blocks = Blocks(normalization, initializer, dtype, convolution_padding=convolution_padding)
    strides = (2,) * layers + (1,)
    return _patch_discriminator(blocks, image_shape, filters, strides, (1, 1), name or "patchgan_discriminator")


def four_stride_discriminator(
    image_shape=(256, 256, 3), filters=64, normalization="instance", initializer="normal", name=None, dtype=None
):
    """PatchGAN with four strided convolutions, whose output is exactly 1/16 of the image: 16x16 for 256 pixels.

    Its last convolution is padded by two zeros at the top and left and one at the bottom and right. It sees patches of
    94x94 pixels, not 70x70.

    Args:
        image_shape, filters, normalization, initializer, name, dtype: as in `patchgan_discriminator`.

    Returns:
        `keras.Model`, images in [-1, 1] to raw scores `(batch, rows, columns, 1)`.

    Raises:
        ValueError: if an argument is out of its range, or the image is too small.

    Example:
        >>> four_stride_discriminator((256, 256, 3)).output_shape
        (None, 16, 16, 1)
    """
    blocks = Blocks(normalization, initializer, dtype)
    return _patch_discriminator(blocks, image_shape, filters, (2,) * 4, (2, 1), name or "four_stride_discriminator")


def pixel_discriminator(
    image_shape=(256, 256, 3), filters=64, normalization="instance", initializer="normal", name=None, dtype=None
):
    """Scores each pixel by its color alone: three 1x1 convolutions.

    Args:
        image_shape, filters, normalization, initializer, name, dtype: as in `patchgan_discriminator`.

    Returns:
        `keras.Model`, images in [-1, 1] to raw scores `(batch, height, width, 1)`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> pixel_discriminator((256, 256, 3)).output_shape
        (None, 256, 256, 1)

    Reference:
        [Isola et al., 2016](https://arxiv.org/abs/1611.07004), section 6.1.2.
    """
    check_image_shape(image_shape)
    check_integer("filters", filters, 1)
    blocks = Blocks(normalization, initializer, dtype)
    x = image = blocks.input(image_shape, name="image")
    x = blocks.leaky_relu(blocks.convolution(x, filters, 1, "pixel1"), "pixel1")
    x = blocks.convolution(x, 2 * filters, 1, "pixel2", use_bias=blocks.bias_before_normalization)
    x = blocks.leaky_relu(blocks.normalize(x, "pixel2"), "pixel2")
    # With batch normalization the reference's head has no bias.
    x = blocks.convolution(x, 1, 1, "head", use_bias=normalization != "batch")
    return keras.Model(image, _scores(blocks, x), name=name or "pixel_discriminator")


def multiscale_discriminator(
    image_shape=(256, 256, 3),
    filters=64,
    layers=3,
    scales=2,
    normalization="instance",
    initializer="normal",
    name=None,
    dtype=None,
):
    """A PatchGAN for the image, one for the image of half the size, and so on, each with weights of its own.

    Strided 4x4 convolutions that double the filters up to 512, one of stride 1, and one to a single channel; two zeros
    on all four sides of each, as in the PyTorch implementation.

    Args:
        image_shape: `(height, width, channels)` of any size; height and width may be None. A conditional
            discriminator takes the channels of question and answer. Defaults to `(256, 256, 3)`.
        filters: int, filters of the first convolution. Defaults to 64.
        layers: int, strided convolutions of each scale. Defaults to 3.
        scales: int, number of sizes judged. Defaults to 2.
        normalization: as in `resnet_generator`; the first convolution has none. Defaults to `"instance"`.
        initializer: as in `resnet_generator`. Defaults to `"normal"`.
        name: optional name of the model. Defaults to `"multiscale_discriminator"`.
        dtype: dtype or policy; None for the ambient policy. The scores are float32 even when it is narrower, the
            features are not.

    Returns:
        `keras.Model`, images in [-1, 1] to a list for each scale, the full size first, of `layers + 2` tensors: the
        features after each convolution, and last the raw scores `(batch, rows, columns, 1)`. With `scales=1` Keras
        makes it the list of that scale alone.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> discriminator = multiscale_discriminator((64, 64, 6), filters=8)
        >>> [scale[-1].shape[1:] for scale in discriminator(keras.ops.zeros((1, 64, 64, 6)))]
        [TensorShape([11, 11, 1]), TensorShape([7, 7, 1])]

    Reference:
        [Wang et al., 2017](https://arxiv.org/abs/1711.11585), sections 3.2 and 3.3.
    """
    check_image_shape(image_shape)
    for argument, value in {"filters": filters, "layers": layers, "scales": scales}.items():
        check_integer(argument, value, 1)
    blocks = HDBlocks(normalization, initializer, dtype)
    x = image = blocks.input(image_shape, name="image")
    outputs = []
    for scale in range(scales):
        if scale > 0:
            x = HalvingPooling2D(dtype=blocks.dtype, name=f"half{scale}")(x)
        outputs.append(_judged(blocks, x, filters, layers, f"scale{scale}"))
    return keras.Model(image, outputs, name=name or "multiscale_discriminator")


def unit_discriminator(
    image_shape=(256, 256, 3), filters=64, layers=4, scales=3, initializer="normal", name=None, dtype=None
):
    """The discriminator of UNIT 1.1: judges patches at full, half and quarter size, each size by its own weights.

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
    _check_pyramid_size(image_shape, layers, scales)
    blocks = Blocks("none", initializer, dtype)
    scaled = image = blocks.input(image_shape, name="image")
    scores = []
    for scale in range(1, scales + 1):
        scores.append(_scale_scores(blocks, scaled, filters, layers, f"pyramid{scale}"))
        if scale < scales:
            scaled = HalvingPooling2D(dtype=blocks.dtype, name=f"pyramid{scale + 1}_pool")(scaled)
    return keras.Model(image, scores, name=name or "unit_discriminator")


def _patch_discriminator(blocks, image_shape, filters, strides, head_padding, name):
    check_image_shape(image_shape)
    check_integer("filters", filters, 1)
    if blocks.convolution_padding == "explicit":
        _check_large_enough(image_shape, strides, head_padding)
    x = image = blocks.input(image_shape, name="image")
    for index, stride in enumerate(strides):
        width = filters * min(2**index, 8)
        use_bias = index == 0 or blocks.bias_before_normalization
        # Explicit zeros: Keras's "same" is one pixel off for stride 1 and for odd sizes.
        x = blocks.padded_convolution(x, width, 4, f"patch{index + 1}", stride, use_bias=use_bias)
        if index > 0:
            x = blocks.normalize(x, f"patch{index + 1}")
        x = blocks.leaky_relu(x, f"patch{index + 1}")
    x = blocks.padded_convolution(x, 1, 4, "head", padding=(head_padding, head_padding))
    return keras.Model(image, _scores(blocks, x), name=name)


def _check_large_enough(image_shape, strides, head_padding):
    for side in image_shape[:2]:
        size = side
        for stride in strides if side is not None else ():
            size = (size + 2 - 4) // stride + 1
        if side is not None and size + sum(head_padding) < 4:
            raise ValueError(
                f"`image_shape` is too small for {len(strides)} convolutions before the last one: take larger images "
                f"or fewer `layers`. Received: image_shape={tuple(image_shape)}"
            )


def _judged(blocks, x, filters, layers, name):
    """The features of one scale, and its scores."""
    features = []
    for index in range(layers + 1):
        part = f"{name}_patch{index + 1}"
        x = blocks.pad(x, 2, "zero", f"{part}_pad")
        use_bias = index == 0 or blocks.bias_before_normalization
        strides = 2 if index < layers else 1
        x = blocks.convolution(x, min(filters * 2**index, _LARGEST_WIDTH), 4, part, strides, use_bias=use_bias)
        x = blocks.leaky_relu(blocks.normalize(x, part) if index else x, part)
        features.append(x)
    x = blocks.convolution(blocks.pad(x, 2, "zero", f"{name}_head_pad"), 1, 4, f"{name}_head")
    return [*features, _scores(blocks, x, f"{name}_scores")]


def _scale_scores(blocks, x, filters, layers, name):
    for index in range(layers):
        layer = f"{name}_patch{index + 1}"
        x = blocks.pad(x, 1, "reflect", f"{layer}_pad")
        x = blocks.leaky_relu(blocks.convolution(x, filters * 2**index, 4, layer, strides=2), layer)
    x = blocks.convolution(x, 1, 1, f"{name}_head")
    return _scores(blocks, x, f"{name}_scores")


def _check_pyramid_size(image_shape, layers, scales):
    """A border can be mirrored where there are two pixels, also before the last convolution of the coarsest scale."""
    # Scales round a side up, convolutions round it down.
    smallest = (2**layers - 1) * 2 ** (scales - 1) + 1
    if any(side is not None and side < smallest for side in image_shape[:2]):
        raise ValueError(
            f"`image_shape` must have a height and width of at least {smallest} for {layers} `layers` at {scales} "
            f"`scales`: take larger images or fewer of them. Received: image_shape={tuple(image_shape)}"
        )


def _scores(blocks, x, name="scores"):
    return keras.layers.Activation("linear", dtype=blocks.output_dtype, name=name)(x)
