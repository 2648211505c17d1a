"""UNIT's generators: encoders into a latent space that both domains share, and decoders out of it."""

import keras
from keras import layers

from tf_cyclegan.networks.blocks import Blocks, check_image_shape
from tf_cyclegan.networks.layers.layer_normalization import LayerNormalization
from tf_cyclegan.settings.checks import check_integer

_DOWNSAMPLINGS = 2
_SCALE = 2**_DOWNSAMPLINGS


def unit_encoder(
    image_shape=(None, None, 3), filters=64, residual_blocks=4, initializer="kaiming", name=None, dtype=None
):
    """The encoder of UNIT 1.1: an image to the mean of its latent code, at a quarter of its height and width.

    A 7x7 convolution, two strided 4x4 ones that double the filters and residual blocks; mirrored borders and instance
    normalization throughout. The code of an image is normally distributed about the mean with a deviation of 1.

    Args:
        image_shape: `(height, width, channels)` of the input. Height and width are multiples of 4, at least 8, or None
            for any size. Defaults to `(None, None, 3)`.
        filters: int, filters of the first convolution; the latent code has four times as many. Defaults to 64.
        residual_blocks: int. Defaults to 4.
        initializer: as in `resnet_generator`. Defaults to `"kaiming"`.
        name: optional name of the model. Defaults to `"unit_encoder"`.
        dtype: dtype or policy; None for the ambient policy. The code is float32 even when it is narrower.

    Returns:
        `keras.Model`, images in [-1, 1] to codes `(batch, height / 4, width / 4, 4 * filters)`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> unit_encoder((256, 256, 3)).output_shape
        (None, 64, 64, 256)

    Reference:
        [Liu et al., 2017](https://arxiv.org/abs/1703.00848)
    """
    _check_encoder(image_shape, filters, residual_blocks)
    blocks = Blocks("instance", initializer, dtype)
    image = blocks.input(image_shape, name="image")
    x = blocks.relu(_stem(blocks, image, filters), "encoder_stem")
    for level in range(1, _DOWNSAMPLINGS + 1):
        layer = f"encoder_down{level}"
        x = blocks.relu(_down(blocks, x, filters * 2**level, "reflect", layer), layer)
    x = _residual_blocks(blocks, x, residual_blocks, "encoder")
    return keras.Model(image, _latent(blocks, x), name=name or "unit_encoder")


def unit_decoder(output_channels=3, filters=64, residual_blocks=4, initializer="kaiming", name=None, dtype=None):
    """The decoder of UNIT 1.1: a latent code to an image of four times its height and width.

    Residual blocks with instance normalization, two steps of doubling the pixels and a 5x5 convolution with layer
    normalization, a 7x7 convolution and tanh; mirrored borders throughout.

    Args:
        output_channels: int, channels of the image. Defaults to 3.
        filters: int, filters before the last convolution; the latent code has four times as many. Defaults to 64.
        residual_blocks, initializer, dtype: as in `unit_encoder`.
        name: optional name of the model. Defaults to `"unit_decoder"`.

    Returns:
        `keras.Model`, codes `(batch, height, width, 4 * filters)` to images `(batch, 4 * height, 4 * width,
        output_channels)` in [-1, 1].

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> unit_decoder(filters=32).input_shape
        (None, None, None, 128)

    Reference:
        [Liu et al., 2017](https://arxiv.org/abs/1703.00848)
    """
    _check_decoder(output_channels, filters, residual_blocks)
    blocks = Blocks("instance", initializer, dtype)
    latent = blocks.input((None, None, _SCALE * filters), name="latent")
    x = _residual_blocks(blocks, latent, residual_blocks, "decoder")
    for step in range(1, _DOWNSAMPLINGS + 1):
        layer = f"decoder_up{step}"
        x = layers.UpSampling2D(2, dtype=blocks.dtype, name=f"{layer}_resize")(x)
        x = blocks.pad(x, 2, "reflect", f"{layer}_pad")
        # This normalization subtracts a mean over all channels, which does not remove the bias of a channel.
        x = blocks.convolution(x, filters * 2 ** (_DOWNSAMPLINGS - step), 5, layer)
        x = LayerNormalization(dtype=blocks.dtype, name=f"{layer}_normalization")(x)
        x = blocks.relu(x, layer)
    return keras.Model(latent, blocks.head(x, output_channels, "decoder_head"), name=name or "unit_decoder")


def shared_latent_block(filters=64, initializer="normal", name="shared_block", dtype=None):
    """The residual block next to the latent code, which both domains share in UNIT's paper.

    Args:
        filters: int, filters of the first convolution of the encoders. Defaults to 64.
        initializer, dtype: as in `resnet_generator`.
        name: name of the model and of its layers. Defaults to `"shared_block"`.

    Returns:
        `keras.Model`, features `(batch, height, width, 4 * filters)` to the same, for `shared_latent_encoder` or
        `shared_latent_decoder`.

    Example:
        >>> shared = shared_latent_block(filters=16)
        >>> encoders = [shared_latent_encoder(filters=16, shared=shared) for _ in "ab"]
    """
    check_integer("filters", filters, 1)
    blocks = Blocks("instance", initializer, dtype)
    features = blocks.input((None, None, _SCALE * filters))
    return keras.Model(features, blocks.residual_block(features, "shared"), name=name)


def shared_latent_encoder(
    image_shape=(None, None, 3),
    filters=64,
    residual_blocks=3,
    shared=None,
    initializer="normal",
    name=None,
    dtype=None,
):
    """The encoder of UNIT's paper, whose last residual block is shared between the domains.

    As `unit_encoder`, but the strided convolutions are bordered by zeros and the first activation is leaky.

    Args:
        image_shape, filters, dtype: as in `unit_encoder`.
        residual_blocks: int, blocks of this domain alone. Defaults to 3.
        shared: `keras.Model` made by `shared_latent_block` with the same `filters`; None for a block of its own.
        initializer: as in `resnet_generator`. Defaults to `"normal"`.
        name: optional name of the model. Defaults to `"shared_latent_encoder"`.

    Returns:
        `keras.Model`, images in [-1, 1] to the means of their codes, `(batch, height / 4, width / 4, 4 * filters)`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> shared_latent_encoder((256, 256, 3)).output_shape
        (None, 64, 64, 256)

    Reference:
        [Liu et al., 2017](https://arxiv.org/abs/1703.00848), section 3 and figure 1.
    """
    _check_encoder(image_shape, filters, residual_blocks)
    _check_shared(shared, filters)
    blocks = Blocks("instance", initializer, dtype)
    image = blocks.input(image_shape, name="image")
    x = blocks.leaky_relu(_stem(blocks, image, filters), "encoder_stem")
    for level in range(1, _DOWNSAMPLINGS + 1):
        layer = f"encoder_down{level}"
        x = blocks.relu(_down(blocks, x, filters * 2**level, "zero", layer), layer)
    x = _residual_blocks(blocks, x, residual_blocks, "encoder")
    x = (shared or shared_latent_block(filters, initializer, dtype=dtype))(x)
    return keras.Model(image, _latent(blocks, x), name=name or "shared_latent_encoder")


def shared_latent_decoder(
    output_channels=3, filters=64, residual_blocks=3, shared=None, initializer="normal", name=None, dtype=None
):
    """The decoder of UNIT's paper, whose first residual block is shared between the domains.

    Residual blocks, two transposed 4x4 convolutions, a 7x7 convolution and tanh; instance normalization throughout.

    Args:
        output_channels, filters, dtype: as in `unit_decoder`.
        residual_blocks, shared, initializer: as in `shared_latent_encoder`.
        name: optional name of the model. Defaults to `"shared_latent_decoder"`.

    Returns:
        `keras.Model`, codes `(batch, height, width, 4 * filters)` to images `(batch, 4 * height, 4 * width,
        output_channels)` in [-1, 1].

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> shared_latent_decoder(filters=32).input_shape
        (None, None, None, 128)
    """
    _check_decoder(output_channels, filters, residual_blocks)
    _check_shared(shared, filters)
    blocks = Blocks("instance", initializer, dtype)
    latent = blocks.input((None, None, _SCALE * filters), name="latent")
    x = (shared or shared_latent_block(filters, initializer, dtype=dtype))(latent)
    x = _residual_blocks(blocks, x, residual_blocks, "decoder")
    for step in range(1, _DOWNSAMPLINGS + 1):
        layer = f"decoder_up{step}"
        width = filters * 2 ** (_DOWNSAMPLINGS - step)
        x = blocks.deconvolution(x, width, layer, use_bias=False, kernel_size=4)
        x = blocks.leaky_relu(blocks.normalize(x, layer), layer)
    return keras.Model(latent, blocks.head(x, output_channels, "decoder_head"), name=name or "shared_latent_decoder")


def _check_encoder(image_shape, filters, residual_blocks):
    # Two pixels must be left to mirror where the residual blocks pad.
    check_image_shape(image_shape, multiple=_SCALE, smallest=2 * _SCALE)
    check_integer("filters", filters, 1)
    check_integer("residual_blocks", residual_blocks, 0)


def _check_decoder(output_channels, filters, residual_blocks):
    check_integer("output_channels", output_channels, 1)
    check_integer("filters", filters, 1)
    check_integer("residual_blocks", residual_blocks, 0)


def _check_shared(shared, filters):
    if shared is not None and shared.input_shape[-1] != _SCALE * filters:
        raise ValueError(
            f"`shared` must take {_SCALE * filters} channels, four times `filters`. "
            f"Received: a block that takes {shared.input_shape[-1]}"
        )


def _stem(blocks, image, filters):
    x = blocks.pad(image, 3, "reflect", "encoder_stem_pad")
    x = blocks.convolution(x, filters, 7, "encoder_stem", use_bias=False)
    return blocks.normalize(x, "encoder_stem")


def _down(blocks, x, filters, padding, name):
    x = blocks.pad(x, 1, padding, f"{name}_pad")
    x = blocks.convolution(x, filters, 4, name, strides=2, use_bias=False)
    return blocks.normalize(x, name)


def _residual_blocks(blocks, x, count, name):
    for index in range(1, count + 1):
        x = blocks.residual_block(x, f"{name}_block{index}")
    return x


def _latent(blocks, x):
    return layers.Activation("linear", dtype=blocks.output_dtype, name="latent_mean")(x)
