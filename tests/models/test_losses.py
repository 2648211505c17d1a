"""Losses against numbers computed by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images

from tf_cyclegan.models import losses

REAL = np.array([[2.0, 0.0]], "float32")
FAKE = np.array([[1.0, -1.0]], "float32")


def softplus(x):
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    "gan_mode, expected",
    [
        ("lsgan", (0**2 + 2**2) / 2),
        ("vanilla", (softplus(-1) + softplus(1)) / 2),
        ("hinge", 0.0),
        ("wgangp", 0.0),
    ],
)
def test_generator_adversarial_loss(gan_mode, expected):
    assert float(losses.generator_adversarial_loss(FAKE, gan_mode)) == pytest.approx(expected, abs=1e-6)
    shifted = float(losses.generator_adversarial_loss(FAKE + 3, gan_mode))
    assert gan_mode in ("lsgan",) or shifted < expected


@pytest.mark.parametrize(
    "gan_mode, expected",
    [
        ("lsgan", 0.5 * ((1 + 1) / 2 + (1 + 1) / 2)),
        ("vanilla", 0.5 * ((softplus(-2) + softplus(0)) / 2 + (softplus(1) + softplus(-1)) / 2)),
        ("hinge", (0 + 1) / 2 + (2 + 0) / 2),
        ("wgangp", 0.0 - 1.0),
    ],
)
def test_discriminator_adversarial_loss(gan_mode, expected):
    assert float(losses.discriminator_adversarial_loss(REAL, FAKE, gan_mode)) == pytest.approx(expected, abs=1e-6)


def test_vanilla_is_stable_for_large_scores():
    assert float(losses.generator_adversarial_loss(np.float32([-1000.0]), "vanilla")) == pytest.approx(1000.0)


def test_unknown_mode_is_named():
    for loss in (losses.generator_adversarial_loss, lambda x, mode: losses.discriminator_adversarial_loss(x, x, mode)):
        with pytest.raises(ValueError, match=r"`gan_mode`.*'magic'"):
            loss(FAKE, "magic")


def test_reconstruction_loss_is_the_mean_absolute_difference():
    a, b = random_images(seed=1), random_images(seed=2)
    assert float(losses.reconstruction_loss(a, b)) == pytest.approx(np.abs(a - b).mean(), rel=1e-6)


def test_gradient_penalty_of_a_linear_critic():
    # D(x) = sum(w x) has the gradient w everywhere, so the penalty is (||w|| - 1)^2 whatever the images.
    w = random_images(seed=3)
    expected = (np.linalg.norm(w) - 1) ** 2
    penalty = losses.gradient_penalty(lambda x: x * w, random_images(2, seed=1), random_images(2, seed=2), seed=0)
    assert float(penalty) == pytest.approx(expected, rel=1e-5)


def test_gradient_penalty_reaches_the_critics_weights():
    w = tf.Variable(2.0)
    x = np.ones((1, 4, 4, 1), "float32")
    with tf.GradientTape() as tape:
        penalty = losses.gradient_penalty(lambda x: w * x, x, 0 * x, seed=0)
    # ||grad|| = 4 |w| over 16 pixels, so the penalty is (4 w - 1)^2 with slope 8 (4 w - 1).
    assert float(penalty) == pytest.approx(49.0, rel=1e-5)
    assert float(tape.gradient(penalty, w)) == pytest.approx(56.0, rel=1e-5)


def test_gradient_penalty_of_a_constant_critic_is_finite():
    w = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        penalty = losses.gradient_penalty(lambda x: w * x, random_images(), random_images(seed=1), seed=0)
    assert float(penalty) == pytest.approx(1.0)
    assert np.isfinite(tape.gradient(penalty, w))
