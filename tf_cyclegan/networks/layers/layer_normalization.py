"""Layer normalization as in UNIT: over height, width and channels of an image."""

import keras
import tensorflow as tf

# Least variance of which a root is taken: a root has no slope at 0, and a flat image would make NaN of a whole step.
LEAST_VARIANCE = 1e-20


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class LayerNormalization(keras.layers.Layer):
    """Normalizes each image over its height, width and channels, then scales and shifts each channel.

    Not Keras's layer of this name: the deviation is the unbiased one, epsilon is added to it and not to the variance,
    and the weights are one a channel, so an image may have any size. Computed in at least float32 whatever the dtype
    policy.

    Args:
        epsilon: float of at least 0, added to the deviation. Defaults to 1e-5.
        gamma_initializer: of the scales. Defaults to the uniform distribution on [0, 1), the reference's.
        beta_initializer: of the shifts. Defaults to `"zeros"`.
        **kwargs: of `keras.layers.Layer`, as `name` and `dtype`.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.

    Raises:
        ValueError: if `epsilon` is negative.

    Example:
        >>> LayerNormalization()(keras.random.normal((1, 8, 8, 3))).shape
        TensorShape([1, 8, 8, 3])

    Reference:
        [Ba et al., 2016](https://arxiv.org/abs/1607.06450), [Liu et al., 2017](https://arxiv.org/abs/1703.00848)
    """

    def __init__(self, epsilon=1e-5, gamma_initializer=None, beta_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        if epsilon < 0:
            raise ValueError(f"`epsilon` must be at least 0. Received: epsilon={epsilon}")
        self.epsilon = epsilon
        uniform = keras.initializers.RandomUniform(0.0, 1.0)
        self.gamma_initializer = keras.initializers.get(gamma_initializer or uniform)
        self.beta_initializer = keras.initializers.get(beta_initializer)

    def build(self, input_shape):
        shape = (input_shape[-1],)
        # Half-precision weights would lose what the float32 statistics keep.
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer=self.gamma_initializer, autocast=False)
        self.beta = self.add_weight(name="beta", shape=shape, initializer=self.beta_initializer, autocast=False)

    def call(self, inputs):
        x = tf.cast(inputs, tf.float64 if inputs.dtype == tf.float64 else tf.float32)
        centered = x - tf.reduce_mean(x, (1, 2, 3), keepdims=True)
        others = tf.reduce_prod(tf.cast(tf.shape(x)[1:], x.dtype)) - 1
        variance = tf.reduce_sum(tf.square(centered), (1, 2, 3), keepdims=True) / tf.maximum(others, 1)
        deviation = tf.sqrt(tf.maximum(variance, LEAST_VARIANCE))
        normalized = centered / (deviation + self.epsilon)
        y = normalized * tf.cast(self.gamma, x.dtype) + tf.cast(self.beta, x.dtype)
        return tf.cast(y, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "beta_initializer": keras.initializers.serialize(self.beta_initializer),
        }
