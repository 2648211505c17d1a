"""Layers that change the height and width of images: halve, enlarge, grow to two pixels, crop to another's size."""

import keras
import tensorflow as tf

from tf_cyclegan.settings.checks import check_integer

# One pixel on each side.
_BORDER = [[0, 0], [1, 1], [1, 1], [0, 0]]


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class HalvingPooling2D(keras.layers.Layer):
    """Averages the 3x3 pixels around every second pixel; those beyond the border do not count.

    PyTorch's `AvgPool2d(3, stride=2, padding=1, count_include_pad=False)`. Keras's "same" has its windows one pixel
    lower and further right where the size is even.

    Args:
        **kwargs: of `keras.layers.Layer`, as `name` and `dtype`.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.

    Returns:
        Float tensor `(batch, ceil(height / 2), ceil(width / 2), channels)`.

    Example:
        >>> HalvingPooling2D()(keras.ops.ones((1, 8, 7, 3))).shape
        TensorShape([1, 4, 4, 3])
    """

    def call(self, inputs):
        height, width = (inputs.shape[axis] or tf.shape(inputs)[axis] for axis in (1, 2))
        inside = tf.ones((1, height, width, 1), inputs.dtype)
        means, shares = (tf.nn.avg_pool2d(tf.pad(x, _BORDER), 3, 2, "VALID") for x in (inputs, inside))
        return means / shares

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, *(side if side is None else -(-side // 2) for side in (height, width)), channels)

    def get_config(self):
        # Keras does not make the configuration of a layer whose dtype is a policy.
        return super().get_config()


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class BilinearEnlargement2D(keras.layers.Layer):
    """Enlarges images by a whole number, also where their size is not known, where Keras's `UpSampling2D` cannot.

    Args:
        factor: int of at least 1.
        **kwargs: of `keras.layers.Layer`, as `name` and `dtype`.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.

    Raises:
        ValueError: if `factor` is not an integer of at least 1.

    Example:
        >>> BilinearEnlargement2D(2)(keras.ops.ones((1, 8, 7, 3))).shape
        TensorShape([1, 16, 14, 3])
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        check_integer("factor", factor, 1)
        self.factor = factor

    def call(self, inputs):
        height, width = (inputs.shape[axis] or tf.shape(inputs)[axis] for axis in (1, 2))
        return tf.cast(tf.image.resize(inputs, (height * self.factor, width * self.factor)), inputs.dtype)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, *(side if side is None else side * self.factor for side in (height, width)), channels)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class AtLeastTwoPixels(keras.layers.Layer):
    """Doubles a height or width of one pixel, which cannot be mirrored: the smallest images would end in an error.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.
    """

    def call(self, inputs):
        if all(side is not None and side > 1 for side in inputs.shape[1:3]):
            return inputs
        # A padding whose size is not known would leave TFLite's converter without the number of channels.
        missing = [tf.maximum(2 - tf.shape(inputs)[axis], 0) for axis in (1, 2)]
        taller = tf.concat([inputs, inputs[:, : missing[0]]], axis=1)
        return tf.concat([taller, taller[:, :, : missing[1]]], axis=2)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, *(side if side is None else max(side, 2) for side in (height, width)), channels)

    def get_config(self):
        # Keras does not make the configuration of a layer whose dtype is a policy.
        return super().get_config()


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class CropLike(keras.layers.Layer):
    """Crops the first of two tensors to the height and width of the second, at the top left.

    Call arguments:
        inputs: pair of float tensors `(batch, height, width, channels)`.
    """

    def call(self, inputs):
        x, like = inputs
        if x.shape[1:3].is_fully_defined() and x.shape[1:3] == like.shape[1:3]:
            return x
        return x[:, : tf.shape(like)[1], : tf.shape(like)[2]]

    def compute_output_shape(self, input_shape):
        shape, like = input_shape
        return (shape[0], *like[1:3], shape[3])

    def get_config(self):
        return super().get_config()
