"""FID and KID as Keras metrics: what they compute, hold and forget."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images

from tf_cyclegan.data.images import to_uint8
from tf_cyclegan.metrics import FID, KID, FrechetDistance, KernelDistance, frechet_distance, kernel_distance


class Colors:
    """Mean color and its deviation, in the place of a network."""

    def __init__(self, name="inception"):
        self.name = name

    def __call__(self, images):
        if images.dtype != np.uint8:
            raise TypeError(images.dtype)
        pixels = images / 255
        return np.concatenate([pixels.mean(axis=(1, 2)), pixels.std(axis=(1, 2))], axis=1).astype("float32")


REAL = random_images(9, 8, seed=1)
TRANSLATED = np.clip(0.5 * random_images(7, 8, seed=2) + 0.2, -1, 1)


def expected_features():
    return Colors()(to_uint8(REAL)), Colors()(to_uint8(TRANSLATED))


def updated(metric):
    metric.update_state(REAL[:4], TRANSLATED[:4])
    metric.update_state(REAL[4:])
    metric.update_state(None, to_uint8(TRANSLATED[4:]))
    return metric


def test_fid_is_the_frechet_distance_of_all_batches():
    x, y = (features.astype(np.float64) for features in expected_features())
    wanted = frechet_distance(x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T))
    result = updated(FID(Colors())).result()
    assert result.dtype == tf.float64
    assert float(result) == pytest.approx(wanted, rel=1e-9)


def test_kid_is_the_kernel_distance_of_all_features():
    metric = updated(KID(Colors(), subsets=5, subset_size=4, seed=3))
    wanted = kernel_distance(*expected_features(), subsets=5, subset_size=4, seed=3)
    assert metric.mean_and_deviation() == pytest.approx(wanted, rel=1e-9)
    assert float(metric.result()) == pytest.approx(wanted[0], rel=1e-9)
    assert metric.features("real").dtype == np.float32


@pytest.mark.parametrize("kind", [FID, KID])
def test_metrics_forget_what_they_saw(kind):
    metric = updated(kind(Colors()))
    first = float(metric.result())
    metric.reset_state()
    with pytest.raises(ValueError, match="at least 2 real and 2 translated images. Received: 0 and 0"):
        metric.result()
    assert float(updated(metric).result()) == first


@pytest.mark.parametrize("kind", [FID, KID])
def test_metrics_need_two_images_a_side(kind):
    metric = kind(Colors())
    with pytest.raises(ValueError, match="at least 2 real and 2 translated images"):
        metric.result()
    metric.update_state(REAL, TRANSLATED[:1])
    with pytest.raises(ValueError, match="Received: 9 and 1"):
        metric.result()


def test_the_state_of_fid_does_not_grow_and_is_float64():
    metric = updated(FID(Colors()))
    assert sorted(str(v.dtype) for v in metric.variables) == ["float64"] * 4 + ["int64"] * 2
    assert metric.moments("real").count == 9


def test_names_are_kept_for_inception():
    assert FID(Colors()).name == "fid" and KID(Colors()).name == "kid"
    with pytest.raises(ValueError, match="`feature_extractor`.*'mobilenet_v2'.*FrechetDistance.*Fréchet distance with"):
        FID(Colors("mobilenet_v2"))
    with pytest.raises(ValueError, match="`feature_extractor`.*KernelDistance.*Kernel distance with own features"):
        KID(Colors("features of own"))
    others = FrechetDistance(Colors("mobilenet_v2")), KernelDistance(Colors("mobilenet_v2"))
    assert [updated(metric).name for metric in others] == ["frechet_distance", "kernel_distance"]


@pytest.mark.parametrize("kind", [FID, KID])
def test_what_is_no_batch_of_images_is_named(kind):
    with pytest.raises(ValueError, match=r"`translated_images`.*uint8, or float in \[-1, 1\].*shape=\(8, 8, 3\)"):
        kind(Colors()).update_state(None, REAL[0])
    with pytest.raises(ValueError, match="`real_images`.*dtype=int64"):
        kind(Colors()).update_state(np.zeros((2, 8, 8, 3), "int64"))
    with pytest.raises(RuntimeError, match="outside of `tf.function`"):
        tf.function(kind(Colors()).update_state)(tf.constant(REAL))
