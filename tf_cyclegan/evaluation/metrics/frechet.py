"""Fréchet distance: the formula, running moments of features, and the Keras metrics."""

import math

import keras
import numpy as np

from tf_cyclegan.evaluation.metrics.feature_metric import SIDES, FeatureMetric, inception_only


def frechet_distance(mean_a, covariance_a, mean_b, covariance_b):
    """Squared Fréchet distance between two normal distributions: `|m_a - m_b|^2 + tr(A + B - 2 sqrt(AB))`.

    Covariances may be singular, as they are with fewer images than features.

    Args:
        mean_a: float array `(features,)`.
        covariance_a: symmetric float array `(features, features)`.
        mean_b: float array `(features,)`.
        covariance_b: symmetric float array `(features, features)`.

    Returns:
        float of at least 0, computed in float64.

    Raises:
        ValueError: if the shapes do not fit, or a number is not finite.

    Example:
        >>> float(frechet_distance([0.0], [[4.0]], [3.0], [[1.0]]))
        10.0

    Reference:
        [Heusel et al., 2017](https://arxiv.org/abs/1706.08500)
    """
    mean_a, covariance_a = _checked("a", mean_a, covariance_a)
    mean_b, covariance_b = _checked("b", mean_b, covariance_b)
    if mean_a.shape != mean_b.shape:
        raise ValueError(
            f"`mean_b` must be of as many features as `mean_a`. Received: {len(mean_b)} and {len(mean_a)} features"
        )
    spread = np.trace(covariance_a) + np.trace(covariance_b) - 2 * trace_of_root(covariance_a, covariance_b)
    return float(max(np.sum((mean_a - mean_b) ** 2) + spread, 0.0))


def trace_of_root(covariance_a, covariance_b):
    """The trace of the square root of the product of two covariances, which is always real.

    With `A = F F'` and `B = G G'`, `tr sqrt(AB)` is the sum of the singular values of `F' G`. The eigenvalues of
    `sqrt(A) B sqrt(A)` are the squares of these values, and their roots would turn rounding of 1e-16 into 1e-8.

    Args:
        covariance_a, covariance_b: symmetric float64 arrays `(features, features)`.

    Returns:
        float of at least 0.
    """
    return np.linalg.svd(_root(covariance_a).T @ _root(covariance_b), compute_uv=False).sum()


def _root(covariance):
    """`F` of `F F' = covariance`, without the directions that hold only rounding."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    return vectors[:, kept] * np.sqrt(values[kept])


def _checked(side, mean, covariance):
    mean = np.atleast_1d(np.asarray(mean, np.float64))
    covariance = np.atleast_2d(np.asarray(covariance, np.float64))
    if mean.ndim != 1 or mean.size == 0 or covariance.shape != (mean.size, mean.size):
        raise ValueError(
            f"`covariance_{side}` must have shape (features, features) and `mean_{side}` (features,). "
            f"Received: shapes {covariance.shape} and {mean.shape}"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError(
            f"`mean_{side}` and `covariance_{side}` must be finite, which takes finite features of at least 2 images. "
            "Received: NaN or infinite numbers"
        )
    return mean, covariance


class Moments:
    """Running mean and covariance in float64.

    They take `features^2 * 8` bytes for any number of images, 34 MB for the 2048 features of Inception, and twice as
    many during an update.

    Args:
        features: int, the number of features of an image.

    Attributes:
        count: int, images so far.
        mean: float64 array `(features,)`.
        scatter: float64 array `(features, features)`, the sum of outer products of the deviations from the mean.

    Example:
        >>> moments = Moments(2)
        >>> moments.update([[0, 0], [2, 4]])
        >>> moments.mean.tolist(), moments.covariance.tolist()
        ([1.0, 2.0], [[2.0, 4.0], [4.0, 8.0]])

    Reference:
        [Chan et al., 1979](http://i.stanford.edu/pub/cstr/reports/cs/tr/79/773/CS-TR-79-773.pdf)
    """

    def __init__(self, features):
        self.count = 0
        self.mean = np.zeros(features)
        self.scatter = np.zeros((features, features))

    def update(self, batch):
        """Adds the features of some images.

        Args:
            batch: float array `(images, features)`, perhaps of no image.

        Raises:
            ValueError: if the array has another shape.
        """
        batch = np.asarray(batch, np.float64)
        if batch.ndim != 2 or batch.shape[1] != self.mean.size:
            raise ValueError(f"`batch` must have shape (images, {self.mean.size}). Received: shape {batch.shape}")
        if len(batch):
            mean = batch.mean(axis=0)
            deviations = np.vstack([batch - mean, self._shift(len(batch), mean)])
            self.scatter += deviations.T @ deviations

    def combine(self, other):
        """Adds all the images of another `Moments`.

        Args:
            other: `Moments` of the same number of features; it does not change.

        Raises:
            ValueError: if `other` has another number of features.
        """
        if other.mean.shape != self.mean.shape:
            raise ValueError(f"`other` must be of {self.mean.size} features. Received: {other.mean.size}")
        if other.count:
            shift = self._shift(other.count, other.mean)
            self.scatter += other.scatter
            self.scatter += np.outer(shift, shift)

    @property
    def covariance(self):
        """Float64 array `(features, features)`, the estimate with `count - 1` in the denominator, as `np.cov`.

        Raises:
            ValueError: if there are fewer than 2 images.
        """
        if self.count < 2:
            raise ValueError(f"`covariance` needs the features of at least 2 images. Received: {self.count}")
        return self.scatter / (self.count - 1)

    def _shift(self, count, mean):
        """Moves the mean, and returns the deviation that the distance of both means adds to the scatter."""
        difference, total = mean - self.mean, self.count + count
        shift = difference * math.sqrt(self.count * count / total)
        self.mean += difference * (count / total)
        self.count = total
        return shift


class FrechetDistance(FeatureMetric):
    """Fréchet distance between the features of real and of translated images.

    Its state is the mean and the covariance of each set in float64: memory does not grow with the images.

    Args:
        feature_extractor: callable with a `name`, uint8 images `(batch, height, width, channels)` to features
            `(batch, features)`, as `tf_cyclegan.metrics.feature_extractor` makes.
        name: str. Defaults to `"frechet_distance"`.

    Raises:
        ValueError: from `result`, if a set has fewer than 2 images.

    Example:
        >>> metric = FrechetDistance(feature_extractor("mobilenet_v2.keras"))  # doctest: +SKIP
        >>> metric.update_state(real_images, translated_images)  # doctest: +SKIP
        >>> float(metric.result())  # doctest: +SKIP

    Reference:
        [Heusel et al., 2017](https://arxiv.org/abs/1706.08500)
    """

    def __init__(self, feature_extractor, name="frechet_distance"):
        super().__init__(feature_extractor, name)
        self._state = {}

    def add_features(self, side, features):
        """Adds features that were computed before.

        Args:
            side: `"real"` or `"translated"`.
            features: float array `(images, features)`.
        """
        if not self._state:
            self._state = {name: self._variables_of(name, features.shape[1]) for name in SIDES}
        moments = self.moments(side)
        moments.update(features)
        count, mean, scatter = self._state[side]
        count.assign(moments.count)
        mean.assign(moments.mean)
        scatter.assign(moments.scatter)

    def moments(self, side):
        """A copy of the state of one side, `"real"` or `"translated"`, as `Moments`.

        Raises:
            ValueError: if there is no image yet.
        """
        if not self._state:
            raise ValueError("`update_state` must have had at least 2 real and 2 translated images. Received: none")
        count, mean, scatter = self._state[side]
        moments = Moments(mean.shape[0])
        moments.count, moments.mean, moments.scatter = int(count), np.array(mean), np.array(scatter)
        return moments

    def result(self):
        """Scalar tensor, float64."""
        real, translated = (self.moments(side) for side in SIDES)
        if min(real.count, translated.count) < 2:
            raise ValueError(
                "`update_state` must have had at least 2 real and 2 translated images. "
                f"Received: {real.count} and {translated.count}"
            )
        distance = frechet_distance(real.mean, real.covariance, translated.mean, translated.covariance)
        return keras.ops.convert_to_tensor(distance, "float64")

    def _variables_of(self, side, features):
        shapes = {"count": (), "mean": (features,), "scatter": (features, features)}
        return [
            self.add_variable(shape, "zeros", "int64" if part == "count" else "float64", name=f"{side}_{part}")
            for part, shape in shapes.items()
        ]


class FID(FrechetDistance):
    """Fréchet inception distance: the Fréchet distance with the features of Inception.

    Numbers are comparable only for the same resize rule, reference set and number of images.

    Args:
        feature_extractor: extractor named `"inception"`. Defaults to `feature_extractor("inception")`.
        name: str. Defaults to `"fid"`.

    Raises:
        ValueError: if the extractor is another, or Inception's weights are unavailable.

    Example:
        >>> fid = FID()  # doctest: +SKIP
        >>> fid.update_state(real_images, translated_images)  # doctest: +SKIP
        >>> float(fid.result())  # doctest: +SKIP
    """

    def __init__(self, feature_extractor=None, name="fid"):
        super().__init__(inception_only(feature_extractor, "FID", FrechetDistance), name)
