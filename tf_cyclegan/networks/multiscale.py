"""The discriminator of pix2pixHD: PatchGANs at several scales, whose features are compared too."""

import keras
from keras import layers as keras_layers

from tf_cyclegan.networks.blocks import check_image_shape
from tf_cyclegan.networks.coarse_to_fine import HDBlocks
from tf_cyclegan.networks.resizing import HalvingPooling2D
from tf_cyclegan.settings.checks import check_integer

_LARGEST_WIDTH = 512


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
    scores = keras_layers.Activation("linear", dtype=blocks.output_dtype, name=f"{name}_scores")(x)
    return [*features, scores]
