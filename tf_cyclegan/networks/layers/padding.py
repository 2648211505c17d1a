"""Padding as PyTorch defines it, and cropping."""

import keras
import tensorflow as tf

from tf_cyclegan.settings.checks import check_integer


class _Padding2D(keras.layers.Layer):
    """Pads height and width of `(batch, height, width, channels)` by `padding` pixels on every side."""

    def __init__(self, padding=1, **kwargs):
        super().__init__(**kwargs)
        check_integer("padding", padding, 0)
        self.padding = padding

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        grown = (side if side is None else side + 2 * self.padding for side in (height, width))
        return (batch, *grown, channels)

    def get_config(self):
        return {**super().get_config(), "padding": self.padding}


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class ReflectionPadding2D(_Padding2D):
    """Pads by mirroring about the edge pixels, which are not repeated: PyTorch's `ReflectionPad2d`.

    Args:
        padding: int, pixels added on every side; must be less than height and width. Defaults to 1.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if `padding` is not an integer of at least 0.

    Example:
        >>> ReflectionPadding2D(3)(keras.ops.ones((1, 8, 8, 3))).shape
        TensorShape([1, 14, 14, 3])
    """

    def call(self, inputs):
        p = self.padding
        return tf.pad(inputs, [[0, 0], [p, p], [p, p], [0, 0]], mode="REFLECT")


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class ReplicationPadding2D(_Padding2D):
    """Pads by repeating the edge pixels: PyTorch's `ReplicationPad2d`.

    Args:
        padding: int, pixels added on every side. Defaults to 1.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if `padding` is not an integer of at least 0.

    Example:
        >>> ReplicationPadding2D(1)(keras.ops.ones((1, 8, 8, 3))).shape
        TensorShape([1, 10, 10, 3])
    """

    def call(self, inputs):
        # A symmetric pad repeats the edge only for a single pixel, so a wider one is made a pixel at a time.
        for _ in range(self.padding):
            inputs = tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
        return inputs


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class Cropping2D(keras.layers.Cropping2D):
    """Keras's layer. At top and left its gradient only pads, which is 20 times as fast as a strided slice's."""

    def call(self, inputs):
        (top, bottom), (left, right) = self.cropping
        if bottom or right or self.data_format == "channels_first":
            return super().call(inputs)
        return tf.slice(inputs, [0, top, left, 0], [-1, -1, -1, -1])
