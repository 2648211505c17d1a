"""The generator of pix2pix: an encoder and a decoder with a bridge at every size."""

import keras
from keras import layers

from tf_cyclegan.networks.blocks import UPSAMPLINGS, Blocks, check_image_shape
from tf_cyclegan.settings.checks import check_choice, check_integer, check_share

DROPOUT_PLACEMENTS = ("reference", "paper")
# The steps of the decoder that double the size with fewer filters have no dropout, nor has the head.
_WITHOUT_DROPOUT = 5


def unet_generator(
    image_shape=(256, 256, 3),
    output_channels=3,
    filters=64,
    downsamplings=8,
    normalization="batch",
    dropout=0.5,
    dropout_placement="reference",
    inference_statistics="moving",
    initializer="normal",
    name=None,
    dtype=None,
    upsampling="deconvolution",
    full_size_skip=False,
):
    """The U-Net of pix2pix, equal to the PyTorch implementation's to the pixel.

    Encoder: strided 4x4 convolutions that double the filters, up to eight times, until with 256 pixels and 8 steps one
    pixel is left. Decoder: as many transposed ones, each on the output of the one before, joined with the
    encoder's features of the same size.

    Args:
        image_shape: `(height, width, channels)`; height and width are multiples of 2^downsamplings, or None for any
            size. Defaults to `(256, 256, 3)`.
        output_channels: int, channels of the output. Defaults to 3.
        filters: int, filters of the first convolution. Defaults to 64.
        downsamplings: int of at least 2, steps of the encoder: 8 for the paper's 256 pixels, 7 for 128. Defaults to 8.
        normalization: as in `resnet_generator`. The first and the last convolution of the encoder and the head have
            none. Defaults to `"batch"`.
        dropout: float in [0, 1), share of activations dropped in `downsamplings - 5` steps of the decoder. Defaults
            to 0.5.
        dropout_placement: `"reference"`, the steps after the first, as in the PyTorch implementation, or `"paper"`,
            from the first on. Defaults to `"reference"`.
        inference_statistics: `"moving"` or `"image"`, what batch normalization takes outside of training, see
            `layers.BatchNormalization`. Defaults to `"moving"`.
        initializer: as in `resnet_generator`. Defaults to `"normal"`.
        name: optional name of the model. Defaults to `"unet_generator"`.
        dtype: dtype or policy; None for the ambient policy. The output is float32 even when it is narrower.
        upsampling: `"deconvolution"`, the paper's transposed 4x4 convolutions, or `"resize"`: nearest-neighbor and a
            3x3 convolution, which leaves no grid pattern. Defaults to `"deconvolution"`.
        full_size_skip: bool, whether a 3x3 convolution with half the `filters` comes before the first step of the
            encoder and joins the decoder at full size, before a 3x3 head: small images keep their fine lines. The
            paper's U-Net has no bridge at full size. Defaults to False.

    Returns:
        `keras.Model`, images `(batch, height, width, channels)` in [-1, 1] to images of the same size in [-1, 1].

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> unet_generator((128, 128, 1), downsamplings=7).output_shape
        (None, 128, 128, 3)

    Reference:
        [Isola et al., 2016](https://arxiv.org/abs/1611.07004)
    """
    check_integer("downsamplings", downsamplings, 2)
    check_image_shape(image_shape, multiple=2**downsamplings, smallest=2**downsamplings)
    check_integer("output_channels", output_channels, 1)
    check_integer("filters", filters, 1)
    check_choice("dropout_placement", dropout_placement, DROPOUT_PLACEMENTS)
    check_share("dropout", dropout)
    check_choice("upsampling", upsampling, UPSAMPLINGS)
    blocks = Blocks(normalization, initializer, dtype, inference_statistics)
    dropped = _dropped_levels(downsamplings, dropout_placement)

    image = blocks.input(image_shape, name="image")
    stem = _stem(blocks, image, filters) if full_size_skip else None
    features = _encoder(blocks, image, stem, filters, downsamplings)
    x = features.pop()
    for level in range(downsamplings, 1, -1):
        x = _up(blocks, x, features.pop(), upsampling, dropout if level in dropped else 0, f"up{level}")
    if full_size_skip:
        x = _up(blocks, x, stem, upsampling, 0, "up1")
        x = blocks.padded_convolution(blocks.relu(x, "head"), output_channels, 3, "head")
    else:
        x = blocks.upsample(blocks.relu(x, "head"), output_channels, "head", upsampling, kernel_size=4)
    x = layers.Activation("tanh", dtype=blocks.output_dtype, name="head_tanh")(x)
    return keras.Model(image, x, name=name or "unet_generator")


def _dropped_levels(downsamplings, placement):
    """Levels of the decoder with dropout; it begins at level `downsamplings`."""
    first = downsamplings - (placement == "reference")
    return range(first, first - max(0, downsamplings - _WITHOUT_DROPOUT), -1)


def _stem(blocks, image, filters):
    """Features at full size, for the bridge that the paper's U-Net does not have."""
    return blocks.padded_convolution(image, max(1, filters // 2), 3, "full_size")


def _encoder(blocks, image, stem, filters, downsamplings):
    """The features of every level, the largest first."""
    x, features = image if stem is None else stem, []
    for level in range(1, downsamplings + 1):
        name = f"down{level}"
        normalized = 1 < level < downsamplings
        # With batch normalization the reference has no bias, not even where nothing is normalized.
        use_bias = blocks.bias_before_normalization if normalized else blocks.normalization != "batch"
        x = x if x is image else blocks.leaky_relu(x, name)
        # "same" is right here: 4x4 with stride 2 takes one zero on each side of an even size.
        width = filters * min(2 ** (level - 1), 8)
        x = blocks.convolution(x, width, 4, name, strides=2, padding="same", use_bias=use_bias)
        x = blocks.normalize(x, name) if normalized else x
        features.append(x)
    return features


def _up(blocks, x, bridge, upsampling, dropout, name):
    """Twice the size, as many filters as the bridge, and joined with the bridge."""
    x = blocks.relu(x, name)
    x = blocks.upsample(x, bridge.shape[-1], name, upsampling, blocks.bias_before_normalization, kernel_size=4)
    x = blocks.dropout(blocks.normalize(x, name), dropout, name)
    return layers.Concatenate(dtype=blocks.dtype, name=f"{name}_bridge")([bridge, x])
