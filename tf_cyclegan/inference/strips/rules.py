"""What each kind of layer does to the rows of an image: which it needs for those it gives, and how it computes them.

Rows are counted over the whole height of a layer's input and output; widths are always whole. What a rule answers does
not depend on where a strip lies as long as it lies inside: strips of one shape then share one trace.
"""

import numpy as np
import tensorflow as tf


class Rule:
    """Rows of one layer. This class is for layers that treat every pixel alone.

    Args:
        layer: `keras.layers.Layer`.
    """

    # Whether a row of the output is made of the same row of the inputs, at next to no cost.
    is_pointwise = True
    needs_statistics = False
    # Multiplications for one value of the output: what it costs to compute it again.
    multiplications = 0

    def __init__(self, layer):
        self.layer = layer

    def size(self, sizes):
        """`(height, width)` of the output from those of the inputs."""
        return sizes[0]

    def window(self, start, stop, sizes):
        """What the rows from `start` to before `stop` of the output are made of.

        Returns:
            The rows `(start, stop)` that are needed of each input, None where an input is not looked at; and a tuple of
            what else `rows` must know.
        """
        return [(start, stop)] * len(sizes), ()

    def rows(self, inputs, local):
        """The rows asked for, from tensors `(1, rows, width, channels)` of what `window` answered."""
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
        # One pass over the memory in the place of three.
        inference = {"variance": tf.ones_like(factor), "epsilon": 0.0, "is_training": False}
        return tf.raw_ops.FusedBatchNormV3(x=x, scale=factor, offset=offset, mean=mean, **inference).y


class ZeroPadding(Rule):
    """`keras.layers.ZeroPadding2D`: rows beyond the border are added, all others are taken as they are."""

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
        if len(local) == 1:  # none of the rows is the image's
            x, local = tf.repeat(tf.zeros_like(x), local[0], axis=1), (0, 0)
        return tf.pad(x, [[0, 0], local, sides, [0, 0]])


class MirrorPadding(Rule):
    """Padding by rows and columns of the image itself: mirrored, or the outermost repeated."""

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
    """A layer that makes each pixel `factor` pixels wide and high, and looks at `halo` rows around those it enlarges.

    The layer itself computes on the rows that lie in reach; those nearest to where they were cut off are wrong for want
    of their neighbors, and left out.
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
    """`networks.coarse_to_fine.AtLeastTwoPixels`."""

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
    """`networks.coarse_to_fine.CropLike`, which takes of its second input the size alone."""

    def size(self, sizes):
        return sizes[1]

    def window(self, start, stop, sizes):
        return [(start, stop), None], (sizes[1][1],)

    def rows(self, inputs, local):
        return self._cast(inputs[0])[:, :, : local[0]]


def clipped(first, last, height):
    """The rows of those from `first` to before `last` that exist, and how many are missing above and below."""
    start, stop = max(first, 0), min(last, height)
    return (start, stop), (start - first, last - stop)
