"""The rule by which strips compute a layer: a table from layers to rules, and the rules of convolutions."""

import math

import tensorflow as tf
from keras import layers

from tf_cyclegan.inference.strips.rules import (
    Cropping,
    CropToSecond,
    Enlargement,
    Growth,
    Normalization,
    ReflectionPadding,
    ReplicationPadding,
    Rule,
    Unchanged,
    ZeroPadding,
    clipped,
)
from tf_cyclegan.networks import layers as own
from tf_cyclegan.networks.instance_maps import LabelEncoding
from tf_cyclegan.networks.layers.convolution import Conv2D, doubling_kernel
from tf_cyclegan.networks.layers.layer_normalization import LayerNormalization
from tf_cyclegan.networks.layers.resizing import AtLeastTwoPixels, BilinearEnlargement2D, CropLike, HalvingPooling2D

# A convolution with at most so many filters and at least so large a kernel is faster if it makes four pixels at a time,
# although some of its weights are then zeros.
_FEW_FILTERS = 4
_LARGE_KERNEL = 5


def rule_of(layer):
    """The rule of a layer.

    Args:
        layer: `keras.layers.Layer`, or another operation of a functional network.

    Raises:
        ValueError: if the layer has no rule; the message names the layer.
    """
    make = _RULES.get(type(layer))
    rule = make(layer) if make else None
    if rule is None:
        name, kind = getattr(layer, "name", ""), type(layer).__name__
        raise ValueError(
            f"`tile_statistics` must be 'tile' for this network: its layer {name} ({kind}) cannot be computed in strips"
        )
    return rule


# ---- convolutions ----


class Convolution(Rule):
    """`keras.layers.Conv2D`."""

    is_pointwise = False

    def __init__(self, layer):
        super().__init__(layer)
        self.multiplications = math.prod(layer.kernel.shape[:3])
        self.strides = layer.strides
        self.reach = [(side - 1) * step + 1 for side, step in zip(layer.kernel_size, layer.dilation_rate, strict=True)]

    def size(self, sizes):
        return tuple(
            -(-side // stride) if self.layer.padding == "same" else (side - reach) // stride + 1
            for side, stride, reach in zip(sizes[0], self.strides, self.reach, strict=True)
        )

    def window(self, start, stop, sizes):
        first = start * self.strides[0] - self._zeros(0, sizes[0][0])[0]
        last = first + (stop - start - 1) * self.strides[0] + self.reach[0]
        needed, missing = clipped(first, last, sizes[0][0])
        return [needed], missing

    def rows(self, inputs, local):
        x = self._cast(inputs[0])
        zeros = [local, self._zeros(1, x.shape[2])]
        if any(map(any, zeros)):
            x = tf.pad(x, [[0, 0], *zeros, [0, 0]])
        kernel = self._cast(tf.convert_to_tensor(self.layer.kernel))
        if self._goes_by_fours(x.shape):
            y = _convolution_by_fours(x, kernel)
        else:
            y = tf.nn.conv2d(x, kernel, self.strides, "VALID", dilations=self.layer.dilation_rate)
        return _biased(self, y)

    def _goes_by_fours(self, shape):
        rows, columns, _, filters = self.layer.kernel.shape
        plain = self.strides == (1, 1) == self.layer.dilation_rate and self.layer.groups == 1
        even = (shape[1] - rows + 1) % 2 == 0 == (shape[2] - columns + 1) % 2
        return plain and even and filters <= _FEW_FILTERS and min(rows, columns) >= _LARGE_KERNEL

    def _zeros(self, axis, side):
        """How many zeros "same" adds before and after `side` pixels."""
        if self.layer.padding != "same":
            return 0, 0
        stride = self.strides[axis]
        both = max((-(-side // stride) - 1) * stride + self.reach[axis] - side, 0)
        return both // 2, both - both // 2


class TransposedConvolution(Rule):
    """`keras.layers.Conv2DTranspose` with a kernel of at least its strides."""

    is_pointwise = False

    def __init__(self, layer):
        super().__init__(layer)
        self.kernel_size, self.strides, channels = self._dimensions()
        self.multiplications = math.prod(self.kernel_size) * channels // math.prod(self.strides)
        # The full answer has (side - 1) * stride + kernel pixels; "same" leaves so many out at the top and at the left.
        same = layer.padding == "same"
        self.crop = [(k - s) // 2 if same else 0 for k, s in zip(self.kernel_size, self.strides, strict=True)]

    def size(self, sizes):
        return tuple(
            side * stride + (0 if self.layer.padding == "same" else kernel - stride)
            for side, stride, kernel in zip(sizes[0], self.strides, self.kernel_size, strict=True)
        )

    def window(self, start, stop, sizes):
        stride, kernel = self.strides[0], self.kernel_size[0]
        first, last = start + self.crop[0], stop + self.crop[0]
        below = max(-(-(first - kernel + 1) // stride), 0)
        needed = (below, min((last - 1) // stride + 1, sizes[0][0]))
        return [needed], (first - below * stride, stop - start)

    def rows(self, inputs, local):
        x, filters = self._cast(inputs[0]), self.layer.filters
        (height, width), (tall, wide) = x.shape[1:3], self.kernel_size
        full = (1, (height - 1) * self.strides[0] + tall, (width - 1) * self.strides[1] + wide, filters)
        y = tf.nn.conv2d_transpose(x, self._cast(self._kernel()), full, self.strides, "VALID")
        (top, count), left = local, self.crop[1]
        y = tf.slice(y, [0, top, left, 0], [1, count, self.size([(height, width)])[1], filters])
        return _biased(self, y)

    def _dimensions(self):
        """The sides of the kernel, the strides, and the channels of the input."""
        return self.layer.kernel_size, self.layer.strides, self.layer.kernel.shape[3]

    def _kernel(self):
        return tf.convert_to_tensor(self.layer.kernel)


class DoublingConvolution(TransposedConvolution):
    """`networks.layers.convolution.Conv2D` that doubles its images."""

    def _dimensions(self):
        return tuple(side + 1 for side in self.layer.kernel_size), (2, 2), self.layer.kernel.shape[2]

    def _kernel(self):
        return doubling_kernel(super()._kernel())


class Halving(Rule):
    """`networks.layers.resizing.HalvingPooling2D`: means of 3x3 pixels without those outside of the image."""

    is_pointwise = False
    multiplications = 9

    def size(self, sizes):
        return tuple(-(-side // 2) for side in sizes[0])

    def window(self, start, stop, sizes):
        needed, missing = clipped(2 * start - 1, 2 * stop, sizes[0][0])
        return [needed], missing

    def rows(self, inputs, local):
        x = self._cast(inputs[0])
        around = [[0, 0], local, [1, 1], [0, 0]]
        inside = tf.ones((1, x.shape[1], x.shape[2], 1), x.dtype)
        means, shares = (tf.nn.avg_pool2d(tf.pad(each, around), 3, 2, "VALID") for each in (x, inside))
        return means / shares


def _convolution_by_fours(x, kernel):
    """A convolution of stride 1 that makes four pixels at a time.

    Each filter stands four times, also shifted by a row, by a column and by both, and the stride is 2. The three
    filters of a generator's head leave most of a vector register empty; twelve fill it. oneDNN is 2.4 times as fast,
    and the answers are equal to the bit.
    """
    rows, columns, channels, filters = kernel.shape
    places = [(top, left) for top in (0, 1) for left in (0, 1)]
    shifted = [tf.pad(kernel, [[top, 1 - top], [left, 1 - left], [0, 0], [0, 0]]) for top, left in places]
    together = tf.reshape(tf.stack(shifted, axis=3), (rows + 1, columns + 1, channels, 4 * filters))
    return tf.nn.depth_to_space(tf.nn.conv2d(x, together, 2, "VALID"), 2)


def _biased(rule, y):
    layer = rule.layer
    y = y if layer.bias is None else tf.nn.bias_add(y, rule._cast(tf.convert_to_tensor(layer.bias)))
    return layer.activation(y)


# ---- the table of rules ----


def _normalization(layer):
    axis = getattr(layer, "axis", -1)
    if axis not in (-1, 3):
        return None
    return Normalization(layer) if getattr(layer, "inference_statistics", "image") == "image" else Rule(layer)


def _convolution(layer):
    plain = layer.data_format == "channels_last" and _of_pixels(layer.activation)
    make = DoublingConvolution if getattr(layer, "doubles", False) else Convolution
    return make(layer) if plain and layer.padding in ("same", "valid") else None


def _transposed(layer):
    plain = layer.data_format == "channels_last" and _of_pixels(layer.activation) and layer.output_padding is None
    fits = all(k >= s for k, s in zip(layer.kernel_size, layer.strides, strict=True))
    return TransposedConvolution(layer) if plain and fits and layer.dilation_rate == (1, 1) else None


def _of_pixels(activation):
    """Whether an activation treats each pixel alone, as Keras's activations do; others are unknown."""
    return getattr(activation, "__module__", "").startswith("keras.")


def _if(condition, make):
    return lambda layer: make(layer) if condition(layer) else None


def _channels_last(layer):
    return layer.data_format == "channels_last"


_RULES = {
    layers.Identity: Rule,
    layers.ReLU: Rule,
    layers.LeakyReLU: Rule,
    layers.Activation: _if(lambda layer: _of_pixels(layer.activation), Rule),
    layers.Add: Rule,
    layers.Concatenate: _if(lambda layer: layer.axis in (-1, 3), Rule),
    layers.Dropout: Unchanged,
    layers.BatchNormalization: _if(lambda layer: layer.axis in (-1, 3), Rule),
    own.BatchNormalization: _normalization,
    own.InstanceNormalization: _normalization,
    LayerNormalization: Normalization,
    layers.ZeroPadding2D: _if(_channels_last, ZeroPadding),
    own.ReflectionPadding2D: ReflectionPadding,
    own.ReplicationPadding2D: ReplicationPadding,
    layers.Cropping2D: _if(_channels_last, Cropping),
    own.Cropping2D: _if(_channels_last, Cropping),
    layers.Conv2D: _convolution,
    Conv2D: _convolution,
    layers.Conv2DTranspose: _transposed,
    layers.UpSampling2D: _if(
        lambda layer: _channels_last(layer) and layer.interpolation == "nearest",
        lambda layer: Enlargement(layer, layer.size, 0),
    ),
    BilinearEnlargement2D: lambda layer: Enlargement(layer, (layer.factor, layer.factor), 1),
    HalvingPooling2D: Halving,
    LabelEncoding: lambda layer: Enlargement(layer, (1, 1), 1 if layer.instance_edges else 0),
    AtLeastTwoPixels: Growth,
    CropLike: CropToSecond,
}
