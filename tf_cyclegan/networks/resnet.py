"""The CycleGAN generator: an encoder, a transformer of residual blocks, a decoder."""

import keras
from keras import layers

from tf_cyclegan.networks.blocks import PADDINGS, UPSAMPLINGS, Blocks, check_image_shape
from tf_cyclegan.settings.checks import check_choice, check_integer, check_share


def resnet_generator(
    image_shape=(None, None, 3),
    output_channels=3,
    filters=64,
    residual_blocks=9,
    normalization="instance",
    dropout=0.0,
    padding="reflect",
    upsampling="deconvolution",
    inference_statistics="moving",
    initializer="normal",
    convolution_padding="explicit",
    name=None,
    dtype=None,
    downsamplings=2,
):
    """The generator of Johnson et al. as CycleGAN uses it, equal to the PyTorch implementation's to the pixel.

    Encoder: a 7x7 convolution and strided 3x3 ones that double the filters. Transformer: residual blocks of two 3x3
    convolutions. Decoder: as many steps up that halve the filters, a 7x7 convolution and tanh.

    Args:
        image_shape: `(height, width, channels)` of the input. Height and width are multiples of 2^downsamplings, or
            None for any size. Defaults to `(None, None, 3)`.
        output_channels: int, channels of the output. Defaults to 3.
        filters: int, filters of the first convolution. Defaults to 64.
        residual_blocks: int, blocks of the transformer: the paper takes 6 for 128 pixels and 9 for 256 and more.
            Defaults to 9.
        normalization: `"instance"`, `"affine_instance"`, `"batch"` or `"none"`. `"affine_instance"` has a scale and an
            offset of each channel and epsilon 1e-3, as the default of `tensorflow_addons.layers.InstanceNormalization`.
            Defaults to `"instance"`.
        dropout: float in [0, 1), share of activations dropped inside each residual block. Defaults to 0.
        padding: `"reflect"`, `"replicate"` or `"zero"`, of the residual blocks. Defaults to `"reflect"`.
        upsampling: `"deconvolution"`, the paper's, or `"resize"`: nearest-neighbor and a 3x3 convolution, which leaves
            no grid pattern. Defaults to `"deconvolution"`.
        inference_statistics: `"moving"` or `"image"`, what batch normalization takes outside of training, see
            `layers.BatchNormalization`. Defaults to `"moving"`.
        initializer: `"normal"` for N(0, 0.02), `"xavier"`, `"kaiming"`, `"orthogonal"` or a Keras initializer.
            Defaults to `"normal"`.
        convolution_padding: `"explicit"`, as PyTorch pads strided and transposed convolutions, or `"same"`, as
            TensorFlow does, one pixel further: what generators trained in TensorFlow expect. Defaults to `"explicit"`.
        name: optional name of the model. Defaults to `"resnet_generator"`.
        dtype: dtype or policy; None for the ambient policy. The output is float32 even when it is narrower.
        downsamplings: int of at least 1, steps of the encoder and of the decoder. Defaults to 2, the paper's.

    Returns:
        `keras.Model`, images `(batch, height, width, channels)` in [-1, 1] to images of the same size in [-1, 1].

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> generator = resnet_generator((128, 128, 3), filters=32, residual_blocks=6)
        >>> generator.output_shape
        (None, 128, 128, 3)

    Reference:
        [Zhu et al., 2017](https://arxiv.org/abs/1703.10593), [Johnson et al., 2016](https://arxiv.org/abs/1603.08155)
    """
    check_integer("downsamplings", downsamplings, 1)
    # Two pixels must be left to mirror where the residual blocks pad.
    check_image_shape(image_shape, multiple=2**downsamplings, smallest=2 * 2**downsamplings)
    check_integer("output_channels", output_channels, 1)
    check_integer("filters", filters, 1)
    check_integer("residual_blocks", residual_blocks, 0)
    check_choice("padding", padding, PADDINGS)
    check_choice("upsampling", upsampling, UPSAMPLINGS)
    check_share("dropout", dropout)
    blocks = Blocks(normalization, initializer, dtype, inference_statistics, convolution_padding)

    image = blocks.input(image_shape, name="image")
    encoder = _encoder(blocks, image_shape, filters, downsamplings)
    features = encoder(image)
    transformer = _transformer(blocks, features.shape[1:], residual_blocks, padding, dropout)
    decoder = _decoder(blocks, features.shape[1:], downsamplings, output_channels, upsampling)
    return keras.Model(image, decoder(transformer(features)), name=name or "resnet_generator")


def _encoder(blocks, image_shape, filters, downsamplings):
    x = image = blocks.input(image_shape)
    x = blocks.pad(x, 3, "reflect", "stem_pad")
    x = blocks.normalized_convolution(x, filters, 7, "stem")
    for level in range(1, downsamplings + 1):
        name, use_bias = f"down{level}", blocks.bias_before_normalization
        # Explicit zeros on all four sides, as PyTorch: Keras's "same" would shift the image by a pixel.
        x = blocks.padded_convolution(x, filters * 2**level, 3, name, strides=2, use_bias=use_bias)
        x = blocks.relu(blocks.normalize(x, name), name)
    return keras.Model(image, x, name="encoder")


def _transformer(blocks, feature_shape, residual_blocks, padding, dropout):
    x = features = blocks.input(feature_shape)
    for index in range(1, residual_blocks + 1):
        x = blocks.residual_block(x, f"block{index}", padding, dropout)
    if not residual_blocks:  # Keras 3.12 refuses a model whose output is its input
        x = layers.Activation("linear", dtype=blocks.dtype, name="identity")(x)
    return keras.Model(features, x, name="transformer")


def _decoder(blocks, feature_shape, downsamplings, output_channels, upsampling):
    x = features = blocks.input(feature_shape)
    for step in range(1, downsamplings + 1):
        x = blocks.normalized_upsampling(x, x.shape[-1] // 2, f"up{step}", upsampling)
    return keras.Model(features, blocks.head(x, output_channels), name="decoder")
