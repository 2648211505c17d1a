"""Distances between sets of features: against SciPy, against plain loops, and by hand."""

import warnings

import numpy as np
import pytest
from scipy import linalg

from tf_cyclegan.metrics import Moments, frechet_distance, kernel_distance


def features(count, dimensions=16, seed=0, shift=0.0):
    random = np.random.RandomState(seed)
    return random.standard_normal((count, dimensions)) @ random.standard_normal((dimensions, dimensions)) + shift


def moments_of(x):
    return x.mean(axis=0), np.atleast_2d(np.cov(x.T))


def distance_of(x, y):
    return frechet_distance(*moments_of(x), *moments_of(y))


def distance_by_scipy(x, y):
    (mean_x, covariance_x), (mean_y, covariance_y) = moments_of(x), moments_of(y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a singular product has no exact root
        root = linalg.sqrtm(covariance_x @ covariance_y).real
    return ((mean_x - mean_y) ** 2).sum() + np.trace(covariance_x + covariance_y - 2 * root)


@pytest.mark.parametrize(
    ("count_x", "count_y", "dimensions"),
    [(500, 400, 16), (300, 300, 64), (20, 25, 64), (120, 20, 64), (2, 3, 8), (40, 30, 1)],
)
def test_frechet_distance_is_scipys(count_x, count_y, dimensions):
    x, y = features(count_x, dimensions), features(count_y, dimensions, seed=1, shift=0.3)
    assert distance_of(x, y) == pytest.approx(distance_by_scipy(x, y), rel=1e-6)


def test_frechet_distance_of_a_shift_is_its_square():
    x = features(500)
    assert distance_of(x, x + 1) == pytest.approx(16, abs=1e-6)
    assert abs(distance_of(x, x)) < 1e-6


def test_frechet_distance_of_few_images_to_themselves_is_zero():
    x = 100 * features(5, 64)
    assert 0 <= distance_of(x, x) < 1e-6


def test_frechet_distance_by_hand():
    assert frechet_distance([0, 0], np.diag([4, 9]), [3, 4], np.diag([1, 1])) == pytest.approx(25 + 1 + 4)
    assert frechet_distance([0, 0], np.zeros((2, 2)), [0, 0], np.eye(2)) == pytest.approx(2)


def test_frechet_distance_names_what_does_not_fit():
    mean, covariance = moments_of(features(9, 4))
    with pytest.raises(ValueError, match=r"`covariance_b`.*\(3, 3\) and \(4,\)"):
        frechet_distance(mean, covariance, mean, covariance[:3, :3])
    with pytest.raises(ValueError, match="`mean_b`.*3 and 4 features"):
        frechet_distance(mean, covariance, mean[:3], covariance[:3, :3])
    with pytest.raises(ValueError, match="`mean_a` and `covariance_a` must be finite.*at least 2 images"):
        frechet_distance(mean, np.full((4, 4), np.nan), mean, covariance)


def kernel_distance_by_loops(x, y):
    def mean(pairs):
        return np.mean([(np.dot(a, b) / len(a) + 1) ** 3 for a, b in pairs])

    def others(z):
        return [(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j]

    return mean(others(x)) + mean(others(y)) - 2 * mean([(a, b) for a in x for b in y])


def test_kernel_distance_is_that_of_plain_loops():
    x, y = features(12, 5), features(12, 5, seed=1, shift=0.5)
    mean, deviation = kernel_distance(x, y, subsets=3)
    assert mean == pytest.approx(kernel_distance_by_loops(x, y), rel=1e-10)
    assert deviation == 0, "every subset is the whole set"


def test_subsets_are_drawn_without_replacement_and_as_large_as_the_smaller_set():
    x, y = features(6, 3), features(4, 3, seed=1, shift=0.5)
    by_hand = [kernel_distance_by_loops(np.delete(x, (i, j), 0), y) for i in range(6) for j in range(i)]
    mean, deviation = kernel_distance(x, y, subsets=400)
    assert min(by_hand) <= mean <= max(by_hand)
    assert mean == pytest.approx(np.mean(by_hand), rel=0.1)
    assert deviation == pytest.approx(np.std(by_hand), rel=0.2)


def test_kernel_distance_is_unbiased_and_repeats_by_seed():
    x = np.random.RandomState(0).standard_normal((400, 8))
    settings = {"subsets": 20, "subset_size": 50}
    mean, deviation = kernel_distance(x[:200], x[200:], **settings)
    assert abs(mean) < deviation
    assert kernel_distance(x[:200], x[200:] + 1, **settings)[0] > 5 * deviation
    assert kernel_distance(x[:200], x[200:], **settings) == (mean, deviation)
    assert kernel_distance(x[:200], x[200:], **settings, seed=1) != (mean, deviation)


def test_kernel_distance_names_what_does_not_fit():
    x = features(5, 4)
    with pytest.raises(ValueError, match=r"`features_b`.*at least 2 images.*\(1, 4\)"):
        kernel_distance(x, x[:1])
    with pytest.raises(ValueError, match="`features_b`.*3 and 4"):
        kernel_distance(x, x[:, :3])
    with pytest.raises(ValueError, match="`features_a` must be finite"):
        kernel_distance(x * np.inf, x)
    with pytest.raises(ValueError, match="`subset_size`.*at least 2"):
        kernel_distance(x, x, subset_size=1)


def test_moments_in_batches_are_those_of_all_images():
    x = features(1000, 8, shift=3)
    moments = Moments(8)
    for batch in np.split(x, [1, 33, 33, 700]):
        moments.update(batch)
    assert moments.count == 1000
    np.testing.assert_allclose(moments.mean, x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(x.T), rtol=1e-10)


def test_moments_are_sound_where_the_mean_is_far_above_the_deviation():
    x = features(10_000, 4, shift=1e7)
    moments = Moments(4)
    for batch in np.array_split(x, 300):
        moments.update(batch)
    np.testing.assert_allclose(moments.covariance, np.cov(x.T), rtol=1e-6)


def test_moments_combine():
    x = features(50, 4)
    first, second, empty = Moments(4), Moments(4), Moments(4)
    first.update(x[:20])
    second.update(x[20:])
    empty.combine(first)
    empty.combine(second)
    empty.combine(Moments(4))
    np.testing.assert_allclose(empty.mean, x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(empty.covariance, np.cov(x.T), rtol=1e-10)
    assert (second.count, empty.count) == (30, 50)


def test_moments_name_what_does_not_fit():
    moments = Moments(4)
    with pytest.raises(ValueError, match=r"`batch`.*\(images, 4\).*\(2, 3\)"):
        moments.update(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="`other`.*4 features.*3"):
        moments.combine(Moments(3))
    moments.update(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="at least 2 images. Received: 1"):
        moments.covariance  # noqa: B018
