"""Adam against PyTorch's formula."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_cyclegan.models.optimizers import Adam


def by_formula(x, gradients, rate=2e-4, beta_1=0.5, beta_2=0.999, epsilon=1e-8):
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g * g
        x = x - rate * (m / (1 - beta_1**t)) / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    return x


@pytest.mark.parametrize("size", [1.0, 1e-8])
def test_steps_are_pytorchs_even_where_epsilon_counts(size):
    gradients = size * np.random.RandomState(0).normal(size=(5, 4))
    x = keras.Variable(np.zeros(4), dtype="float64")
    optimizer = Adam()
    optimizer.build([x])
    for gradient in gradients:
        optimizer.apply([gradient], [x])
    # Keras keeps the learning rate in float32.
    np.testing.assert_allclose(x, by_formula(np.zeros(4), gradients), rtol=1e-6)


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match="`amsgrad`"):
        Adam(amsgrad=True)


def test_l2_is_added_to_the_gradient_before_the_moments():
    gradients = np.random.RandomState(0).normal(size=(4, 3))
    want, m, v = np.array([1.0, -2.0, 0.5]), 0.0, 0.0
    x = keras.Variable(want, dtype="float64")
    optimizer = Adam(0.01, l2=0.1)
    optimizer.build([x])
    for t, gradient in enumerate(gradients, start=1):
        g = gradient + 0.1 * want
        m, v = 0.5 * m + 0.5 * g, 0.999 * v + 0.001 * g * g
        want = want - 0.01 * (m / (1 - 0.5**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        optimizer.apply([gradient], [x])
    np.testing.assert_allclose(x, want, rtol=1e-6)


def test_l2_comes_back_from_the_config_and_is_checked():
    optimizer = Adam(l2=1e-4)
    assert Adam.from_config(optimizer.get_config()).l2 == 1e-4
    assert Adam().get_config()["l2"] == 0
    with pytest.raises(ValueError, match="`l2`.*-1"):
        Adam(l2=-1.0)


def test_a_restarted_optimizer_steps_like_a_new_one():
    gradients = np.random.RandomState(0).normal(size=(6, 4))
    x = keras.Variable(np.zeros(4), dtype="float64")
    optimizer = Adam()
    optimizer.build([x])
    for gradient in gradients[:3]:
        optimizer.apply([gradient], [x])
    before = x.numpy()
    optimizer.restart()
    for gradient in gradients[3:]:
        optimizer.apply([gradient], [x])
    np.testing.assert_allclose(x, by_formula(before, gradients[3:]), rtol=1e-6)
    # Which drives a schedule of the learning rate.
    assert int(optimizer.iterations) == 6


def test_a_restart_is_saved_and_states_from_before_there_was_one_load():
    gradients = np.random.RandomState(0).normal(size=(5, 4)).astype("float32")
    ours, saved = keras.Variable(np.zeros(4)), {}
    optimizer = Adam()
    optimizer.build([ours])
    optimizer.apply([gradients[0]], [ours])
    optimizer.restart()
    optimizer.apply([gradients[1]], [ours])
    optimizer.save_own_variables(saved)
    theirs = keras.Variable(ours.numpy())
    again = Adam()
    again.build([theirs])
    again.load_own_variables(saved)
    for trained, variable in ((optimizer, ours), (again, theirs)):
        trained.apply([gradients[2]], [variable])
    np.testing.assert_array_equal(ours, theirs)

    saved.pop(str(len(saved) - 1))
    again.load_own_variables(saved)
    assert int(again._restarted_at) == 0 and int(again.iterations) == 2


def test_gradients_are_apart_from_updates_under_xla():
    """A barrier stands between each gradient and its update, and changes no number."""
    start, gradient = np.ones((2, 3), "float32"), np.arange(6, dtype="float32").reshape(2, 3)
    found = []
    for jit_compile in (False, True):
        x = keras.Variable(start)
        optimizer = Adam()
        optimizer.build([x])
        step = tf.function(lambda g: optimizer.apply([g], [x]), jit_compile=jit_compile, autograph=False)  # noqa: B023
        step(tf.constant(gradient))
        found.append(x.numpy())
    assert "opt-barrier" in step.experimental_get_compiler_ir(tf.constant(gradient))(stage="hlo")
    np.testing.assert_allclose(*found, rtol=1e-6)
