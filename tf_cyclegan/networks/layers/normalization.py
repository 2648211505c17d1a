"""Instance and batch normalization."""

import keras
import tensorflow as tf

from tf_cyclegan.networks.layers import runtime
from tf_cyclegan.networks.layers.runtime import once_a_shape
from tf_cyclegan.settings.checks import check_choice
from tf_cyclegan.settings.imports import check_backend

check_backend(keras.config.backend())
# One fused kernel an image beats moments arithmetic up to about this many images on CPUs.
_LARGEST_FUSED_BATCH = 4
# There it adds one pixel after the other in float32, which is off by 1e-4 at 512x512 pixels and by 4e-3 at 2048x2048.
_LARGEST_FUSED_IMAGE = 512 * 512
INFERENCE_STATISTICS = ("moving", "image")


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class InstanceNormalization(keras.layers.Layer):
    """Normalizes each channel of each image to zero mean and unit variance over its pixels.

    Takes over the arguments, defaults and weight names of `tensorflow_addons.layers.InstanceNormalization`. The
    reference networks use it with `epsilon=1e-5, center=False, scale=False`. Statistics are computed in at least
    float32 whatever the dtype policy, with the biased variance, as PyTorch's `InstanceNorm2d` does.

    Args:
        axis: int, the channel axis. Defaults to -1.
        epsilon: float, added to the variance. Defaults to 1e-3.
        center: bool, whether to add the weight `beta`, one a channel. Defaults to True.
        scale: bool, whether to multiply by the weight `gamma`, one a channel. Defaults to True.
        beta_initializer, gamma_initializer: initializers of the weights. Default to zeros and ones.
        beta_regularizer, gamma_regularizer: optional regularizers of the weights.
        beta_constraint, gamma_constraint: optional constraints on the weights.
        **kwargs: of `keras.layers.Layer`, as `name` and `dtype`.

    Call arguments:
        inputs: float tensor of rank 3 or more, `(batch, ..., channels)` for `axis=-1`.

    Raises:
        ValueError: if `axis` is the batch axis, or `epsilon` is negative.

    Example:
        >>> layer = InstanceNormalization(epsilon=1e-5, center=False, scale=False)
        >>> layer(keras.random.normal((1, 8, 8, 3))).shape
        TensorShape([1, 8, 8, 3])

    Reference:
        [Ulyanov et al., 2016](https://arxiv.org/abs/1607.08022)
    """

    def __init__(
        self,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if axis == 0:
            raise ValueError(f"`axis` must be the channel axis, not the batch axis. Received: axis={axis}")
        if epsilon < 0:
            raise ValueError(f"`epsilon` must be at least 0. Received: epsilon={epsilon}")
        self.axis = axis
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = keras.initializers.get(beta_initializer)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)
        self.beta_constraint = keras.constraints.get(beta_constraint)
        self.gamma_constraint = keras.constraints.get(gamma_constraint)
        self.supports_masking = True

    def build(self, input_shape):
        if self.axis % len(input_shape) == 0:
            raise ValueError(f"`axis` must not be the batch axis. Received: axis={self.axis} for shape {input_shape}")
        channels = input_shape[self.axis]
        self.gamma = self._add_channel_weight("gamma", channels) if self.scale else None
        self.beta = self._add_channel_weight("beta", channels) if self.center else None

    def _add_channel_weight(self, name, channels):
        return self.add_weight(
            name=name,
            shape=(channels,),
            initializer=getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            # A half-precision gamma would lose what the float32 statistics keep.
            autocast=False,
        )

    def call(self, inputs):
        return _normalized(self, inputs)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": keras.initializers.serialize(self.beta_initializer),
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "beta_regularizer": keras.regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": keras.regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": keras.constraints.serialize(self.beta_constraint),
            "gamma_constraint": keras.constraints.serialize(self.gamma_constraint),
        }


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer, with a choice of the statistics that it normalizes by outside of training.

    A network trained on batches of one image knows only normalization by the image's own statistics; pix2pix is
    therefore tested with them. An answer then depends on the image alone, whatever the batch.

    Args:
        inference_statistics: `"moving"`, the averages over training, or `"image"`, those of each image alone.
            Defaults to `"moving"`.
        **kwargs: of `keras.layers.BatchNormalization`.

    Raises:
        ValueError: if `inference_statistics` is neither.

    Reference:
        [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167), [Isola et al., 2016](https://arxiv.org/abs/1611.07004),
        section 3.2 of the second.
    """

    def __init__(self, inference_statistics="moving", **kwargs):
        super().__init__(**kwargs)
        check_choice("inference_statistics", inference_statistics, INFERENCE_STATISTICS)
        self.inference_statistics = inference_statistics

    def call(self, inputs, training=None, mask=None):
        if training or self.inference_statistics == "moving":
            return super().call(inputs, training=training, mask=mask)
        return _normalized(self, inputs)

    def get_config(self):
        return {**super().get_config(), "inference_statistics": self.inference_statistics}


def _normalized(layer, inputs):
    """Normalizes inputs by the `axis`, `epsilon`, `gamma` and `beta` of a layer, whose weights are read here."""
    weights = (weight if weight is None else tf.convert_to_tensor(weight) for weight in (layer.gamma, layer.beta))
    return _normalize_images(inputs, layer.axis, layer.epsilon, *weights)


@once_a_shape
def _normalize_images(inputs, axis, epsilon, gamma, beta):
    """Each channel of each image to zero mean and unit variance, times `gamma` plus `beta`, which may be None."""
    if _is_fusable(inputs, axis):
        return _fused(inputs, epsilon, gamma, beta)
    return _by_moments(inputs, axis, epsilon, gamma, beta)


def _is_fusable(inputs, axis):
    """The fused kernel wants channels last, has no float64, and takes one image a call: unknown batches cannot."""
    rank, batch = inputs.shape.rank, inputs.shape[0]
    channels_last = rank == 4 and axis in (-1, 3)
    few = batch is not None and 1 <= batch <= _LARGEST_FUSED_BATCH
    return channels_last and inputs.dtype != tf.float64 and few and not _is_rough_when_fused(inputs)


def _is_rough_when_fused(images):
    """Whether the CPU's kernel would sum too many float32 numbers; half precision is coarser than its sums."""
    height, width = images.shape[1:3]
    can_be_large = None in (height, width) or height * width > _LARGEST_FUSED_IMAGE
    return can_be_large and images.dtype == tf.float32 and runtime.does_the_computing()


def _fused(inputs, epsilon, gamma, beta):
    """On a batch of one, batch normalization in training mode is instance normalization, gradient included."""
    if inputs.dtype == tf.float32:
        inputs = _without_rough_mean(inputs, (1, 2))
    channels = inputs.shape[-1] or tf.shape(inputs)[-1]
    gamma = tf.ones(channels) if gamma is None else tf.cast(gamma, tf.float32)
    beta = tf.zeros(channels) if beta is None else tf.cast(beta, tf.float32)
    images = [inputs] if inputs.shape[0] == 1 else tf.split(inputs, inputs.shape[0])
    outputs = [
        tf.raw_ops.FusedBatchNormV3(
            x=image, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon, is_training=True
        ).y
        for image in images
    ]
    return outputs[0] if len(outputs) == 1 else tf.concat(outputs, axis=0)


def _by_moments(inputs, axis, epsilon, gamma, beta):
    x = tf.cast(inputs, tf.float64 if inputs.dtype == tf.float64 else tf.float32)
    channel_axis = axis % x.shape.rank
    pixels = [axis for axis in range(1, x.shape.rank) if axis != channel_axis]
    if channel_axis == 3 and x.shape.rank == 4:
        x = _without_rough_mean(x, (1, 2))
    # Not `tf.nn.moments`, which takes the mean for a constant: right for the first derivative, not for the second.
    centered = x - _mean(x, pixels)
    factor = tf.math.rsqrt(_mean(tf.square(centered), pixels) + epsilon)
    weight_shape = [-1 if axis == channel_axis else 1 for axis in range(x.shape.rank)]
    if gamma is not None:
        factor *= tf.reshape(tf.cast(gamma, x.dtype), weight_shape)
    y = centered * factor
    if beta is not None:
        y += tf.reshape(tf.cast(beta, x.dtype), weight_shape)
    return tf.cast(y, inputs.dtype)


def _mean(x, axes):
    """Mean over one axis after the other: no float32 sum is longer than a side, and it is faster than all in one."""
    for axis in reversed(axes):
        x = tf.reduce_mean(x, axis, keepdims=True)
    return x


def _without_rough_mean(images, pixels):
    """Shifts each channel by the mean of every 64th pixel, which normalization undoes exactly.

    TensorFlow's CPU kernels sum a channel one pixel after another in float32, so the mean of a flat image is off by
    1e-5 of its value, and dividing by `sqrt(epsilon)` makes that 2e-3. Small numbers have small errors. The shift has
    no gradient: the output does not depend on it.
    """
    return images - tf.stop_gradient(tf.reduce_mean(images[:, ::8, ::8], pixels, keepdims=True))
