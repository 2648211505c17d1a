"""Label maps and instance maps: images whose values are numbers of classes and of objects.

A map is an image of one channel with the value `id / 127.5 - 1`, which is what an 8-bit file becomes like any other
image. The ids of objects, in a second channel, may go beyond 255, and the values beyond 1.
"""

import keras
import numpy as np
import tensorflow as tf

from tf_cyclegan.settings.checks import check_integer


def to_ids(values):
    """The integers that a map was made of, exact up to 65535 in float32.

    Args:
        values: float tensor of any shape, `id / 127.5 - 1`.

    Returns:
        Int32 tensor of the same shape.
    """
    return tf.cast(tf.round((tf.cast(values, tf.float32) + 1.0) * 127.5), tf.int32)


def edges(instances):
    """Where the objects of an instance map meet: pixels that differ from a neighbor above, below, left or right.

    Args:
        instances: int tensor `(batch, height, width)`.

    Returns:
        Bool tensor of the same shape, true on both sides of an edge.
    """
    vertical = tf.not_equal(instances[:, 1:], instances[:, :-1])
    horizontal = tf.not_equal(instances[:, :, 1:], instances[:, :, :-1])
    before, after = [(1, 0), (0, 1)]
    rows = [tf.pad(vertical, [(0, 0), side, (0, 0)]) for side in (before, after)]
    columns = [tf.pad(horizontal, [(0, 0), (0, 0), side]) for side in (before, after)]
    return rows[0] | rows[1] | columns[0] | columns[1]


def palette(ids):
    """A color for each class: the bits of its id, three by three, from the highest bit of red, green and blue down.

    Args:
        ids: int array of any shape.

    Returns:
        Float32 array of the same shape and a last axis of 3, in [-1, 1]. Ids from 0 to 2^24 - 1 all differ; 0 is black.
    """
    bits = np.asarray(ids)[..., None] >> np.arange(24) & 1
    # Bit 0 of the id is the highest of red, bit 1 of green, bit 2 of blue, bit 3 the next of red.
    levels = (bits.reshape(*bits.shape[:-1], 8, 3) << np.arange(7, -1, -1)[:, None]).sum(axis=-2)
    return levels.astype("float32") / 127.5 - 1


def segments(instances):
    """Numbers the objects of a batch: the same id in two images is two objects.

    Args:
        instances: int tensor `(batch, height, width)`.

    Returns:
        Pair of an int32 tensor `(batch * height * width,)` with numbers from 0, and their count.
    """
    shape = tf.shape(instances)
    image = tf.range(shape[0], dtype=tf.int64)[:, None, None]
    # Ids are far below 2^32, so no two images meet.
    unique = tf.unique(tf.reshape(image * 2**32 + tf.cast(instances, tf.int64), [-1]))
    return unique.idx, tf.size(unique.y)


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class LabelEncoding(keras.layers.Layer):
    """Turns a label map into one channel for each class, and an instance map into one channel of edges.

    A pixel's own class is 1, all others are 0; a pixel of a class beyond `classes` is 0 everywhere. The ids are exact
    in every dtype policy.

    Args:
        classes: int, number of classes; their ids are 0 to `classes - 1`.
        instance_edges: bool, whether a last channel shows where the objects of the second channel meet. Defaults to
            False.
        ignore_label: optional int of at least `classes`, the id of pixels that are of no class. Any other id beyond the
            classes is a mistake, which this layer lets pass and those who read files and requests do not. Defaults to
            None.
        **kwargs: of `keras.layers.Layer`, as `name` and `dtype`.

    Call arguments:
        inputs: float32 tensor `(batch, height, width, 1 or 2)`, `id / 127.5 - 1`.

    Raises:
        ValueError: if `classes` is not an integer of at least 1, or `ignore_label` is one of the classes.

    Example:
        >>> LabelEncoding(35)(keras.ops.zeros((1, 8, 8, 1))).shape
        TensorShape([1, 8, 8, 35])
    """

    def __init__(self, classes, instance_edges=False, ignore_label=None, **kwargs):
        # Half precision has no room for ids.
        super().__init__(**{**kwargs, "autocast": False})
        check_integer("classes", classes, 1)
        self.classes = classes
        self.instance_edges = instance_edges
        check_ignore_label(ignore_label, classes)
        self.ignore_label = ignore_label

    def call(self, inputs):
        encoded = tf.one_hot(to_ids(inputs[..., 0]), self.classes, dtype=self.compute_dtype)
        if not self.instance_edges:
            return encoded
        lines = tf.cast(edges(to_ids(inputs[..., 1])), self.compute_dtype)
        return tf.concat([encoded, tf.expand_dims(lines, -1)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.classes + self.instance_edges)

    def get_config(self):
        own = {name: getattr(self, name) for name in ("classes", "instance_edges", "ignore_label")}
        return {**super().get_config(), **own}


def label_encoding(network):
    """The `LabelEncoding` of a network that takes label maps, or None."""
    layers = network._flatten_layers(include_self=False)
    return next((layer for layer in layers if isinstance(layer, LabelEncoding)), None)


def check_ignore_label(ignore_label, classes):
    """Raises `ValueError` unless `ignore_label` is None or an integer beyond the classes."""
    if ignore_label is not None:
        check_integer("ignore_label", ignore_label, classes)


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class InstanceMeans(keras.layers.Layer):
    """Gives every pixel of an object the mean of the object's features, in at least float32.

    Call arguments:
        features: float tensor `(batch, height, width, channels)`.
        instances: int tensor `(batch, height, width)`, ids of objects.

    Returns:
        Tensor like `features`.

    Example:
        >>> features = keras.ops.reshape(keras.ops.arange(4.0), (1, 2, 2, 1))
        >>> keras.ops.ravel(InstanceMeans()(features, keras.ops.array([[[1, 1], [1, 2]]]))).numpy()
        array([1., 1., 1., 3.], dtype=float32)

    Reference:
        [Wang et al., 2017](https://arxiv.org/abs/1711.11585), section 3.4.
    """

    def call(self, features, instances):
        numbers, count = segments(instances)
        means = segment_means(features, numbers, count)
        return tf.cast(tf.reshape(tf.gather(means, numbers), tf.shape(features)), features.dtype)

    def compute_output_shape(self, features_shape, instances_shape):
        return features_shape

    def get_config(self):
        # Keras does not make the configuration of a layer whose dtype is a policy.
        return super().get_config()


def segment_means(features, numbers, count):
    """The mean features of each object, `(count, channels)`; `numbers` and `count` are of `segments`."""
    wide = tf.cast(features, tf.float64 if features.dtype == tf.float64 else tf.float32)
    return tf.math.unsorted_segment_mean(tf.reshape(wide, [-1, features.shape[-1]]), numbers, count)
