"""Comparison of an exported model, loaded as TensorFlow Serving loads it, with the network that it was made of."""

import numpy as np
import tensorflow as tf

from tf_cyclegan.data import images
from tf_cyclegan.data.value_ranges import range_in
from tf_cyclegan.inference.export.signatures import smallest_exported_side
from tf_cyclegan.models.any_size import translated
from tf_cyclegan.networks.instance_maps import label_encoding
from tf_cyclegan.serving.engine import Engine
from tf_cyclegan.serving.errors import ServingError

# The largest difference of a pixel that is right, in [-1, 1]. Trained networks differed by 1e-6 in float32 and by up to
# 0.08 in bfloat16.
TOLERANCES = {"float32": 1e-3, "bfloat16": 0.25}
_HALF_LEVEL = 0.5 / 127.5


def check_saved_model(path, network, functions, size_multiple, tolerance, value_ranges=(None, None)):
    """Runs every signature of a SavedModel as TensorFlow Serving would, its warmup first.

    Args:
        path: folder of the SavedModel.
        network: `keras.Model` in float32, whose answers are right.
        functions: dict, names of signatures to `tf.function`s with an input signature.
        size_multiple: int, the multiple that height and width must be of for `network`.
        tolerance: float, largest difference of a pixel in [-1, 1] that is right.
        value_ranges: as in `build_signatures`. Defaults to none.

    Returns:
        float, the largest difference found, without the half level by which 8 bits round.

    Raises:
        ValueError: if the model cannot be loaded or run, or a difference is larger.
    """
    try:
        differences = dict(_differences(path, network, functions, size_multiple, value_ranges))
    except (ServingError, RuntimeError, tf.errors.OpError) as error:
        raise ValueError(f"the exported model does not run and was not published: {error}") from error
    name = list(differences)[np.argmax(list(differences.values()))]  # NaN counts as the largest
    largest = differences[name]
    if not largest <= tolerance:
        raise ValueError(
            f"the exported model was not published, as its answers are not the Keras model's: the signature {name} "
            f"differs by {largest:.3g}, expected at most {tolerance:g}"
        )
    return largest


def probe_image(height, width, channels):
    """An image with a flat ground, a gradient and noise, which networks and their normalization treat differently.

    Args:
        height, width, channels: its size.

    Returns:
        uint8 array `(1, height, width, channels)`, the same for each call.
    """
    image = np.full((1, height, width, channels), 255, np.uint8)
    image[:, : height // 2, : width // 2] = np.linspace(0, 255, width // 2)[:, None]
    noise = image[:, height // 2 :, width // 4 :]
    noise[:] = np.random.default_rng(0).integers(0, 256, noise.shape)
    return image


def expected_translation(network, pixels, size_multiple):
    """The translations of images of any size by the network itself.

    Args:
        network: `keras.Model`.
        pixels: array `(batch, height, width, channels)` in [0, 255].
        size_multiple: int, the multiple that height and width must be of for `network`.

    Returns:
        float32 array `(batch, height, width, channels)`.
    """
    return np.asarray(translated(network, images.to_float(pixels), size_multiple), np.float32)


def _differences(path, network, functions, size_multiple, value_ranges):
    """Yields the name of each signature and its largest difference."""
    encoding = label_encoding(network)
    engine = Engine(path)
    try:
        engine.replay_warmup()
        for name, function in functions.items():
            spec = function.input_signature[0]
            pixels = probe_image(*_probe_size(spec, network, size_multiple))
            if encoding is not None:
                pixels %= np.uint8(min(encoding.classes, 255))
            expected = expected_translation(network, pixels, size_multiple)
            yield name, _difference(engine.run(name, {spec.name: _encoded(pixels, spec.dtype)}), expected)
            if spec.dtype == tf.string:
                file, read = _deep_file(pixels, value_ranges[0]) if encoding is None else _deep_ids(pixels)
                expected = expected_translation(network, read, size_multiple)
                answer = engine.run(name, {spec.name: np.array([file], object)})
                of_answer = range_in(np.uint16, value_ranges[1])
                yield f"{name} on an image of 16 bits", _difference(answer, expected, of_answer)
    finally:
        engine.close()


def _probe_size(spec, network, size_multiple):
    """Height, width and channels of a probe: the fixed size of a signature, or a size that is no multiple."""
    if spec.shape.rank == 4 and spec.shape[1] is not None:
        return tuple(spec.shape)[1:]
    side = max(48, smallest_exported_side(size_multiple))
    return side + 17, side + 3, network.input_shape[-1]


def _encoded(pixels, dtype):
    if dtype == tf.string:
        return np.array([tf.io.encode_png(image).numpy() for image in pixels], object)
    return images.to_float(pixels) if dtype == tf.float32 else pixels.astype(dtype.as_numpy_dtype)


def _deep_file(pixels, value_range):
    """A gray PNG of 16 bits with values from below the range to above it, and the image that training reads in it."""
    low, high = value_range or (0, 65535)
    margin = (high - low) / 10
    values = low - margin + pixels[0, ..., :1] / 255.0 * (high - low + 2 * margin)
    file = tf.io.encode_png(np.clip(np.rint(values), 0, 65535).astype(np.uint16)).numpy()
    return file, images.read_image(file, pixels.shape[-1], value_range)[None]


def _deep_ids(pixels):
    """A PNG of 16 bits that holds ids, which have no range, and the ids that training reads in it."""
    return tf.io.encode_png(pixels[0].astype(np.uint16)).numpy(), pixels


def _difference(outputs, expected, value_range=None):
    (answer,) = outputs.values()
    levels = answer.dtype == object
    if levels:
        answer = np.stack([images.read_image(file, expected.shape[-1], value_range) for file in answer])
    if answer.shape != expected.shape:
        return np.inf
    if levels or answer.dtype == np.uint8:
        difference = np.abs(images.to_float(answer) - np.clip(expected, -1, 1))
        return float(np.maximum(difference - _HALF_LEVEL, 0).max())
    return float(np.abs(answer - expected).max())
