"""Decoding of image files and label maps inside the exported graph."""

import tensorflow as tf

from tf_cyclegan.data.labels import expected_ids
from tf_cyclegan.networks.instance_maps import to_ids
from tf_cyclegan.settings.server_limits import MAX_PIXELS, MAX_SIDE

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_PNG_HEADER = 26  # bytes to the end of the color type
DEPTH, COLOR_TYPE = 24, 25  # the places of both bytes in the header
GRAY, _PALETTE = 0, 3  # color types
# The color types of PNG by their numbers; 1 and 5 do not exist.
_KINDS = ("", "", "of colors", "with a palette", "with transparency", "", "of colors")
# How far a value may be from a whole id: rounding stays far below, values in other units do not.
_WHOLE = 0.1


def decode_image(data, channels, min_side, value_range=None):
    """Decodes a PNG or JPEG; transparent pixels are laid on white.

    Args:
        data: scalar string tensor, the file.
        channels: int, 1 (luma gray) or 3 (color).
        min_side: int, pixels that height and width must have at least.
        value_range: optional `(low, high)`, the values of 16-bit gray that become 0 and 255. Defaults to (0, 65535).

    Returns:
        float32 tensor `(height, width, channels)` in [0, 255].

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs, if the file is no PNG or JPEG, is broken, or has too few or
            too many pixels; the message says what was expected and what was found.
    """
    header, is_png = png_header(data)
    with tf.control_dependencies([_check_kind(is_png | is_jpeg(header), data)]):
        size = tf.cond(is_png, lambda: png_size(header), lambda: tf.io.extract_jpeg_shape(data, tf.int64)[:2])
    with tf.control_dependencies([check_size(size[0], size[1], min_side)]):
        data = tf.identity(data)
    pixels = tf.cond(
        is_png,
        lambda: _decode_png(data, header, channels, value_range or (0, 65535)),
        lambda: _decode_jpeg(data, channels),
    )
    return tf.ensure_shape(pixels, [None, None, channels])


def png_header(data):
    """The first bytes of a file as a uint8 tensor, and whether they are the header of a PNG."""
    header = tf.io.decode_raw(tf.strings.substr(data + b"\0" * _PNG_HEADER, 0, _PNG_HEADER), tf.uint8)
    # The size is read at a fixed place, so IHDR must be the first chunk.
    return header, _starts_with(header, _PNG) & tf.reduce_all(header[12:16] == list(b"IHDR"))


def is_jpeg(header):
    """Whether the first bytes of a file are the start of a JPEG."""
    return _starts_with(header, _JPEG)


def is_deep(data):
    """Whether a file is a gray PNG of 16 bits, the only kind that is decoded in more than 8: a scalar bool tensor."""
    header, is_png = png_header(data)
    return is_png & _has_deep_gray(header)


def _has_deep_gray(header):
    return (header[DEPTH] == 16) & (header[COLOR_TYPE] == GRAY)


def _starts_with(header, magic):
    return tf.reduce_all(header[: len(magic)] == list(magic))


def _check_kind(known, data):
    found = tf.strings.as_string(tf.strings.length(data))
    return tf.debugging.Assert(
        known, [tf.strings.join(["Expected a PNG or JPEG image. Found: neither, in ", found, " bytes"])]
    )


def check_size(height, width, min_side):
    """An operation that fails unless the sides of an image are neither too small nor too large."""
    fits = (tf.minimum(height, width) >= min_side) & (tf.maximum(height, width) <= MAX_SIDE)
    found = [tf.strings.as_string(height), "x", tf.strings.as_string(width)]
    expected = f"Expected an image with sides of {min_side} to {MAX_SIDE} and at most {MAX_PIXELS} pixels. Found: "
    return tf.debugging.Assert(fits & (height * width <= MAX_PIXELS), [tf.strings.join([expected, *found])])


def png_size(header):
    """Height and width; in the file they are big-endian, the width first."""
    sides = tf.reshape(tf.cast(header[16:24], tf.int64), [2, 4])
    return tf.reverse(tf.reduce_sum(sides * [2**24, 2**16, 2**8, 1], axis=1), [0])


def _decode_png(data, header, channels, value_range):
    """Gray of 16 bits keeps all of them; color of 16 bits is cut to 8, as PIL does."""
    return tf.cond(
        _has_deep_gray(header),
        lambda: _decode_deep_gray(data, channels, value_range),
        lambda: _decode_8_bit_png(data, header, channels),
    )


def _decode_deep_gray(data, channels, value_range):
    low, high = value_range
    gray = tf.cast(tf.io.decode_png(data, channels=1, dtype=tf.uint16), tf.float32)
    gray = tf.clip_by_value((gray - low) * (255.0 / (high - low)), 0.0, 255.0)
    return tf.repeat(gray, channels, axis=2)


def _decode_8_bit_png(data, header, channels):
    # TensorFlow decodes palettes and gray of less than 8 bits wrongly if it is asked for four channels, and a single
    # transparent color wrongly if it is not.
    packed = (header[COLOR_TYPE] == _PALETTE) | (header[DEPTH] < 8)
    pixels = tf.cond(packed, lambda: tf.io.decode_png(data), lambda: tf.io.decode_png(data, channels=4))
    pixels = tf.cast(pixels, tf.int32)
    has_alpha = tf.shape(pixels)[2] % 2 == 0
    color = tf.cond(has_alpha, lambda: _on_white(pixels[..., :-1], pixels[..., -1:]), lambda: pixels)
    return _with_channels(tf.broadcast_to(color, [*tf.unstack(tf.shape(color)[:2]), 3]), channels)


def _decode_jpeg(data, channels):
    # Always in color and with the exact transform: TensorFlow's defaults differ from PIL by a few levels.
    pixels = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
    return _with_channels(tf.cast(pixels, tf.int32), channels)


def _on_white(color, alpha):
    """`(alpha * color + (255 - alpha) * 255) / 255` in PIL's fixed-point arithmetic of 7 bits."""
    scaled = (alpha * color + (255 - alpha) * 255) * 128 + 128 * 128
    return tf.bitwise.right_shift(tf.bitwise.right_shift(scaled, 8) + scaled, 15)


def _with_channels(color, channels):
    """For one channel the luma of ITU-R 601 in fixed point of 16 bits, as PIL's "L"."""
    if channels == 1:
        luma = tf.reduce_sum(color * [19595, 38470, 7471], axis=2, keepdims=True)
        color = tf.bitwise.right_shift(luma + 2**15, 16)
    return tf.cast(color, tf.float32)


def decode_ids(data, min_side):
    """Decodes a gray PNG that has the number of a class in each pixel.

    Args:
        data: scalar string tensor, the file.
        min_side: int, pixels that height and width must have at least.

    Returns:
        float32 tensor `(height, width, 1)` of ids.

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs, if the file is no gray PNG, is broken, or has too few or
            too many pixels.
    """
    header, is_png = png_header(data)
    with tf.control_dependencies([_check_gray(header, is_png, data)]):
        size = png_size(header)
    with tf.control_dependencies([check_size(size[0], size[1], min_side)]):
        data = tf.identity(data)
    depth = tf.cast(header[DEPTH], tf.int32)
    levels = tf.cond(
        depth == 16,
        lambda: tf.cast(tf.io.decode_png(data, channels=1, dtype=tf.uint16), tf.float32),
        lambda: tf.cast(tf.io.decode_png(data, channels=1), tf.float32),
    )
    # TensorFlow stretches fewer than 8 bits to the whole range of a byte. The depth is clipped, because this also runs
    # for a file that is no PNG, before the file is refused.
    stretched = 255 // (tf.bitwise.left_shift(1, tf.clip_by_value(depth, 1, 8)) - 1)
    step = tf.where(depth < 8, stretched, 1)
    return tf.ensure_shape(tf.round(levels / tf.cast(step, tf.float32)), [None, None, 1])


def checked_ids(images, encoding):
    """The same images, if each id in their first channel is a class or the ignored id.

    Args:
        images: float tensor `(batch, height, width, channels)`, `id / 127.5 - 1`.
        encoding: the `LabelEncoding` of the network.
    """
    values = tf.cast(images[..., 0], tf.float32)
    ids = to_ids(values)
    wrong = (ids < 0) | (ids >= encoding.classes)
    if encoding.ignore_label is not None:
        wrong &= ids != encoding.ignore_label
    apart = tf.abs((values + 1.0) * 127.5 - tf.cast(ids, tf.float32)) > _WHOLE
    expected = f"Expected {expected_ids(encoding.classes, encoding.ignore_label)}. Found: "
    message = tf.strings.join([expected, tf.strings.as_string(_first(ids, wrong))])
    fraction = tf.strings.join(
        ["Expected label maps as id / 127.5 - 1. Found: ", tf.strings.as_string(_first(values, apart))]
    )
    asserts = [
        tf.debugging.Assert(~tf.reduce_any(wrong), [message]),
        tf.debugging.Assert(~tf.reduce_any(apart), [fraction]),
    ]
    with tf.control_dependencies(asserts):
        return tf.identity(images)


def _first(values, where):
    """The first of the values at which `where` holds, or 0."""
    found = tf.boolean_mask(values, where)
    return tf.reduce_sum(found[:1])


def _check_gray(header, is_png, data):
    color_type = tf.minimum(tf.cast(header[COLOR_TYPE], tf.int32), len(_KINDS) - 1)
    length = tf.strings.as_string(tf.strings.length(data))
    other = tf.where(
        is_jpeg(header), "a JPEG, which changes values", tf.strings.join(["neither, in ", length, " bytes"])
    )
    found = tf.where(is_png, tf.strings.join(["a PNG ", tf.gather(_KINDS, color_type)]), other)
    message = tf.strings.join(["Expected a gray PNG, whose levels are the ids of classes. Found: ", found])
    return tf.debugging.Assert(is_png & (color_type == GRAY), [message])
