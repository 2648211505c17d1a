"""MobileNetV2 with torchvision's weights: features where Inception's 95 MB are too much or cannot be had."""

import keras
from keras import layers

from tf_cyclegan.metrics.torch_weights import load_classifier
from tf_cyclegan.pytorch import read_checkpoint

IMAGE_SIZE = 224
DIMENSIONS = 1280
# Groups of blocks: how much wider a block is inside, its channels, how many of them, the first one's stride.
_GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
# Of ImageNet's colors in [0, 1], red, green and blue.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


def mobilenet_v2_features(weights=None, name="mobilenet_v2_features"):
    """MobileNetV2 up to the global average after its last convolution, as torchvision has it.

    Args:
        weights: path of torchvision's `mobilenet_v2-*.pth`, or a dict of its arrays by PyTorch's names; None for random
            weights. Defaults to None.
        name: name of the model.

    Returns:
        `keras.Model` in float32 that is not trainable, images `(batch, 224, 224, 3)` in [0, 255] and RGB, which it
        normalizes by ImageNet's colors, to features `(batch, 1280)`.

    Raises:
        ValueError: if the file cannot be read, or is not of this network.

    Example:
        >>> mobilenet_v2_features().output_shape
        (None, 1280)

    Reference:
        [Sandler et al., 2018](https://arxiv.org/abs/1801.04381)
    """
    image = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3), name="image")
    scale = [1 / (255 * deviation) for deviation in _DEVIATION]
    offset = [-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)]
    x = layers.Rescaling(scale, offset, dtype="float32", name="colors")(image)
    x = _normalized(_convolution(x, 32, 3, 2, "features.0.0"), "features.0.1")
    number = 1
    for factor, channels, repeats, strides in _GROUPS:
        for index in range(repeats):
            x = _block(x, factor, channels, strides if index == 0 else 1, f"features.{number}")
            number += 1
    x = _normalized(_convolution(x, DIMENSIONS, 1, 1, f"features.{number}.0"), f"features.{number}.1")
    network = keras.Model(image, layers.GlobalAveragePooling2D(dtype="float32", name="pool")(x), name=name)
    network.trainable = False
    if weights is not None:
        state = weights if isinstance(weights, dict) else read_checkpoint(weights)
        load_classifier(network, state, "torchvision's MobileNetV2")
    return network


def _block(x, factor, channels, strides, name):
    """Widens, convolves each channel by itself, narrows; and adds the input where the shapes are equal."""
    y, part = x, 0
    if factor != 1:
        y = _normalized(_convolution(y, factor * x.shape[-1], 1, 1, f"{name}.conv.0.0"), f"{name}.conv.0.1")
        part = 1
    y = _normalized(_depthwise(y, strides, f"{name}.conv.{part}.0"), f"{name}.conv.{part}.1")
    y = _convolution(y, channels, 1, 1, f"{name}.conv.{part + 1}")
    y = _normalized(y, f"{name}.conv.{part + 2}", active=False)
    if strides == 1 and x.shape[-1] == channels:
        y = layers.Add(dtype="float32", name=f"{name}.sum")([x, y])
    return y


def _convolution(x, channels, size, strides, name):
    settings = {"use_bias": False, "dtype": "float32", "name": name}
    return layers.Conv2D(channels, size, strides, **settings)(_padded(x, size, name))


def _depthwise(x, strides, name):
    settings = {"use_bias": False, "dtype": "float32", "name": name}
    return layers.DepthwiseConv2D(3, strides, **settings)(_padded(x, 3, name))


def _padded(x, size, name):
    # The same on all sides, as PyTorch; Keras's "same" gives strided convolutions of even sizes less above and left.
    return x if size == 1 else layers.ZeroPadding2D(size // 2, dtype="float32", name=f"{name}.padding")(x)


def _normalized(x, name, active=True):
    x = layers.BatchNormalization(epsilon=1e-5, dtype="float32", name=name)(x)
    return layers.ReLU(max_value=6, dtype="float32", name=f"{name}.relu")(x) if active else x
