"""A convolution whose gradients are fast on Eigen's kernels too, and which can double its images on the way."""

import keras
import tensorflow as tf

from tf_cyclegan.networks.layers import runtime
from tf_cyclegan.networks.layers.runtime import once_a_shape

# Eigen's two gradients take 90 to 130 ms for a 7x7 convolution to 3 channels at 128 pixels, patches 10: it splits
# the work over the output channels.
_FEW_FILTERS = 4
# From here on a matrix product for each place of the kernel beats Eigen's filter gradient; below it is slower.
_MANY_CHANNELS = 256

_NONE = ([0, 0],)


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class Conv2D(keras.layers.Conv2D):
    """Keras's layer, equal but for the order of sums in its gradients; and one that doubles its images first.

    Where TensorFlow convolves with Eigen's float32 kernels, a stride of 1 without padding gets its gradients by matrix
    products if the kernel is one of those for which they are faster. Everywhere else it is Keras's layer.

    With `doubles` it is `keras.layers.UpSampling2D(2)` and the convolution in one, with the same weights: four
    multiplications in the place of nine for a kernel of 3x3, and no image of four times the size in between.

    Args:
        *args: of `keras.layers.Conv2D`.
        doubles: bool, whether images are first made twice as high and wide by nearest-neighbor. `padding` must then be
            `"same"`, the kernel odd, and strides, dilations and groups 1. Defaults to False.
        **kwargs: of `keras.layers.Conv2D`.

    Raises:
        ValueError: if `doubles` is given with other settings.

    Example:
        >>> Conv2D(4, 3, padding="same", doubles=True)(keras.ops.ones((1, 8, 7, 3))).shape
        TensorShape([1, 16, 14, 4])
    """

    # No class of its own: `.keras` files find a layer by its class and number, and must find the convolution that once
    # came after an `UpSampling2D`.
    def __init__(self, *args, doubles=False, **kwargs):
        super().__init__(*args, **kwargs)
        self.doubles = doubles
        if doubles:
            self._check_doubles()

    def _check_doubles(self):
        expected = {"strides": (1, 1), "dilation_rate": (1, 1), "groups": 1, "padding": "same"}
        expected["data_format"] = "channels_last"
        for name, value in expected.items():
            if getattr(self, name) != value:
                raise ValueError(f"`{name}` must be {value!r} with `doubles`. Received: {name}={getattr(self, name)!r}")
        if any(side % 2 == 0 for side in self.kernel_size):
            raise ValueError(f"`kernel_size` must be odd with `doubles`. Received: kernel_size={self.kernel_size}")

    def add_weight(self, *args, **kwargs):
        # The kernel is summed before it is rounded to what the layer computes in.
        whole = self.doubles and kwargs.get("name") == "kernel"
        return super().add_weight(*args, **kwargs, **({"autocast": False} if whole else {}))

    def compute_output_shape(self, input_shape):
        batch, *sides, filters = super().compute_output_shape(input_shape)
        scale = 2 if self.doubles else 1
        return (batch, *(side if side is None else side * scale for side in sides), filters)

    def get_config(self):
        return {**super().get_config(), "doubles": self.doubles}

    def convolution_op(self, inputs, kernel):
        if self.doubles:
            doubling = tf.cast(doubling_kernel(tf.convert_to_tensor(kernel)), inputs.dtype)
            return keras.ops.conv_transpose(inputs, doubling, strides=2, padding="same")
        plain = self.strides == (1, 1) == self.dilation_rate and self.padding == "valid" and self.groups == 1
        if plain and self.data_format == "channels_last" and inputs.dtype == "float32" and _gains(kernel.shape):
            return _convolution(tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel))
        return super().convolution_op(inputs, kernel)


@once_a_shape
def doubling_kernel(kernel):
    """The kernel of a transposed convolution of stride 2 that equals doubling and then a convolution.

    Nearest-neighbor is a transposed convolution by 2x2 ones. Both in a row are one by their product: each place holds
    the sum of the up to four weights that meet the same pixel.

    Args:
        kernel: float tensor `(rows, columns, channels, filters)`, rows and columns odd.

    Returns:
        Float tensor `(rows + 1, columns + 1, filters, channels)`, at least of float32.
    """
    wide = kernel if kernel.dtype == tf.float64 else tf.cast(kernel, tf.float32)
    x = tf.transpose(tf.reverse(wide, [0, 1]), [0, 1, 3, 2])
    x = tf.pad(x, [[0, 1], *_NONE * 3]) + tf.pad(x, [[1, 0], *_NONE * 3])
    return tf.pad(x, [*_NONE, [0, 1], *_NONE * 2]) + tf.pad(x, [*_NONE, [1, 0], *_NONE * 2])


def _gains(kernel_shape):
    several = kernel_shape[0] * kernel_shape[1] > 1
    return (
        several
        and (kernel_shape[3] <= _FEW_FILTERS or kernel_shape[2] >= _MANY_CHANNELS)
        and runtime.convolves_with_eigen()
    )


@tf.custom_gradient
def _convolution(x, kernel):
    """`x` `(batch, height, width, channels)` with `kernel` `(rows, columns, channels, filters)`, stride 1, unpadded."""

    def gradient(dy):
        if kernel.shape[3] <= _FEW_FILTERS:
            patches = _patches(dy, kernel.shape)
            return _input_gradient_of_few(patches, kernel), _filter_gradient_of_few(patches, x, kernel.shape)
        return _input_gradient(dy, tf.shape(x), kernel), _filter_gradient(dy, x, kernel.shape)

    return tf.nn.conv2d(x, kernel, 1, "VALID"), gradient


@once_a_shape(inline=False)
def _patches(dy, kernel_shape):
    """For each input pixel, the gradients of the outputs that it enters: `(batch, height, width, places * filters)`."""
    rows, columns = kernel_shape[:2]
    height, width = (side + reach - 1 for side, reach in zip(_sides(dy), (rows, columns), strict=True))
    padded = tf.pad(dy, [[0, 0], [rows - 1, rows - 1], [columns - 1, columns - 1], [0, 0]])
    places = [(rows - 1 - row, columns - 1 - column) for row in range(rows) for column in range(columns)]
    return tf.concat([padded[:, top : top + height, left : left + width] for top, left in places], axis=-1)


def _input_gradient_of_few(patches, kernel):
    rows, columns, channels, filters = kernel.shape
    weights = tf.reshape(tf.transpose(kernel, [0, 1, 3, 2]), [rows * columns * filters, channels])
    return tf.linalg.matmul(patches, weights)


def _filter_gradient_of_few(patches, x, kernel_shape):
    rows, columns, channels, filters = kernel_shape
    gradient = tf.matmul(_as_matrix(x, channels), _as_matrix(patches, rows * columns * filters), transpose_a=True)
    return tf.transpose(tf.reshape(gradient, [channels, rows, columns, filters]), [1, 2, 0, 3])


def _input_gradient(dy, input_shape, kernel):
    return tf.nn.conv2d_transpose(dy, kernel, input_shape, 1, "VALID")


@once_a_shape(inline=False)
def _filter_gradient(dy, x, kernel_shape):
    rows, columns, channels, filters = kernel_shape
    height, width = _sides(dy)
    places = [(row, column) for row in range(rows) for column in range(columns)]
    multiplied = [_as_matrix(x[:, top : top + height, left : left + width], channels) for top, left in places]
    products = [tf.matmul(pixels, _as_matrix(dy, filters), transpose_a=True) for pixels in multiplied]
    return tf.reshape(tf.stack(products), kernel_shape)


def _sides(x):
    """Height and width, as numbers where they are known."""
    shape = tf.shape(x)
    return [side if side is not None else shape[axis] for axis, side in ((1, x.shape[1]), (2, x.shape[2]))]


def _as_matrix(x, channels):
    return tf.reshape(x, [-1, channels])
