"""Copies of a network with the same weights and other layers: in another precision, or as converters understand it."""

import keras
import tensorflow as tf

from tf_cyclegan.networks.layers.convolution import Conv2D

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
PRECISIONS = tuple(_POLICIES)


def with_precision(network, precision):
    """A network with the same weights that computes in `precision` and answers in float32.

    Args:
        network: functional `keras.Model` with one output.
        precision: `"float32"` or `"bfloat16"`, in which the weights stay float32 as in mixed-precision training.

    Returns:
        `network` itself where it computes in float32 and that is wanted, otherwise a copy.

    Raises:
        ValueError: if a network that must be copied is not functional.
    """
    layers = network._flatten_layers(include_self=False)
    if precision == "float32" and all(layer.compute_dtype == "float32" for layer in layers):
        return network
    last = _last_layer(network)

    def copy(layer):
        policy = "float32" if layer is last else _POLICIES[precision]
        return type(layer).from_config({**layer.get_config(), "dtype": policy})

    return _clone(network, copy)


def for_converters(network, transposes):
    """A copy of a network that TFLite's converter understands for images of any size.

    Args:
        network: functional `keras.Model`.
        transposes: bool, whether convolutions that double their images stay transposed ones. Otherwise they are two
            operations, with the smaller kernels.

    Returns:
        `keras.Model` with the same weights and the same answers.

    Raises:
        ValueError: if the network is not functional.
    """

    def copy(layer):
        kind = type(layer)
        if isinstance(layer, keras.layers.UpSampling2D) and layer.interpolation == "nearest":
            kind = _NearestUpSampling2D
        elif getattr(layer, "doubles", False) and not transposes:
            kind = _TwoStepConv2D
        return kind.from_config(layer.get_config())

    return _clone(network, copy)


class _NearestUpSampling2D(keras.layers.UpSampling2D):
    """In one operation: the repetitions that Keras makes of it leave the converter without the number of channels."""

    def call(self, inputs):
        return _enlarged(inputs, self.size)


class _TwoStepConv2D(Conv2D):
    """One that doubles its images, as an enlargement and a convolution."""

    def convolution_op(self, inputs, kernel):
        return tf.nn.conv2d(_enlarged(inputs, 2), tf.cast(tf.convert_to_tensor(kernel), inputs.dtype), 1, "SAME")


def _enlarged(images, factor):
    return tf.raw_ops.ResizeNearestNeighbor(images=images, size=tf.shape(images)[1:3] * factor)


def _clone(network, copy):
    clone = keras.models.clone_model(network, clone_function=copy, recursive=True)
    clone.set_weights(network.get_weights())
    return clone


def _last_layer(network):
    """The layer that makes the output, also where networks are nested."""
    layer = network
    while isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        layer = layer.outputs[0]._keras_history.operation
    return layer
