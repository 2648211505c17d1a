"""Rules of layers for strips: which rows a layer needs for some rows of its output, and how it computes them.

Rows are counted over the whole height of a layer's input and output; widths are always whole. For strips away from the
border, the answers of a rule do not depend on the place of the strip, so that strips of one shape share one trace.
"""

import numpy as np
import tensorflow as tf


class Rule:
    """The rule of a layer. This class is for layers that treat each pixel alone.

    Args:
        layer: `keras.layers.Layer`.
    """

    # Whether a row of the output needs only the same row of the inputs, and costs next to nothing.
    is_pointwise = True
    needs_statistics = False
    # Multiplications for one value of the output: the cost of computing the value again.
    multiplications = 0

    def __init__(self, layer):
        self.layer = layer

    def size(self, sizes):
        """`(height, width)` of the output, from a list of the sizes of the inputs."""
        return sizes[0]

    def window(self, start, stop, sizes):
        """The rows of the inputs that the rows from `start` to before `stop` of the output are computed from.

        Returns:
            List of the rows `(start, stop)` that are needed of each input, None for an input that is not needed; and a
            tuple of numbers that `rows` gets as `local`.
        """
        return [(start, stop)] * len(sizes), ()

    def rows(self, inputs, local):
        """The rows of the output, from tensors `(1, rows, width, channels)` of the rows that `window` named."""
        return self.layer(inputs[0] if len(inputs) == 1 else inputs)

    def _cast(self, x):
        return tf.cast(x, self.layer.compute_dtype)


class Unchanged(Rule):
    """Dropout, which does nothing outside of training."""

    def rows(self, inputs, local):
        return self._cast(inputs[0])


class Normalization(Rule):
    """Normalization by statistics of the whole image: a mean and a factor of each channel, see `statistics`."""

    needs_statistics = True

    def rows(self, inputs, local, mean, factor):
        x, beta = self._cast(inputs[0]), self.layer.beta
        dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
        mean, factor = tf.cast(mean, dtype), tf.cast(factor, dtype)
        offset = tf.zeros_like(factor) if beta is None else tf.cast(beta, dtype)
        if dtype == tf.float64:
            return (x - mean) * factor + offset
        # One pass over the memory instead of three.
        inference = {"variance": tf.ones_like(factor), "epsilon": 0.0, "is_training": False}
        return tf.raw_ops.FusedBatchNormV3(x=x, scale=factor, offset=offset, mean=mean, **inference).y


class ZeroPadding(Rule):
    """`keras.layers.ZeroPadding2D`."""

    is_pointwise = False

    def size(self, sizes):
        (height, width), ((top, bottom), (left, right)) = sizes[0], self.layer.padding
        return height + top + bottom, width + left + right

    def window(self, start, stop, sizes):
        top, height = self.layer.padding[0][0], sizes[0][0]
        needed, missing = clipped(start - top, stop - top, height)
        if needed[0] < needed[1]:
            return [needed], missing
        nearest = min(max(needed[0], 0), height - 1)
        return [(nearest, nearest + 1)], (stop - start,)

    def rows(self, inputs, local):
        x, sides = self._cast(inputs[0]), self.layer.padding[1]
        if len(local) == 1:  # all rows lie beyond the border
            x, local = tf.repeat(tf.zeros_like(x), local[0], axis=1), (0, 0)
        return tf.pad(x, [[0, 0], local, sides, [0, 0]])


class MirrorPadding(Rule):
    """Padding with the rows and columns of the image: the mirrored ones, or the outermost one again and again."""

    is_pointwise = False

    def size(self, sizes):
        return tuple(side + 2 * self.layer.padding for side in sizes[0])

    def window(self, start, stop, sizes):
        copied = self._source(np.arange(start, stop) - self.layer.padding, sizes[0][0])
        first, last = int(copied.min()), int(copied.max())
        places = tuple(int(row) - first for row in copied)
        return [(first, last + 1)], () if places == tuple(range(last + 1 - first)) else places

    def rows(self, inputs, local):
        x = self._cast(inputs[0])
        if local:
            x = tf.gather(x, local, axis=1)
        return self._padded_columns(x, self.layer.padding)


class ReflectionPadding(MirrorPadding):
    """`layers.ReflectionPadding2D`."""

    def _source(self, rows, height):
        return height - 1 - np.abs(height - 1 - np.abs(rows))

    def _padded_columns(self, x, padding):
        return tf.pad(x, [[0, 0], [0, 0], [padding, padding], [0, 0]], mode="REFLECT")


class ReplicationPadding(MirrorPadding):
    """`layers.ReplicationPadding2D`."""

    def _source(self, rows, height):
        return np.clip(rows, 0, height - 1)

    def _padded_columns(self, x, padding):
        for _ in range(padding):
            x = tf.pad(x, [[0, 0], [0, 0], [1, 1], [0, 0]], mode="SYMMETRIC")
        return x


class Cropping(Rule):
    """`keras.layers.Cropping2D`."""

    is_pointwise = False

    def size(self, sizes):
        return tuple(side - sum(cut) for side, cut in zip(sizes[0], self.layer.cropping, strict=True))

    def window(self, start, stop, sizes):
        top = self.layer.cropping[0][0]
        return [(start + top, stop + top)], ()

    def rows(self, inputs, local):
        left, right = self.layer.cropping[1]
        return self._cast(inputs[0])[:, :, left : inputs[0].shape[2] - right]


class Enlargement(Rule):
    """A layer that enlarges each pixel by `factor`, and needs `halo` rows around the rows that it enlarges.

    The layer itself computes the rows. Rows next to a cut are wrong, because their neighbors are missing, and are left
    out.
    """

    is_pointwise = False

    def __init__(self, layer, factor, halo):
        super().__init__(layer)
        self.factor = factor
        self.halo = halo

    def size(self, sizes):
        return tuple(side * factor for side, factor in zip(sizes[0], self.factor, strict=True))

    def window(self, start, stop, sizes):
        factor = self.factor[0]
        needed, _ = clipped(start // factor - self.halo, (stop - 1) // factor + 1 + self.halo, sizes[0][0])
        return [needed], (start - needed[0] * factor, stop - start)

    def rows(self, inputs, local):
        first, count = local
        return self.layer(inputs[0])[:, first : first + count]


class Growth(Rule):
    """`networks.layers.resizing.AtLeastTwoPixels`."""

    def size(self, sizes):
        return tuple(max(side, 2) for side in sizes[0])

    def window(self, start, stop, sizes):
        if sizes[0][0] > 1:
            return [(start, stop)], ()
        return [(0, 1)], (0,) * (stop - start)

    def rows(self, inputs, local):
        x = self._cast(inputs[0])
        x = tf.gather(x, local, axis=1) if local else x
        return x if x.shape[2] > 1 else tf.repeat(x, 2, axis=2)


class CropToSecond(Rule):
    """`networks.layers.resizing.CropLike`, which needs only the size of its second input."""

    def size(self, sizes):
        return sizes[1]

    def window(self, start, stop, sizes):
        return [(start, stop), None], (sizes[1][1],)

    def rows(self, inputs, local):
        return self._cast(inputs[0])[:, :, : local[0]]


def clipped(first, last, height):
    """Of the rows from `first` to before `last` those that exist, and how many are missing above and below."""
    start, stop = max(first, 0), min(last, height)
    return (start, stop), (start - first, last - stop)
