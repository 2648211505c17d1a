"""Export of a generator as a SavedModel that TensorFlow Serving runs."""

import os

import keras
import tensorflow as tf

from tf_cyclegan.files import write_whole
from tf_cyclegan.inference.export.comparison import TOLERANCES, check_saved_model
from tf_cyclegan.inference.export.publishing import publish_version
from tf_cyclegan.inference.export.signatures import build_signatures, smallest_exported_side, stride_product
from tf_cyclegan.inference.export.warmup import write_warmup
from tf_cyclegan.networks.instance_maps import label_encoding
from tf_cyclegan.networks.layers.convolution import Conv2D
from tf_cyclegan.settings.checks import check_choice, check_integer
from tf_cyclegan.weights.known_ranges import RANGES_FILE, Ranges, exported_text, notes_of
from tf_cyclegan.weights.trained_models import TAKES_IDS_FILE

# The name by which tools that move a model to TPUs find the function to move.
_ACCELERATED = "tpu_func"
_NOTES_FILE = os.path.join("assets.extra", "notes.txt")
_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
PRECISIONS = tuple(_POLICIES)


def export_saved_model(
    generator,
    directory,
    size_multiple=None,
    static_sizes=(),
    precision="float32",
    keep=None,
    report=None,
    notes=(),
    takes_ids=False,
    value_ranges=(None, None),
):
    """Exports a generator as the next version of a served model, `directory/VERSION`.

    Before the version is published, it is loaded as TensorFlow Serving loads it, and every signature (see
    `build_signatures`) is run and compared with the generator. Existing versions are never touched. If the comparison
    fails, nothing is left.

    Args:
        generator: `keras.Model`, images `(batch, height, width, channels)` in [-1, 1] of any size to images of the same
            size.
        directory: folder of the model's versions; its name is the name of the model in a server.
        size_multiple: optional int, the multiple that height and width must be of for `generator`: images are mirrored
            to it, and translations cropped back. Defaults to the product of the strides of its convolutions.
        static_sizes: pairs `(height, width)` in pixels that get a signature `static_HEIGHTxWIDTH`. Defaults to none.
        precision: `"float32"`, or `"bfloat16"` for TPUs, GPUs and CPUs with AMX; images, translations and weights stay
            float32. Other CPUs are many times slower with `"bfloat16"`. Defaults to `"float32"`.
        keep: optional int, the number of newest versions that stay. Defaults to None, all.
        report: optional callable that gets lines about what was done. Defaults to None.
        notes: lines for people who serve the model, as `TranslationModel.notes`; they are reported, and written to
            `assets.extra/notes.txt` of the version. Defaults to none.
        takes_ids: bool, whether images are label maps, as `TranslationModel.takes_ids`; `tf-cyclegan translate` then
            reads ids from their files. Defaults to False.
        value_ranges: pair of optional `(low, high)`, the values that are black and white in 16-bit images and in their
            translations, as in the training; they are written to the version. Defaults to the lowest and highest of 16
            bits.

    Returns:
        str, the path of the new version.

    Raises:
        ValueError: if an argument is out of its range, or the answers of the exported model differ from `generator`'s.
        OSError: if it cannot be written.

    Example:
        >>> export_saved_model(model.generator("ab"), "exported/horse2zebra_ab")  # doctest: +SKIP
        'exported/horse2zebra_ab/1'
    """
    check_generator(generator)
    check_choice("precision", precision, PRECISIONS)
    if keep is not None:
        check_integer("keep", keep, 1)
    size_multiple = stride_product(generator) if size_multiple is None else size_multiple
    check_integer("size_multiple", size_multiple, 1)
    _check_static_sizes(static_sizes, smallest_exported_side(size_multiple))
    ranges = Ranges(*value_ranges)
    ids = takes_ids or label_encoding(generator) is not None
    notes = (*notes, *notes_of(ranges, generator.input_shape[-1], ids))
    report = report or (lambda line: None)
    reference = with_precision(generator, "float32")
    network = reference if precision == "float32" else with_precision(generator, precision)
    signatures = build_signatures(network, size_multiple, static_sizes, ranges)
    name = os.path.basename(os.path.abspath(directory))
    differences = []

    def write(path):
        _write(path, network, signatures)
        _write_lines(path, _NOTES_FILE, notes)
        _write_lines(path, TAKES_IDS_FILE, ["images are label maps"] if takes_ids else ())
        _write_lines(path, RANGES_FILE, [exported_text(ranges)] if any(ranges) else ())
        level = 0 if ids else 128
        if not write_warmup(path, name, signatures.functions, smallest_exported_side(size_multiple), level):
            report('No warmup requests were written: they need pip install "tf_cyclegan[export]".')
        tolerance = TOLERANCES[precision]
        differences.append(check_saved_model(path, reference, signatures.functions, size_multiple, tolerance, ranges))

    path = publish_version(directory, write, keep)
    for line in (f"differs from the Keras model by at most {differences[0]:.2g} in [-1, 1].", *notes):
        report(f"{path}: {line}")
    return path


def write_saved_model(generator, path, size_multiple):
    """Writes a SavedModel without a version, warmup and comparison, in half the time of `export_saved_model`.

    Args:
        generator: `keras.Model`, as in `export_saved_model`.
        path: folder of the SavedModel, which does not exist yet.
        size_multiple: int, the multiple that height and width must be of for `generator`.

    Raises:
        OSError: if it cannot be written.
    """
    network = with_precision(generator, "float32")
    _write(path, network, build_signatures(network, size_multiple))


def check_generator(generator):
    """Raises `ValueError` unless `generator` is a network from one image of any size to one image."""
    shapes = [getattr(generator, f"{end}_shape", None) for end in ("input", "output")]
    if not all(isinstance(shape, tuple) and len(shape) == 4 and shape[3] for shape in shapes):
        raise ValueError(
            "`generator` must be a network from one image to one image, (batch, height, width, channels) with known "
            f"channels. Received: input_shape={shapes[0]}, output_shape={shapes[1]}"
        )
    if shapes[0][1:3] != (None, None):
        raise ValueError(
            "`generator` must take images of any size: build it with the image shape (None, None, channels) and load "
            f"the weights. Received: input_shape={shapes[0]}"
        )


def _check_static_sizes(static_sizes, min_side):
    for size in static_sizes:
        if len(size) != 2 or not all(isinstance(side, int) and side >= min_side for side in size):
            raise ValueError(
                f"`static_sizes` must be pairs (height, width) of at least {min_side} pixels. "
                f"Received: static_sizes={static_sizes}"
            )


def _write(path, network, signatures):
    archive = keras.export.ExportArchive()
    archive.track(network)
    for name, function in signatures.functions.items():
        archive.add_endpoint(name, function)
    options = tf.saved_model.SaveOptions(function_aliases={_ACCELERATED: signatures.accelerated})
    archive.write_out(path, options=options, verbose=False)


def _write_lines(path, name, lines):
    if lines:
        file = os.path.join(path, name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        write_whole(file, "".join(f"{line}\n" for line in lines).encode())


# ---- copies of networks ----


def with_precision(network, precision):
    """A network with the same weights that computes in `precision` and answers in float32.

    Args:
        network: functional `keras.Model` with one output.
        precision: `"float32"` or `"bfloat16"`, in which the weights stay float32 as in mixed-precision training.

    Returns:
        `network` itself if it computes in float32 and `precision` is float32, otherwise a copy.

    Raises:
        ValueError: if a network that must be copied is not functional.
    """
    layers = network._flatten_layers(include_self=False)
    if precision == "float32" and all(layer.compute_dtype == "float32" for layer in layers):
        return network
    last = _last_layer(network)

    def copy(layer):
        policy = "float32" if layer is last else _POLICIES[precision]
        return type(layer).from_config({**layer.get_config(), "dtype": policy})

    return _clone(network, copy)


def for_converters(network, transposes):
    """A copy of a network that TFLite's converter understands for images of any size.

    Args:
        network: functional `keras.Model`.
        transposes: bool, whether convolutions that double their images stay transposed convolutions. Otherwise each is
            an enlargement and a convolution with a smaller kernel.

    Returns:
        `keras.Model` with the same weights and the same answers.

    Raises:
        ValueError: if the network is not functional.
    """

    def copy(layer):
        kind = type(layer)
        if isinstance(layer, keras.layers.UpSampling2D) and layer.interpolation == "nearest":
            kind = _NearestUpSampling2D
        elif getattr(layer, "doubles", False) and not transposes:
            kind = _TwoStepConv2D
        return kind.from_config(layer.get_config())

    return _clone(network, copy)


class _NearestUpSampling2D(keras.layers.UpSampling2D):
    """An enlargement in one operation: Keras repeats pixels, and the converter then loses the number of channels."""

    def call(self, inputs):
        return _enlarged(inputs, self.size)


class _TwoStepConv2D(Conv2D):
    """A convolution that doubles its images, as an enlargement and a convolution."""

    def convolution_op(self, inputs, kernel):
        return tf.nn.conv2d(_enlarged(inputs, 2), tf.cast(tf.convert_to_tensor(kernel), inputs.dtype), 1, "SAME")


def _enlarged(images, factor):
    return tf.raw_ops.ResizeNearestNeighbor(images=images, size=tf.shape(images)[1:3] * factor)


def _clone(network, copy):
    clone = keras.models.clone_model(network, clone_function=copy, recursive=True)
    clone.set_weights(network.get_weights())
    return clone


def _last_layer(network):
    """The layer that makes the output; in a nested network a layer of the inner one."""
    layer = network
    while isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        layer = layer.outputs[0]._keras_history.operation
    return layer
