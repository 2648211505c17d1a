"""VGG19, whose features say how alike two images look."""

import io
import os
import re
import zipfile

import h5py
import keras
import tensorflow as tf
from keras import layers

from tf_cyclegan.networks.blocks import Blocks
from tf_cyclegan.settings.checks import one_line

# Filters and convolutions of each block, up to the last one that features are taken from.
_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1))
# Keras's weights (converted from Caffe) take pixels in levels of 255 about ImageNet's mean, PyTorch's in standard
# deviations about it. Features differ by the same factor.
_DEVIATION = 255 * 0.226


class WeightsUnavailable(ValueError):
    """VGG19's weights could not be downloaded."""


def vgg19_features(weights="imagenet", name=None, dtype=None):
    """The first layer of each of VGG19's five blocks: relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1.

    As in pix2pixHD, images are not normalized: their [-1, 1] are taken for standard deviations of ImageNet's colors,
    as PyTorch's VGG19 would take them, and the features have its scale. The weights are Keras's, trained apart.

    Args:
        weights: `"imagenet"` for Keras's download, None for random weights, or the path of a file (`.h5`,
            `.weights.h5` or `.keras`) of `keras.applications.VGG19`, with or without its top. Defaults to
            `"imagenet"`.
        name: optional name of the model. Defaults to `"vgg19_features"`.
        dtype: dtype or policy; None for the ambient policy. The features are float32 even when it is narrower.

    Returns:
        `keras.Model` that is not trainable, images `(batch, height, width, 3)` in [-1, 1] and RGB to a list of five
        tensors.

    Raises:
        WeightsUnavailable: if they cannot be downloaded.
        ValueError: if the file cannot be read, or is not of VGG19.

    Example:
        >>> [shape[-1] for shape in vgg19_features(weights=None).output_shape]
        [64, 128, 256, 512, 512]

    Reference:
        [Simonyan and Zisserman, 2014](https://arxiv.org/abs/1409.1556)
    """
    blocks = Blocks("none", "kaiming", dtype)
    image = keras.Input((None, None, 3), name="image")
    x = ImageNetColors(dtype=blocks.dtype, name="colors")(image)
    features = []
    for block, (filters, convolutions) in enumerate(_BLOCKS, start=1):
        if block > 1:
            x = layers.MaxPooling2D(2, dtype=blocks.dtype, name=f"block{block}_pool")(x)
        for index in range(1, convolutions + 1):
            part = f"block{block}_{index}"
            x = blocks.relu(blocks.convolution(x, filters, 3, part, padding="same"), part)
            if index == 1:
                scale = layers.Rescaling(1 / _DEVIATION, dtype=blocks.output_dtype, name=f"relu{block}_1")
                features.append(scale(x))
    network = keras.Model(image, features, name=name or "vgg19_features")
    network.trainable = False
    if weights is not None:
        _load(network, _downloaded() if weights == "imagenet" else _read(weights))
    return network


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class ImageNetColors(layers.Layer):
    """Turns RGB in standard deviations of ImageNet's colors into blue, green and red in levels of 255.

    Call arguments:
        inputs: float tensor `(batch, height, width, 3)`.
    """

    def call(self, inputs):
        return inputs[..., ::-1] * tf.cast(_DEVIATION, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        # Keras does not make the configuration of a layer whose dtype is a policy.
        return super().get_config()


def _load(network, pairs):
    convolutions = [layer for layer in network.layers if isinstance(layer, layers.Conv2D)]
    expected = [tuple(layer.kernel.shape) for layer in convolutions]
    found = [kernel.shape for kernel, _ in pairs[: len(convolutions)]]
    if found != expected:
        raise ValueError(
            f"`weights` must be of Keras's VGG19, whose kernels are {expected}. Received: a file with {found}"
        )
    for layer, (kernel, bias) in zip(convolutions, pairs, strict=False):
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)


def _downloaded():
    """Pairs of kernel and bias of Keras's own download."""
    try:
        network = keras.applications.VGG19(weights="imagenet", include_top=False)
    except Exception as error:  # whatever a network, a proxy or a full disk raises
        reason = one_line(error)
        raise WeightsUnavailable(
            f"`weights` of VGG19 could not be downloaded ({reason}). Give a file of them as `perceptual_weights`, or "
            "set `lambda_perceptual` to 0"
        ) from error
    return [layer.get_weights() for layer in network.layers if isinstance(layer, layers.Conv2D)]


def _read(path):
    """Pairs of kernel and bias of any file of Keras, in the order of the layers: all formats have HDF5 inside."""
    path = os.path.expanduser(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                path = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(path, "r") as file:
            return _pairs(file)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"`weights` must be a file of Keras's VGG19. Received: weights={path!r} ({error})") from error


def _pairs(file):
    """Each kernel (of four dimensions) with the bias (of one) in the same folder of the file."""
    folders = {}

    def visit(name, entry):
        if isinstance(entry, h5py.Dataset) and "optimizer" not in name:
            folders.setdefault(name.rpartition("/")[0], {})[entry.ndim] = entry[()]

    file.visititems(visit)
    names = sorted((name for name, found in folders.items() if set(found) == {1, 4}), key=_natural)
    return [(folders[name][4], folders[name][1]) for name in names]


def _natural(name):
    """A key that sorts `conv2d_10` after `conv2d_9`, and `conv2d` before both."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name.replace("/", "_0/"))]
