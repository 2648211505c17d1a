"""The signatures of an exported generator: the functions that TensorFlow Serving calls."""

import dataclasses
import functools
import math

import keras
import tensorflow as tf

from tf_cyclegan.data.value_ranges import range_in
from tf_cyclegan.inference.export.image_decoding import checked_ids, decode_ids, decode_image, is_deep
from tf_cyclegan.models.any_size import SMALLEST_EXPORTED_SIDE, smallest_side, translated
from tf_cyclegan.networks.instance_maps import label_encoding


@dataclasses.dataclass(frozen=True)
class Signatures:
    """The functions of an exported generator.

    Args:
        functions: dict, names of signatures to `tf.function`s with an input signature.
        accelerated: `tf.function` that a TPU can run: it decodes no files and has no strings.
    """

    functions: dict
    accelerated: object


def build_signatures(network, size_multiple, static_sizes=(), value_ranges=(None, None)):
    """Makes the signatures of a generator.

    All but the static ones take images of any height and width of at least `smallest_exported_side(size_multiple)`. The
    images are mirrored to a multiple of `size_multiple`, and the translations cropped back.

    - `serving_default`: `image_bytes`, strings `(batch,)`, PNG or JPEG files of any sizes, to `translated_bytes`, PNG
      files, of 16 bits where both are gray and the image has 16 bits. Only for 1 or 3 channels; for others
      `serving_default` is `tensor`.
    - `tensor`: `image`, float32 `(batch, height, width, channels)` in [-1, 1], to `translated`, the same.
    - `uint8`: `image`, uint8 `(batch, height, width, channels)`, to `translated`, the same.
    - `static_HEIGHTxWIDTH`: `image`, float32 `(1, height, width, channels)` in [-1, 1], to `translated`, the same.

    The signatures of a network with a `LabelEncoding` refuse ids that are no classes. Their files are gray PNGs, and
    another signature takes ids:

    - `ids`: `image`, int32 `(batch, height, width, channels)`, to `translated`, float32 in [-1, 1].

    Args:
        network: `keras.Model`, images of any size to images of the same size.
        size_multiple: int, the multiple that height and width must be of for `network`.
        static_sizes: pairs `(height, width)`. Defaults to none.
        value_ranges: pair of optional `(low, high)`, the values that are black and white in 16-bit images and in their
            translations. Defaults to the lowest and highest of 16 bits.

    Returns:
        `Signatures`.

    Example:
        >>> signatures = build_signatures(generator, 4, static_sizes=[(256, 256)])  # doctest: +SKIP
        >>> signatures.functions["uint8"](images)["translated"]  # doctest: +SKIP
    """
    channels = (network.input_shape[-1], network.output_shape[-1])
    translate = tf.function(functools.partial(_translated, network, size_multiple))
    min_side = smallest_exported_side(size_multiple)
    encoding = label_encoding(network)
    checked = functools.partial(_checked, min_side=min_side, encoding=encoding)
    decode = functools.partial(
        _decoded, channels=channels[0], min_side=min_side, encoding=encoding, value_range=value_ranges[0]
    )
    # The depth of ids does not tell the depth of pictures.
    keeps_depth = encoding is None and channels[1] == 1
    encode = functools.partial(_encoded, keeps_depth=keeps_depth, value_range=value_ranges[1])
    tensor = _tensor_signature(translate, channels[0], checked)
    encodable = set(channels) <= {1, 3}
    functions = {
        "serving_default": _bytes_signature(translate, decode, encode) if encodable else tensor,
        "tensor": tensor,
        "uint8": _uint8_signature(translate, channels[0], checked),
    }
    if encoding is not None:
        functions["ids"] = _ids_signature(translate, channels[0], checked)
    static = {
        f"static_{height}x{width}": _static_signature(network, size_multiple, (height, width, channels[0]))
        for height, width in static_sizes
    }
    strict = {name: _strict(function, encoding) for name, function in static.items()}
    return Signatures({**functions, **strict}, next(iter(static.values()), translate))


def smallest_exported_side(size_multiple):
    """Smallest height and width, in pixels, of an image for a generator that is exported with a `size_multiple`."""
    return max(SMALLEST_EXPORTED_SIDE, smallest_side(size_multiple))


def stride_product(network):
    """The multiple that images of a network must be of: the product of the strides of its convolutions."""
    layers = network._flatten_layers(include_self=False)
    return math.prod(max(layer.strides) for layer in layers if isinstance(layer, keras.layers.Conv2D))


def _translated(network, size_multiple, images):
    return tf.cast(translated(network, images, size_multiple), tf.float32)


def _decoded(data, channels, min_side, encoding, value_range):
    """The image in a file, float32 `(1, height, width, channels)` in [-1, 1]."""
    if encoding is None:
        return _to_float(decode_image(data, channels, min_side, value_range))[tf.newaxis]
    return checked_ids(_to_float(decode_ids(data, min_side))[tf.newaxis], encoding)


def _encoded(translation, data, keeps_depth, value_range):
    """The PNG file of a translation; with `keeps_depth` it has 16 bits where the file of its image has 16 bits."""

    def encode_8_bits():
        return tf.io.encode_png(_to_uint8(translation))

    def encode_16_bits():
        return tf.io.encode_png(_to_uint16(translation, value_range))

    return tf.cond(is_deep(data), encode_16_bits, encode_8_bits) if keeps_depth else encode_8_bits()


def _bytes_signature(translate, decode, encode):
    def translate_file(data):
        return encode(translate(decode(data))[0], data)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serve_bytes(image_bytes):
        # One file after the other: the default, ten at a time, would take ten times the memory.
        files = tf.map_fn(translate_file, image_bytes, fn_output_signature=tf.string, parallel_iterations=1)
        return {"translated_bytes": files}

    return serve_bytes


def _tensor_signature(translate, channels, checked):
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, channels], tf.float32, "image")])
    def serve_tensor(image):
        return {"translated": translate(checked(image))}

    return serve_tensor


def _uint8_signature(translate, channels, checked):
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, channels], tf.uint8, "image")])
    def serve_uint8(image):
        return {"translated": _to_uint8(translate(checked(_to_float(image))))}

    return serve_uint8


def _ids_signature(translate, channels, checked):
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, channels], tf.int32, "image")])
    def serve_ids(image):
        return {"translated": translate(checked(_to_float(image)))}

    return serve_ids


def _static_signature(network, size_multiple, shape):
    @tf.function(input_signature=[tf.TensorSpec([1, *shape], tf.float32, "image")])
    def serve_static(image):
        return {"translated": _translated(network, size_multiple, image)}

    return serve_static


def _strict(function, encoding):
    """The signature with a check of its ids around it; a TPU that runs the signature itself has no strings."""
    if encoding is None:
        return function

    @tf.function(input_signature=function.input_signature)
    def serve_strict(image):
        return function(checked_ids(image, encoding))

    return serve_strict


def _checked(images, min_side, encoding):
    """The same images, if they are large enough to be mirrored, and the ids of label maps are classes.

    Without this check smaller images would end in an error that nobody understands.
    """
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    found = [tf.strings.as_string(height), "x", tf.strings.as_string(width)]
    message = tf.strings.join([f"Expected images with sides of at least {min_side} pixels. Found: ", *found])
    with tf.control_dependencies([tf.debugging.Assert(tf.minimum(height, width) >= min_side, [message])]):
        images = tf.identity(images)
    return images if encoding is None else checked_ids(images, encoding)


def _to_float(images):
    """`images.to_float` in the graph."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def _to_uint8(images):
    """`images.to_uint8` in the graph."""
    return tf.cast(tf.clip_by_value(tf.round((images + 1.0) * 127.5), 0.0, 255.0), tf.uint8)


def _to_uint16(images, value_range):
    """`value_ranges.from_unit` in the graph."""
    low, high = range_in(tf.uint16.as_numpy_dtype, value_range)
    return tf.cast(tf.clip_by_value(tf.round(low + (images + 1.0) * ((high - low) / 2)), low, high), tf.uint16)
