"""Adam against PyTorch's formula."""

import keras
import numpy as np
import pytest

from tf_cyclegan.optimizers import Adam


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
