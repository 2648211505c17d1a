"""The own gradients of convolutions: those of TensorFlow, whichever way they are computed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_cyclegan.networks.layers import runtime
from tf_cyclegan.networks.layers.convolution import Conv2D


@pytest.fixture(params=[True, False], ids=["eigen", "onednn"])
def on_eigen(request, monkeypatch):
    """Both kinds of kernels decide which gradients are taken; either way they must be right on this machine."""
    monkeypatch.setattr(runtime, "convolves_with_eigen", lambda: request.param)
    return request.param


def derivatives(convolve, x, kernel):
    """Value, first and second derivatives of something that is not linear in either."""
    with tf.GradientTape() as second:
        second.watch((x, kernel))
        with tf.GradientTape() as first:
            first.watch((x, kernel))
            y = convolve(x, kernel)
            loss = tf.reduce_sum(y**3)
        gradients = first.gradient(loss, (x, kernel))
        squares = sum(tf.reduce_sum(gradient**2) for gradient in gradients)
    return [y, *gradients, *second.gradient(squares, (x, kernel))]


SHAPES = [(7, 5, 3), (4, 300, 1), (3, 256, 8), (3, 16, 8), (1, 256, 3)]


@pytest.mark.parametrize("runs", ["eagerly", "as a graph", "under XLA"])
@pytest.mark.parametrize(("size", "channels", "filters"), SHAPES)
def test_derivatives_are_tensorflows(on_eigen, size, channels, filters, runs):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(2, 9, 11, channels)), "float32")
    kernel = tf.constant(rng.normal(size=(size, size, channels, filters)) / channels, "float32")
    layer = Conv2D(filters, size, use_bias=False)

    def both(x, kernel):
        ours = derivatives(layer.convolution_op, x, kernel)
        return ours, derivatives(lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "VALID"), x, kernel)

    function = both if runs == "eagerly" else tf.function(both, jit_compile=runs == "under XLA")
    for ours, theirs in zip(*function(x, kernel), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_sizes_known_only_at_run_time(on_eigen):
    layer = Conv2D(3, 7, use_bias=False)
    layer.build((None, None, None, 4))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 4))])
    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x) ** 2)
        return tape.gradient(loss, (x, layer.kernel.value))

    for shape in ((1, 8, 9, 4), (3, 12, 7, 4)):
        x = keras.random.normal(shape, seed=0)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.nn.conv2d(x, layer.kernel.value, 1, "VALID") ** 2)
        for ours, theirs in zip(gradients(x), tape.gradient(loss, (x, layer.kernel.value)), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("setting", [{"strides": 2}, {"padding": "same"}, {"dilation_rate": 2}, {"groups": 2}])
def test_other_convolutions_are_keras(setting):
    ours, theirs = (cls(2, 3, **setting) for cls in (Conv2D, keras.layers.Conv2D))
    x = keras.random.normal((2, 9, 9, 256), seed=0)
    theirs.build(x.shape)
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_array_equal(ours(x), theirs(x))


def test_onednn_is_asked_for_and_not_guessed(monkeypatch):
    from tensorflow.python.util import _pywrap_util_port

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU, whose kernels are neither's")
    assert runtime.convolves_with_eigen() is not _pywrap_util_port.IsMklEnabled()
    assert not runtime.has("no such feature")
