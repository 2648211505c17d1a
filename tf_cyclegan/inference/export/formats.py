"""Export of a generator as TFLite and ONNX; a file whose answers differ is refused."""

import dataclasses
import importlib
import os

import numpy as np
import tensorflow as tf

from tf_cyclegan.data.images import to_float
from tf_cyclegan.files import write_whole
from tf_cyclegan.inference.export.comparison import expected_translation, probe_image
from tf_cyclegan.inference.export.saved_model import check_generator, for_converters, with_precision
from tf_cyclegan.inference.export.signatures import smallest_exported_side, stride_product
from tf_cyclegan.settings.checks import check_choice

_OPSET = 18


@dataclasses.dataclass(frozen=True)
class Format:
    """A file format.

    Args:
        suffix: str, the end of the file's name, after the name of the model.
        tolerance: float, the largest difference of a pixel, in [-1, 1], with which a file is written.
        packages: names of the modules that the format needs.
        convert: callable, a network to the bytes of the file.
        run: callable, the bytes and float32 images to the translated images.
    """

    suffix: str
    tolerance: float
    packages: tuple
    convert: object
    run: object


class FormatRefused(ValueError):
    """The file cannot be made, or its answers differ from the network's; the message says by how much."""


def export_format(generator, stem, name, size_multiple=None):
    """Converts a generator, runs the result, compares, and only then puts the file in its place.

    The file takes float32 images `(batch, height, width, channels)` in [-1, 1], whose height and width are multiples of
    `size_multiple`, and returns images of the same size.

    Args:
        generator: functional `keras.Model`, images of any size to images.
        stem: path of the file without the suffix of the format, which is added. An existing file is replaced.
        name: str, one of `FORMATS`.
        size_multiple: optional int, the multiple that height and width must be of. Defaults to the product of the
            strides of the generator's convolutions.

    Returns:
        `(path, difference)`: the file, and the largest difference of a pixel in [-1, 1].

    Raises:
        ValueError: if `name` is not in `FORMATS`, or its packages are not installed.
        FormatRefused: if the converter fails, or the difference is larger than the tolerance of the format.
        OSError: if the file cannot be written.

    Example:
        >>> export_format(model.generator("ab"), "exported/horse2zebra_ab", "tflite")  # doctest: +SKIP
        ('exported/horse2zebra_ab.tflite', 4.8e-06)
    """
    check_choice("formats", name, FORMATS)
    check_generator(generator)
    check_packages(name)
    file_format = FORMATS[name]
    network = with_precision(generator, "float32")
    multiple = size_multiple or stride_product(network)
    try:
        data = file_format.convert(network)
    except Exception as error:  # converters fail in ways of their own
        raise FormatRefused(f"{name} cannot be made of this network: {_first_line(error)}") from error
    difference = _difference(file_format, data, network, multiple)
    if not difference <= file_format.tolerance:  # neither is NaN
        raise FormatRefused(
            f"{name} is refused: it differs from the Keras model by {difference:.2g} in [-1, 1], expected at most "
            f"{file_format.tolerance:g}"
        )
    write_whole(path := f"{os.fspath(stem)}{file_format.suffix}", data)
    return path, difference


def check_packages(name):
    """Raises `ValueError` unless the packages of a format are installed; says how to install them."""
    missing = [package for package in FORMATS[name].packages if not is_installed(package)]
    if missing:
        raise ValueError(
            f'`formats` {name} needs pip install "tf_cyclegan[export]". Missing or broken: {", ".join(missing)}'
        )


def is_installed(package):
    """Whether a module can be imported."""
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True


def _translation(network):
    @tf.function(input_signature=[tf.TensorSpec(network.input_shape, tf.float32, "image")])
    def translate(image):
        return {"translated": network(image, training=False)}

    return translate


def _difference(file_format, data, network, size_multiple):
    """The largest difference in two sizes and batches: a converter may have fixed either."""
    side = -(-max(48, smallest_exported_side(size_multiple)) // size_multiple) * size_multiple
    differences = []
    for batch, height in ((1, side), (2, side + size_multiple)):
        pixels = np.repeat(probe_image(height, side, network.input_shape[-1]), batch, axis=0)
        answer = file_format.run(data, to_float(pixels))
        differences.append(np.abs(answer - expected_translation(network, pixels, size_multiple)).max())
    return float(np.max(differences))


def _to_tflite(network, optimizations=(), types=()):
    # With weights of 8 bits a transposed convolution takes TFLite 26 times as long as an enlargement and a convolution.
    network = for_converters(network, transposes=False)
    concrete = _translation(network).get_concrete_function()
    # If it is given the Keras model, the converter stores other variables than the function has, and answers are NaN.
    holder = tf.Module()
    holder.held = [variable.value for variable in network.variables]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder)
    converter.optimizations = list(optimizations)
    converter.target_spec.supported_types = list(types)
    return converter.convert()


def _to_tflite_float16(network):
    return _to_tflite(network, [tf.lite.Optimize.DEFAULT], [tf.float16])


def _to_tflite_int8(network):
    """Weights have 8 bits and activations 32, so that the converter needs no example images."""
    return _to_tflite(network, [tf.lite.Optimize.DEFAULT])


def _run_tflite(data, images):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    (image,), (translated,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(image["index"], images.shape, strict=False)
    interpreter.allocate_tensors()
    interpreter.set_tensor(image["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(translated["index"])


def _to_onnx(network):
    import tf2onnx

    translate = _translation(for_converters(network, transposes=True))
    model, _ = tf2onnx.convert.from_function(translate, input_signature=translate.input_signature, opset=_OPSET)
    return model.SerializeToString()


def _run_onnx(data, images):
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]


_TFLITE, _ONNX = ("ai_edge_litert.interpreter",), ("tf2onnx", "onnxruntime")
# The answers of a trained network differed by 7e-6, 1e-3, 0.09 and 6e-6.
FORMATS = {
    "tflite": Format(".tflite", 1e-3, _TFLITE, _to_tflite, _run_tflite),
    "tflite_float16": Format("_float16.tflite", 0.02, _TFLITE, _to_tflite_float16, _run_tflite),
    "tflite_int8": Format("_int8.tflite", 0.2, _TFLITE, _to_tflite_int8, _run_tflite),
    "onnx": Format(".onnx", 1e-3, _ONNX, _to_onnx, _run_onnx),
}


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]
