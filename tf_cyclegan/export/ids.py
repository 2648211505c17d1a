"""Label maps in the graph: decoded to the ids that training read, and as strictly checked."""

import tensorflow as tf

from tf_cyclegan.data.images import expected_ids
from tf_cyclegan.export.decoding import COLOR_TYPE, DEPTH, GRAY, check_size, is_jpeg, png_header, png_size
from tf_cyclegan.networks.instance_maps import to_ids

# Color types of PNG; those between are none.
_KINDS = ("", "", "of colors", "with a palette", "with transparency", "", "of colors")
# Rounding stays far below it; values of another unit do not.
_WHOLE = 0.1


def decode_ids(data, min_side):
    """Decodes a gray PNG, the number of a class in each pixel.

    Args:
        data: scalar string tensor, the file.
        min_side: int, pixels that height and width must have at least.

    Returns:
        float32 tensor `(height, width, 1)` of ids.

    Raises:
        tf.errors.InvalidArgumentError: when it runs, if the file is another, is broken, or has too few or too many
            pixels.
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
    # Fewer than 8 bits come stretched to the whole range of a byte. Until it is refused, what is no PNG has any depth.
    stretched = 255 // (tf.bitwise.left_shift(1, tf.clip_by_value(depth, 1, 8)) - 1)
    step = tf.where(depth < 8, stretched, 1)
    return tf.ensure_shape(tf.round(levels / tf.cast(step, tf.float32)), [None, None, 1])


def checked_ids(images, encoding):
    """The same images, if the ids in their first channel are those of classes, or the one that is ignored.

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
    """The first of the values where it holds, 0 where it holds for none."""
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
