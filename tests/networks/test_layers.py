"""Padding and instance normalization against definitions written out in NumPy."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images

from tf_cyclegan.layers import Cropping2D, InstanceNormalization, ReflectionPadding2D, ReplicationPadding2D
from tf_cyclegan.networks.layers import normalization, runtime


def by_definition(x, epsilon=1e-5):
    x = x.astype("float64")
    return (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + epsilon)


def plain(**settings):
    return InstanceNormalization(epsilon=1e-5, center=False, scale=False, **settings)


@pytest.mark.parametrize("batch", [1, 3, 9])
@pytest.mark.parametrize("offset", [0.0, 5.0, 1000.0])
def test_instance_normalization_is_the_definition(batch, offset):
    x = random_images(batch, 24, 20, channels=5) + np.float32(offset)
    np.testing.assert_allclose(plain()(x), by_definition(x), atol=1e-5 if offset < 100 else 1e-4)


def forms(layer):
    """The two ways in which a layer of this size could be computed."""
    settings = {"epsilon": layer.epsilon, "gamma": layer.gamma, "beta": layer.beta}
    return functools.partial(normalization._fused, **settings), functools.partial(
        normalization._by_moments, axis=-1, **settings
    )


def test_fused_and_moments_agree_with_their_gradients():
    x = tf.constant(random_images(2, 16, channels=4))
    weights = tf.constant(random_images(2, 16, channels=4, seed=1))
    layer = InstanceNormalization()
    layer.build(x.shape)
    layer.gamma.assign([0.5, 1.0, 2.0, -1.0])
    results = []
    for form in forms(layer):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = form(x)
            objective = tf.reduce_sum(y * weights)
        results.append((y, *tape.gradient(objective, [x, layer.gamma.value, layer.beta.value])))
    for fused, moments in zip(*results, strict=True):
        np.testing.assert_allclose(fused, moments, atol=2e-5)


def test_second_derivative_of_the_fused_form_is_that_of_moments():
    x = tf.constant(random_images(1, 8, channels=2))

    def curvature(form):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                objective = tf.reduce_sum(form(x) ** 3)
            slope = tf.reduce_sum(inner.gradient(objective, x) ** 2)
        return outer.gradient(slope, x)

    layer = plain()
    layer.build(x.shape)
    fused, moments = map(curvature, forms(layer))
    np.testing.assert_allclose(fused, moments, rtol=1e-3, atol=1e-3 * float(tf.reduce_max(tf.abs(moments))))


def test_second_derivative_is_that_of_finite_differences():
    # WGAN-GP trains with it; `tf.nn.moments` has none of the mean's.
    images, weights, directions = (tf.constant(random_images(1, 6, channels=2, seed=i), tf.float64) for i in range(3))
    layer = plain(dtype="float64")

    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            objective = tf.reduce_sum(weights * layer(x) ** 3)
        return tf.reduce_sum(directions * tape.gradient(objective, x) ** 2)

    with tf.GradientTape() as tape:
        tape.watch(images)
        value = slope(images)
    derivative = tf.reduce_sum(tape.gradient(value, images) * weights)
    step = 1e-5 * weights
    np.testing.assert_allclose(derivative, (slope(images + step) - slope(images - step)) / 2e-5, rtol=1e-6)


@pytest.mark.parametrize("batch", [1, 8])
def test_a_constant_image_becomes_zero(batch):
    constant = np.full((batch, 64, 64, 3), 0.7, "float32")
    np.testing.assert_allclose(plain()(constant), np.zeros_like(constant), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_statistics_are_float32_under_mixed_precision(policy):
    # In 8 or 11 bits of mantissa, 300 + noise has lost the noise's sum; its normalized form must not.
    x = tf.cast(random_images(1, 32, channels=2), policy.removeprefix("mixed_"))
    y = plain(dtype=policy)(x)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(tf.cast(y, "float32"), by_definition(tf.cast(x, "float32").numpy()), atol=2e-2)


def test_float64_is_float64():
    x = random_images(2, 16).astype("float64")
    y = plain(dtype="float64")(x)
    assert y.dtype == tf.float64
    np.testing.assert_allclose(y, by_definition(x), atol=1e-12)


@pytest.mark.parametrize("signature", [(1, 1536, 1536, 2), (1, None, None, 2), (None, None, None, 2)])
def test_large_images_are_as_exact_as_small_ones(signature):
    # Two million squares, added one after the other in float32, are off by 1e-3 of their sum.
    x = random_images(1, 1536, channels=2) + np.linspace(0, 3, 1536, dtype="float32")[:, None, None]
    normalized = tf.function(plain(), input_signature=[tf.TensorSpec(signature)])
    np.testing.assert_allclose(normalized(x), by_definition(x), atol=5e-6)


@pytest.mark.parametrize(
    ("size", "on_cpu", "fused"),
    [(512, True, True), (513, True, False), (None, True, False), (513, False, True), (None, False, True)],
)
def test_only_where_sums_are_rough_large_images_are_not_fused(monkeypatch, size, on_cpu, fused):
    monkeypatch.setattr(runtime, "does_the_computing", lambda: on_cpu)
    assert normalization._is_fusable(tf.TensorSpec((1, size, size, 2)), axis=-1) is fused
    assert normalization._is_fusable(tf.TensorSpec((1, size, size, 2), tf.bfloat16), axis=-1)


def test_unknown_sizes_and_batches():
    x = random_images(3, 20, 12, channels=4)
    layer = plain()
    unknown = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 4))])
    np.testing.assert_allclose(unknown(x), layer(x), atol=2e-5)


def test_other_ranks_and_axes():
    volume = np.random.RandomState(0).normal(size=(2, 4, 5, 6, 3)).astype("float32")
    axes = (1, 2, 3)
    want = (volume - volume.mean(axes, keepdims=True)) / np.sqrt(volume.var(axes, keepdims=True) + 1e-5)
    np.testing.assert_allclose(plain()(volume), want, atol=1e-5)
    first = volume[:, :, :, 0].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(plain(axis=1)(first), by_definition(volume[:, :, :, 0]).transpose(0, 3, 1, 2), atol=1e-5)


def test_instance_normalization_comes_back_from_its_config():
    layer = InstanceNormalization(epsilon=1e-4, center=False, gamma_initializer="zeros", gamma_regularizer="l2")
    again = InstanceNormalization.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("wrong", [{"axis": 0}, {"epsilon": -1.0}])
def test_instance_normalization_names_what_is_wrong(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
        InstanceNormalization(**wrong)


@pytest.mark.parametrize(
    "layer, mode",
    [(ReflectionPadding2D(3), "reflect"), (ReplicationPadding2D(1), "edge"), (ReplicationPadding2D(3), "edge")],
)
def test_padding_is_numpys(layer, mode):
    x = random_images(2, 9, 7)
    p = layer.padding
    want = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)), mode)
    np.testing.assert_array_equal(layer(x), want)
    assert layer.compute_output_shape(x.shape) == want.shape
    assert layer.compute_output_shape((None, None, 7, 3)) == (None, None, 7 + 2 * p, 3)


def test_padding_refuses_what_is_no_count():
    with pytest.raises(ValueError, match=r"`padding`.*-1"):
        ReflectionPadding2D(-1)


def test_layers_are_found_when_a_model_is_loaded(tmp_path):
    image = keras.Input((None, None, 3))
    x = InstanceNormalization()(ReplicationPadding2D(2)(ReflectionPadding2D(2)(image)))
    model = keras.Model(image, x)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(random_images()), model(random_images()))


@pytest.mark.parametrize("cropping", [((1, 0), (1, 0)), ((2, 0), (0, 0)), ((1, 2), (0, 1))])
def test_cropping_is_keras(cropping):
    x = keras.random.normal((2, 6, 7, 3), seed=0)
    answers = []
    for layer in (Cropping2D(cropping), keras.layers.Cropping2D(cropping)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y**2)
        answers.append((y, tape.gradient(loss, x)))
    for ours, theirs in zip(*answers, strict=True):
        np.testing.assert_array_equal(ours, theirs)
