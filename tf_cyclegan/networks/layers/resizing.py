"""Steps between the sizes of an image: smaller for a pyramid, larger to be looked at."""

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
