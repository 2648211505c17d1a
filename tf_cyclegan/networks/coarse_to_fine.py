"""The generators of pix2pixHD: a global one, and local enhancers around it that double the resolution."""

import keras
from keras import layers

from tf_cyclegan.networks.blocks import HDBlocks, check_image_shape
from tf_cyclegan.networks.layers.resizing import AtLeastTwoPixels, CropLike, HalvingPooling2D
from tf_cyclegan.settings.checks import check_integer

_ENHANCER = "enhancer"


def global_generator(
    image_shape=(None, None, 3),
    output_channels=3,
    filters=64,
    downsamplings=4,
    residual_blocks=9,
    normalization="instance",
    initializer="normal",
    name=None,
    dtype=None,
):
    """The global generator of pix2pixHD, equal to the PyTorch implementation's to the pixel.

    As `resnet_generator`, but deeper: a 7x7 convolution, strided 3x3 ones that double the filters, residual blocks,
    as many steps up, a 7x7 convolution and tanh.

    Args:
        image_shape: `(height, width, channels)` of the input. Height and width are multiples of 2^downsamplings, at
            least twice that, or None for any size. Defaults to `(None, None, 3)`.
        output_channels: int, channels of the output. Defaults to 3.
        filters: int, filters of the first convolution. Defaults to 64.
        downsamplings: int of at least 1, steps down and up. Defaults to 4.
        residual_blocks: int, blocks at the smallest size. Defaults to 9.
        normalization: as in `resnet_generator`. Defaults to `"instance"`.
        initializer: as in `resnet_generator`. Defaults to `"normal"`.
        name: optional name of the model. Defaults to `"global_generator"`.
        dtype: dtype or policy; None for the ambient policy. The output is float32 even when it is narrower.

    Returns:
        `keras.Model`, images `(batch, height, width, channels)` in [-1, 1] to images of the same size in [-1, 1].

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> global_generator((64, 128, 3), filters=8).output_shape
        (None, 64, 128, 3)

    Reference:
        [Wang et al., 2017](https://arxiv.org/abs/1711.11585), section 3.2.
    """
    _check_settings(image_shape, output_channels, filters, downsamplings, residual_blocks)
    blocks = HDBlocks(normalization, initializer, dtype)
    image = blocks.input(image_shape, name="image")
    features = _global_features(blocks, image, filters, downsamplings, residual_blocks)
    return keras.Model(image, blocks.head(features, output_channels), name=name or "global_generator")


def local_enhancer(
    image_shape=(None, None, 3),
    output_channels=3,
    filters=32,
    downsamplings=4,
    residual_blocks=9,
    local_residual_blocks=3,
    normalization="instance",
    enhancers=1,
    initializer="normal",
    name=None,
    dtype=None,
):
    """The global generator of pix2pixHD at a lower resolution, and enhancers that each double it.

    An enhancer adds the features of the next coarser generator to its own, which it finds in the larger image.

    Args:
        image_shape: `(height, width, channels)` of the input. Height and width are multiples of
            2^(downsamplings + enhancers), at least twice that, or None for any size. Defaults to `(None, None, 3)`.
        output_channels: int, channels of the output. Defaults to 3.
        filters: int, filters of the finest enhancer's first convolution. The next coarser one has twice as many, the
            global generator `filters * 2**enhancers`. Defaults to 32.
        downsamplings, residual_blocks: of the global generator. Default to 4 and 9.
        local_residual_blocks: int, residual blocks of each enhancer. Defaults to 3.
        normalization: as in `resnet_generator`. Defaults to `"instance"`.
        enhancers: int of at least 1. Defaults to 1.
        initializer: as in `resnet_generator`. Defaults to `"normal"`.
        name: optional name of the model. Defaults to `"local_enhancer"`.
        dtype: dtype or policy; None for the ambient policy. The output is float32 even when it is narrower.

    Returns:
        `keras.Model`, images `(batch, height, width, channels)` in [-1, 1] to images of the same size in [-1, 1].

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> local_enhancer((128, 128, 3), filters=4).output_shape
        (None, 128, 128, 3)

    Reference:
        [Wang et al., 2017](https://arxiv.org/abs/1711.11585), section 3.2.
    """
    return coarse_and_fine(**locals())[1]


def coarse_and_fine(
    image_shape=(None, None, 3),
    output_channels=3,
    filters=32,
    downsamplings=4,
    residual_blocks=9,
    local_residual_blocks=3,
    normalization="instance",
    enhancers=1,
    initializer="normal",
    name=None,
    dtype=None,
):
    """The local enhancer, and the global generator inside it with a head of its own, to be trained one after the other.

    Args:
        image_shape, output_channels, filters, downsamplings, residual_blocks, local_residual_blocks, normalization,
            enhancers, initializer, name, dtype: as in `local_enhancer`.

    Returns:
        Pair of `keras.Model`s `(coarse, fine)` that share the layers of the global generator. `fine` is
        `local_enhancer`'s; `coarse` takes the same images and answers in 1 / 2^enhancers of their size.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> coarse, fine = coarse_and_fine((128, 128, 3), filters=4)
        >>> coarse.output_shape
        (None, 64, 64, 3)
    """
    check_integer("enhancers", enhancers, 1)
    check_integer("local_residual_blocks", local_residual_blocks, 0)
    _check_settings(image_shape, output_channels, filters, downsamplings, residual_blocks, enhancers)
    blocks = HDBlocks(normalization, initializer, dtype)
    name = name or "local_enhancer"
    pyramid = [blocks.input(image_shape, name="image")]
    for number in range(1, enhancers + 1):
        pyramid.append(HalvingPooling2D(dtype=blocks.dtype, name=f"half{number}")(pyramid[-1]))
    image = pyramid[0]

    x = _global_features(blocks, pyramid.pop(), filters * 2**enhancers, downsamplings, residual_blocks)
    coarse = keras.Model(image, blocks.head(x, output_channels), name=f"{name}_coarse")
    for number in range(1, enhancers + 1):
        width = filters * 2 ** (enhancers - number)
        x = _enhanced(blocks, pyramid.pop(), x, width, local_residual_blocks, f"{_ENHANCER}{number}")
    fine = blocks.head(x, output_channels, f"{_ENHANCER}{enhancers}_head")
    return coarse, keras.Model(image, fine, name=name)


def feature_encoder(
    image_shape=(None, None, 3),
    output_channels=3,
    filters=16,
    downsamplings=4,
    normalization="instance",
    initializer="normal",
    name=None,
    dtype=None,
):
    """The encoder of pix2pixHD, which finds how the objects of an image look.

    A global generator without residual blocks; `instance_maps.InstanceMeans` averages its features over each object.

    Args:
        image_shape: `(height, width, channels)` of the image, as in `global_generator`.
        output_channels: int, features of an object. Defaults to 3.
        filters: int, filters of the first convolution. Defaults to 16.
        downsamplings, normalization, initializer, name, dtype: as in `global_generator`.

    Returns:
        `keras.Model`, images in [-1, 1] to features `(batch, height, width, output_channels)` in [-1, 1].

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> feature_encoder((64, 64, 3)).output_shape
        (None, 64, 64, 3)

    Reference:
        [Wang et al., 2017](https://arxiv.org/abs/1711.11585), section 3.4.
    """
    name = name or "feature_encoder"
    return global_generator(
        image_shape, output_channels, filters, downsamplings, 0, normalization, initializer, name, dtype
    )


def enhancer_layers(fine):
    """The layers of a local enhancer without the global generator inside it.

    Args:
        fine: `keras.Model` made by `local_enhancer` or `coarse_and_fine`.

    Returns:
        List of `keras.Layer`.
    """
    return [layer for layer in fine.layers if layer.name.startswith(_ENHANCER)]


def check_depth(image_shape, halvings):
    """Raises `ValueError` unless images of this shape can be halved so often, with two pixels left to mirror."""
    multiple = 2**halvings
    try:
        check_image_shape(image_shape, multiple, 2 * multiple)
    except ValueError as error:
        raise ValueError(
            f"{error}. They are halved {halvings} times: take other sizes, or fewer `downsamplings` or `enhancers`"
        ) from None


def _check_settings(image_shape, output_channels, filters, downsamplings, residual_blocks, enhancers=0):
    check_integer("output_channels", output_channels, 1)
    check_integer("filters", filters, 1)
    check_integer("downsamplings", downsamplings, 1)
    check_integer("residual_blocks", residual_blocks, 0)
    check_depth(image_shape, downsamplings + enhancers)


def _global_features(blocks, x, filters, downsamplings, residual_blocks):
    """The global generator without its head."""
    x = blocks.normalized_convolution(blocks.pad(x, 3, "reflect", "stem_pad"), filters, 7, "stem")
    for level in range(1, downsamplings + 1):
        x = _down(blocks, x, filters * 2**level, f"down{level}")
    x = _transformed(blocks, x, residual_blocks) if residual_blocks else x
    for step in range(1, downsamplings + 1):
        x = blocks.normalized_upsampling(x, filters * 2 ** (downsamplings - step), f"up{step}")
    return x


def _transformed(blocks, features, residual_blocks):
    x = AtLeastTwoPixels(dtype=blocks.dtype, name="blocks_grow")(features)
    for index in range(1, residual_blocks + 1):
        x = blocks.residual_block(x, f"block{index}")
    return CropLike(dtype=blocks.dtype, name="blocks_crop")([x, features])


def _enhanced(blocks, image, features, filters, residual_blocks, name):
    x = blocks.pad(image, 3, "reflect", f"{name}_stem_pad")
    x = blocks.normalized_convolution(x, filters, 7, f"{name}_stem")
    x = _down(blocks, x, 2 * filters, f"{name}_down")
    x = layers.Add(dtype=blocks.dtype, name=f"{name}_sum")([x, features])
    for index in range(1, residual_blocks + 1):
        x = blocks.residual_block(x, f"{name}_block{index}")
    return blocks.normalized_upsampling(x, filters, f"{name}_up")


def _down(blocks, x, filters, name):
    # Explicit zeros on all four sides, as PyTorch: Keras's "same" would shift the image by a pixel.
    return blocks.normalized_convolution(blocks.pad(x, 1, "zero", f"{name}_pad"), filters, 3, name, strides=2)
