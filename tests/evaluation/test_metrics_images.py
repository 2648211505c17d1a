"""Measures on images: against TensorFlow's and by hand, for pairs and without."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from callbacks_fake import FakeModel
from conftest import random_images

from tf_cyclegan.data.images import to_float
from tf_cyclegan.metrics import (
    cycle_error,
    identity_distance,
    mean_absolute_difference,
    perceptual_distance,
    psnr,
    ssim,
)
from tf_cyclegan.networks import vgg


def pair(height=24, width=20, channels=3):
    images = random_images(3, height, width, channels)
    smooth = (images + np.roll(images, 1, 1) + np.roll(images, 1, 2)) / 3
    return smooth, np.clip(smooth + 0.3 * random_images(3, height, width, channels, seed=1), -1, 1)


def gray(levels):
    return np.broadcast_to(np.asarray(levels, np.uint8).reshape(-1, 1, 1, 1), (len(levels), 4, 4, 3))


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_tensorflows(channels):
    a, b = pair(channels=channels)
    wanted = tf.image.ssim((a + 1) / 2, (b + 1) / 2, max_val=1.0)
    np.testing.assert_allclose(ssim(a, b), wanted, atol=1e-5)
    assert 0.1 < ssim(a, b).mean() < 0.9
    np.testing.assert_allclose(ssim(a, a), 1)


def test_psnr_is_tensorflows():
    a, b = pair()
    np.testing.assert_allclose(psnr(a, b), tf.image.psnr(a, b, max_val=2.0), rtol=1e-5)
    assert psnr(a, a).tolist() == [np.inf] * 3


def test_differences_by_hand():
    a, b = gray([0, 100, 255]), gray([255, 100, 153])
    np.testing.assert_allclose(mean_absolute_difference(a, b), [2, 0, 0.8])
    np.testing.assert_allclose(psnr(a, b), [0, np.inf, 20 * np.log10(255 / 102)])


@pytest.mark.parametrize("measure", [psnr, ssim, mean_absolute_difference])
def test_whole_levels_and_floats_are_the_same_images(measure):
    a, b = (np.random.RandomState(seed).randint(0, 256, (2, 16, 16, 3)).astype("uint8") for seed in range(2))
    np.testing.assert_allclose(measure(a, b), measure(to_float(a), to_float(b)), rtol=1e-5)


def test_pairs_that_do_not_fit_are_named():
    a, b = pair()
    with pytest.raises(ValueError, match=r"`images_b` must have the shape of `images_a`.*\(3, 24, 19, 3\)"):
        psnr(a, b[:, :, 1:])
    with pytest.raises(ValueError, match="`images_a`.*at least 11 pixels"):
        ssim(a[:, :10], b[:, :10])
    with pytest.raises(ValueError, match="`images_b`.*dtype=int64"):
        psnr(a, b.astype("int64"))


def test_perceptual_distance_by_hand():
    def network(images):
        turned = tf.stack([images[..., 0], -images[..., 0]], axis=-1)  # a direction, whatever its length
        return [images, turned]

    a = np.full((2, 4, 4, 3), 0.5, "float32")
    b = a * np.array([0.1, -1]).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(perceptual_distance(a, b, network), [0, 4], atol=1e-6)
    red, blue = (np.tile(np.asarray(color, "float32"), (1, 4, 4, 1)) for color in ((1, 0, 0), (0, 0, -0.2)))
    np.testing.assert_allclose(perceptual_distance(red, blue, lambda images: images), [2], atol=1e-6)


def test_perceptual_distance_by_vgg_grows_with_the_change():
    network = vgg.vgg19_features(weights=None)
    a, b = pair(32, 32)
    near, far = perceptual_distance(a, 0.9 * a + 0.1 * b, network), perceptual_distance(a, b, network)
    assert near.shape == (3,) and (near > 0).all() and (near < far).all()


def test_perceptual_distance_without_weights_says_what_to_do(monkeypatch):
    def fail(**_):
        raise OSError("no route to host")

    monkeypatch.setattr(keras.applications, "VGG19", fail)
    with pytest.raises(vgg.WeightsUnavailable, match="`network`.*vgg19_features.*no route to host"):
        perceptual_distance(*pair())


def shifting_model(there, back):
    model = FakeModel()
    model.translate = lambda images, direction=None: images + (back if direction == "ba" else there)
    return model


def test_cycle_error_and_identity_distance_by_hand():
    model = shifting_model(0.5, -0.3)
    batches = [random_images(3), random_images(1, seed=1)]
    assert cycle_error(model, batches) == pytest.approx(0.2, abs=1e-6)
    assert cycle_error(model, batches, direction="ba") == pytest.approx(0.2, abs=1e-6)
    assert identity_distance(model, batches) == pytest.approx(0.5, abs=1e-6)
    assert identity_distance(model, iter(batches), direction="ba") == pytest.approx(0.3, abs=1e-6)


def test_images_count_alike_whatever_their_batch():
    model = FakeModel()
    model.translate = lambda images, direction="ab": images * 2
    ones = np.ones((3, 4, 4, 3), "float32")
    assert identity_distance(model, [ones, 0 * ones[:1]]) == pytest.approx(0.75)


def test_models_and_batches_that_do_not_fit_are_named():
    model = FakeModel()
    model.directions = ("ab",)
    with pytest.raises(ValueError, match="`model` must translate there and back.*directions="):
        cycle_error(model, [random_images()])
    with pytest.raises(ValueError, match="`batches` must hold at least one image"):
        identity_distance(model, [])
    model.translate = lambda images, direction="ab": images[..., :1]
    with pytest.raises(ValueError, match="`model` must give images of the shape"):
        identity_distance(model, [random_images()])
