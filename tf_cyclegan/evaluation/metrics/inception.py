"""Inception, the network of the published FID, and its weights."""

import hashlib
import re

import keras
import numpy as np
from keras import layers

from tf_cyclegan.settings.checks import one_line
from tf_cyclegan.weights.pytorch import read_checkpoint

IMAGE_SIZE = 299
DIMENSIONS = 2048
WEIGHTS_FILE = "pt_inception-2015-12-05-6726825d.pth"
WEIGHTS_URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{WEIGHTS_FILE}"
_SHA256_START = "6726825d"
_CLASSES = 1008  # in TensorFlow's file; torchvision's Inception has 1000
_DESCRIPTION = f"the FID's Inception, {WEIGHTS_FILE}"
# What features do not need: the classifier, and the number of batches that a normalization has seen.
_UNUSED = re.compile(r"^(fc|classifier)\.|\.num_batches_tracked$")
# PyTorch's names of weights, by Keras's.
_SUFFIXES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class WeightsUnavailable(ValueError):
    """Inception's weights could not be downloaded."""


def inception_weights():
    """The path of Inception's weights, 95 MB, which Keras downloads once into its cache.

    Returns:
        str.

    Raises:
        WeightsUnavailable: if they are not in the cache and cannot be downloaded, or the file is damaged.
    """
    try:
        path = keras.utils.get_file(WEIGHTS_FILE, WEIGHTS_URL, cache_subdir="models")
    except Exception as error:  # whatever a network, a proxy or a full disk raises
        raise WeightsUnavailable(
            f"`weights` of Inception could not be downloaded ({one_line(error)}). Fetch {WEIGHTS_URL} elsewhere and "
            "give the file's path instead of inception"
        ) from error
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(_SHA256_START):
        raise WeightsUnavailable(
            f"`weights` of Inception must have a SHA-256 that begins {_SHA256_START}. "
            f"Received: {path!r} with {found[:8]}. Delete the file to download it again"
        )
    return path


def inception_features(weights=None, name="inception_features"):
    """Inception up to its global average, as pytorch-fid has it.

    Args:
        weights: path of `pt_inception-2015-12-05-6726825d.pth`, as from `inception_weights()`, or a dict of its arrays
            by PyTorch's names; None for random weights. Defaults to None.
        name: name of the model.

    Returns:
        `keras.Model` in float32 that is not trainable, images `(batch, 299, 299, 3)` in [-1, 1] and RGB to features
        `(batch, 2048)`. `features.resize_image` resizes images for it.

    Raises:
        ValueError: if the file cannot be read, or has the weights of another network.

    Example:
        >>> inception_features().output_shape
        (None, 2048)

    Reference:
        [Szegedy et al., 2015](https://arxiv.org/abs/1512.00567)
    """
    image = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3), name="image")
    x = _stem(image)
    for block, width in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        x = _block_a(x, block, width)
    x = _block_b(x, "Mixed_6a")
    for block, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        x = _block_c(x, block, width)
    x = _block_d(x, "Mixed_7a")
    x = _block_e(x, "Mixed_7b", _average)
    x = _block_e(x, "Mixed_7c", _maximum)
    network = keras.Model(image, layers.GlobalAveragePooling2D(dtype="float32", name="pool3")(x), name=name)
    network.trainable = False
    if weights is not None:
        _load(network, weights if isinstance(weights, dict) else read_checkpoint(weights))
    return network


def _load(network, state):
    """Loads all weights or none."""
    classes = len(state["fc.bias"]) if "fc.bias" in state else _CLASSES
    if classes != _CLASSES or any(key.startswith("AuxLogits.") for key in state):
        raise ValueError(
            f"`weights` must be of {_DESCRIPTION}. Received: torchvision's Inception, which was trained apart and "
            "gives other distances"
        )
    values = {}
    for layer in network.layers:
        for weight in layer.weights:
            key = f"{layer.name}.{_SUFFIXES[weight.name]}"
            values[key] = (weight, _value(state, key, weight))
    left = sorted(key for key in state if key not in values and not _UNUSED.search(key))
    if left:
        raise ValueError(f"`weights` must be of {_DESCRIPTION}. Received: a file that also has {left[0]!r}")
    for weight, value in values.values():
        weight.assign(value)


def _value(state, key, weight):
    if key not in state:
        raise ValueError(f"`weights` must be of {_DESCRIPTION}. Received: a file without {key!r}")
    value = np.asarray(state[key], np.float32)
    value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
    if value.shape != tuple(weight.shape):
        raise ValueError(
            f"`weights` must be of {_DESCRIPTION}, with {tuple(weight.shape)} at {key!r} (in Keras's order). "
            f"Received: {value.shape}"
        )
    return value


# ---- the blocks ----


def _stem(x):
    x = _convolution(x, "Conv2d_1a_3x3", 32, 3, strides=2, padding="valid")
    x = _convolution(x, "Conv2d_2a_3x3", 32, 3, padding="valid")
    x = _convolution(x, "Conv2d_2b_3x3", 64, 3)
    x = layers.MaxPooling2D(3, 2, dtype="float32", name="pool1")(x)
    x = _convolution(x, "Conv2d_3b_1x1", 80, 1, padding="valid")
    x = _convolution(x, "Conv2d_4a_3x3", 192, 3, padding="valid")
    return layers.MaxPooling2D(3, 2, dtype="float32", name="pool2")(x)


def _block_a(x, name, pool_width):
    branches = [
        _convolution(x, f"{name}.branch1x1", 64, 1),
        _chain(x, name, "branch5x5", (48, 1), (64, 5)),
        _chain(x, name, "branch3x3dbl", (64, 1), (96, 3), (96, 3)),
        _convolution(_average(x, name), f"{name}.branch_pool", pool_width, 1),
    ]
    return _joined(branches, name)


def _block_b(x, name):
    double = _chain(x, name, "branch3x3dbl", (64, 1), (96, 3))
    branches = [
        _convolution(x, f"{name}.branch3x3", 384, 3, strides=2, padding="valid"),
        _convolution(double, f"{name}.branch3x3dbl_3", 96, 3, strides=2, padding="valid"),
        layers.MaxPooling2D(3, 2, dtype="float32", name=f"{name}.pool")(x),
    ]
    return _joined(branches, name)


def _block_c(x, name, width):
    wide, high = (1, 7), (7, 1)
    steps = ((width, 1), (width, high), (width, wide), (width, high), (192, wide))
    branches = [
        _convolution(x, f"{name}.branch1x1", 192, 1),
        _chain(x, name, "branch7x7", (width, 1), (width, wide), (192, high)),
        _chain(x, name, "branch7x7dbl", *steps),
        _convolution(_average(x, name), f"{name}.branch_pool", 192, 1),
    ]
    return _joined(branches, name)


def _block_d(x, name):
    single = _convolution(x, f"{name}.branch3x3_1", 192, 1)
    long = _chain(x, name, "branch7x7x3", (192, 1), (192, (1, 7)), (192, (7, 1)))
    branches = [
        _convolution(single, f"{name}.branch3x3_2", 320, 3, strides=2, padding="valid"),
        _convolution(long, f"{name}.branch7x7x3_4", 192, 3, strides=2, padding="valid"),
        layers.MaxPooling2D(3, 2, dtype="float32", name=f"{name}.pool")(x),
    ]
    return _joined(branches, name)


def _block_e(x, name, pool):
    single = _convolution(x, f"{name}.branch3x3_1", 384, 1)
    double = _chain(x, name, "branch3x3dbl", (448, 1), (384, 3))
    branches = [
        _convolution(x, f"{name}.branch1x1", 320, 1),
        *_crossed(single, f"{name}.branch3x3_2"),
        *_crossed(double, f"{name}.branch3x3dbl_3"),
        _convolution(pool(x, name), f"{name}.branch_pool", 192, 1),
    ]
    return _joined(branches, name)


def _crossed(x, name):
    return _convolution(x, f"{name}a", 384, (1, 3)), _convolution(x, f"{name}b", 384, (3, 1))


def _chain(x, block, branch, *steps):
    """Convolutions in a row, each a pair of width and kernel size, numbered from 1."""
    for number, (width, size) in enumerate(steps, start=1):
        x = _convolution(x, f"{block}.{branch}_{number}", width, size)
    return x


def _convolution(x, name, width, size, strides=1, padding="same"):
    settings = {"use_bias": False, "dtype": "float32", "name": f"{name}.conv"}
    x = layers.Conv2D(width, size, strides, padding, **settings)(x)
    x = layers.BatchNormalization(epsilon=1e-3, dtype="float32", name=f"{name}.bn")(x)
    return layers.ReLU(dtype="float32", name=f"{name}.relu")(x)


def _average(x, name):
    # TensorFlow leaves pixels beyond the border out of an average, as pytorch-fid does and torchvision does not.
    return layers.AveragePooling2D(3, 1, "same", dtype="float32", name=f"{name}.pool")(x)


def _maximum(x, name):
    return layers.MaxPooling2D(3, 1, "same", dtype="float32", name=f"{name}.pool")(x)


def _joined(branches, name):
    return layers.Concatenate(dtype="float32", name=name)(branches)
