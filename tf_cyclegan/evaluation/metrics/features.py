"""Feature extractors: networks from images to features, with the resizing and scaling of the images."""

import itertools
import os
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_cyclegan.data.images import convert_channels, resize
from tf_cyclegan.evaluation.metrics import inception
from tf_cyclegan.settings.checks import check_choice, check_integer
from tf_cyclegan.settings.user_errors import renamed
from tf_cyclegan.weights.pytorch import read_checkpoint
from tf_cyclegan.weights.trained_models import load_keras_file

# The only extractor whose distances are called FID and KID.
INCEPTION = "inception"
# The beginning of other extractors' names.
_OWN = "features of "
RESIZE_RULES = ("legacy_pytorch", "clean")


class FeatureExtractor:
    """A network with the preparation of its images.

    Args:
        network: `keras.Model`, one batch of images to features `(batch, features)`; features of four dimensions are
            averaged over height and width.
        name: str, its name in reports.
        scale: function of float32 pixels in [0, 255] to the values that the network takes. Defaults to no change.
        resize: rule by which images are resized for the network, one of `RESIZE_RULES`; not used by a network of any
            size. Defaults to `"legacy_pytorch"`.
        batch_size: int, images at a time. Defaults to 32.

    Attributes:
        dimensions: int, the number of features of an image.
        image_size: `(height, width)` of the network's images, or None for a network of any size, whose images are not
            resized.

    Raises:
        ValueError: if the network does not have one input of 1 or 3 channels and one output of 2 or 4 dimensions.

    Example:
        >>> extractor = feature_extractor("inception")  # doctest: +SKIP
        >>> extractor(np.zeros((5, 64, 64, 3), np.uint8)).shape  # doctest: +SKIP
        (5, 2048)
    """

    def __init__(self, network, name, scale=None, resize="legacy_pytorch", batch_size=32):
        check_choice("resize", resize, RESIZE_RULES)
        check_integer("batch_size", batch_size, 1)
        _, height, width, self.channels = _input_shape(network)
        self.network, self.name, self.resize, self.batch_size = network, name, resize, batch_size
        self.image_size = None if height is None or width is None else (height, width)
        self.dimensions = network.output_shape[-1]
        self._scale = scale or (lambda pixels: pixels)
        signature = tf.TensorSpec((None, height, width, self.channels), "float32")
        self._run = tf.function(self._pooled, input_signature=[signature])

    def __call__(self, images, batch_size=None):
        """Features of images.

        Args:
            images: uint8 array `(images, height, width, channels)`, or a list of such images of any sizes.
            batch_size: int, images at a time; None for the extractor's. Defaults to None.

        Returns:
            float32 array `(images, features)`.

        Raises:
            ValueError: if an image is not uint8 with 1 or 3 channels.
        """
        return np.concatenate([np.zeros((0, self.dimensions), np.float32), *self.stream(images, batch_size)])

    def stream(self, images, batch_size=None):
        """Features of images that come one by one; only a batch of them is in memory.

        Args:
            images: iterable of uint8 arrays `(height, width, channels)`.
            batch_size: as in `__call__`.

        Yields:
            float32 arrays `(batch, features)`.
        """
        check_integer("batch_size", batch_size or self.batch_size, 1)
        prepared = map(self._prepared, images)
        while batch := list(itertools.islice(prepared, batch_size or self.batch_size)):
            yield np.asarray(self._run(self._stacked(batch)))

    def _prepared(self, image):
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
            raise ValueError(
                "`images` must be uint8 of shape (images, height, width, channels) with 1 or 3 channels, as "
                f"`tf_cyclegan.data.images.to_uint8` makes them. Received: shape={image.shape}, dtype={image.dtype}"
            )
        image = convert_channels(image, self.channels)
        pixels = image.astype(np.float32)
        return self._scale(resize_image(image, self.image_size, self.resize) if self.image_size else pixels)

    def _stacked(self, batch):
        if len({image.shape for image in batch}) > 1:
            raise ValueError(
                f"`images` must all be of one size for a network of any size, or `batch_size` 1, with {self.name}. "
                f"Received: {sorted({image.shape[:2] for image in batch})[:2]}"
            )
        return np.stack(batch)

    def _pooled(self, images):
        features = self.network(images, training=False)
        return tf.cast(features if len(features.shape) == 2 else tf.reduce_mean(features, axis=(1, 2)), "float32")


def feature_extractor(features=INCEPTION, resize="legacy_pytorch", batch_size=32, value_range=(-1, 1)):
    """Makes a feature extractor by its name or from a file, whose kind its contents tell.

    Args:
        features: `"inception"` for the FID's network from Keras's cache or its download; or the path of a file:
            pytorch-fid's Inception (a checkpoint of PyTorch, or safetensors), or a `.keras` file of any network from
            images to features. Defaults to `"inception"`.
        resize: `"legacy_pytorch"` (bilinear without antialiasing, as pytorch-fid) or `"clean"` (antialiased bicubic, as
            clean-fid), by which images are resized for the network. Defaults to `"legacy_pytorch"`.
        batch_size: int, images at a time. Defaults to 32.
        value_range: `(low, high)`, the values that a `.keras` network takes for 0 and 255. Defaults to `(-1, 1)`.

    Returns:
        `FeatureExtractor`, named `"inception"` or `"features of NAME"` after the `.keras` file.

    Raises:
        ValueError: if there is no such file, or it is of another kind.

    Example:
        >>> network = keras.applications.MobileNetV2(include_top=False, pooling="avg")  # doctest: +SKIP
        >>> network.save("mobilenet_v2.keras")  # doctest: +SKIP
        >>> extractor = feature_extractor("mobilenet_v2.keras")  # doctest: +SKIP
    """
    check_choice("resize", resize, RESIZE_RULES)
    settings = {"resize": resize, "batch_size": batch_size}
    features = os.path.expanduser(features)
    if features != INCEPTION and not os.path.isfile(features):
        raise ValueError(
            f"`features` must be {INCEPTION} or the path of a file: pytorch-fid's Inception or a .keras network. "
            f"Received: features={features!r}, and there is no such file"
        )
    if features != INCEPTION and _is_keras_file(features):
        network = load_keras_file(features, "features")
        return FeatureExtractor(network, f"{_OWN}{Path(features).stem}", _scale_to(value_range), **settings)
    state = _read_state(inception.inception_weights() if features == INCEPTION else features)
    if "Conv2d_1a_3x3.conv.weight" in state:
        return FeatureExtractor(inception.inception_features(state), INCEPTION, inception_scale(resize), **settings)
    raise ValueError(
        "`features` must be pytorch-fid's Inception where it is a file of PyTorch; save others as a .keras file. "
        f"Received: {features!r}, whose weights begin {sorted(state)[:2]}"
    )


def distance_name(extractor, kind="frechet"):
    """The name of a distance with the features it is computed from: only Inception's are called FID and KID.

    Args:
        extractor: object with a `name`.
        kind: `"frechet"` or `"kernel"`. Defaults to `"frechet"`.

    Returns:
        str, as `"FID"` or `"Fréchet distance with mobilenet_v2 features"`.

    Raises:
        ValueError: if `kind` is unknown.
    """
    names = {"frechet": ("FID", "Fréchet distance"), "kernel": ("KID", "Kernel distance")}
    check_choice("kind", kind, names)
    short, long = names[kind]
    return short if extractor.name == INCEPTION else f"{long} with {extractor.name.removeprefix(_OWN)} features"


def _input_shape(network):
    inputs, outputs = getattr(network, "inputs", None) or [], getattr(network, "outputs", None) or []
    shapes = [tuple(tensor.shape) for tensor in (*inputs, *outputs)]
    fits = len(inputs) == len(outputs) == 1 and len(shapes[0]) == 4 and shapes[0][3] in (1, 3)
    if not fits or len(shapes[1]) not in (2, 4) or shapes[1][-1] is None:
        raise ValueError(
            "`network` must take one batch of images (batch, height, width, 1 or 3 channels) and give one batch of "
            f"features, of 2 or 4 dimensions. Received: shapes {shapes or 'that are not known'}"
        )
    return shapes[0]


def _read_state(path):
    with renamed(path="features"):
        return read_checkpoint(path)


def _is_keras_file(path):
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "config.json" in archive.namelist()


def _scale_to(value_range):
    low, high = value_range
    if not low < high:
        raise ValueError(f"`value_range` must be (low, high) with low < high. Received: value_range={value_range}")
    return lambda pixels: pixels * np.float32((high - low) / 255) + np.float32(low)


def resize_image(image, size, rule="legacy_pytorch"):
    """Resizes an image for a network.

    Args:
        image: uint8 array `(height, width, channels)`.
        size: `(height, width)` wanted, in pixels.
        rule: `"legacy_pytorch"`, bilinear without antialiasing, as pytorch-fid; or `"clean"`, PIL's antialiased bicubic
            in float32, channel by channel, as clean-fid. Defaults to `"legacy_pytorch"`.

    Returns:
        float32 array `(height, width, channels)` in [0, 255], not rounded.

    Raises:
        ValueError: if `rule` is unknown.

    Reference:
        [Parmar et al., 2022](https://arxiv.org/abs/2104.11222)
    """
    check_choice("rule", rule, RESIZE_RULES)
    image = np.asarray(image, np.float32)
    if rule == "clean":
        return resize(image, size)
    return np.asarray(tf.image.resize(image, size, method="bilinear", antialias=False))


def inception_scale(rule):
    """The function from [0, 255] to the values that Inception takes; pytorch-fid and clean-fid differ by half a level.

    Args:
        rule: one of `RESIZE_RULES`.

    Returns:
        Function of an array.
    """
    if rule == "clean":
        return lambda pixels: (pixels - 128) / 128
    return lambda pixels: pixels / 127.5 - 1
