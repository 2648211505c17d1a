"""Kernel distance: the formula and the Keras metrics."""

import keras
import numpy as np

from tf_cyclegan.evaluation.metrics.feature_metric import SIDES, FeatureMetric, inception_only
from tf_cyclegan.settings.checks import check_integer


def kernel_distance(features_a, features_b, subsets=100, subset_size=1000, seed=0):
    """Kernel distance (KID when the features are Inception's), the mean over random subsets.

    A subset of the same size is drawn from both sets, without replacement: `subset_size` images, or all of the smaller
    set. If a set is drawn whole, the deviation is due to the other set, and it is 0 if both are drawn whole.

    Args:
        features_a: float array `(images, features)`.
        features_b: float array `(images, features)`.
        subsets: int, the number of subsets. Defaults to 100.
        subset_size: int, images of a subset, at least 2. Defaults to 1000.
        seed: int. Defaults to 0.

    Returns:
        `(mean, standard deviation)` over the subsets, two floats. If the sets are alike, the mean can be below 0.

    Raises:
        ValueError: if a set has fewer than 2 images, or the features differ in number or are not finite.

    Example:
        >>> x = np.random.RandomState(0).standard_normal((50, 4))
        >>> mean, deviation = kernel_distance(x, x + 1, subsets=10, subset_size=20)
        >>> mean > 0.1
        True

    Reference:
        [Binkowski et al., 2018](https://arxiv.org/abs/1801.01401)
    """
    check_integer("subsets", subsets, 1)
    check_integer("subset_size", subset_size, 2)
    a, b = _checked("features_a", features_a), _checked("features_b", features_b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"`features_b` must have as many features as `features_a`. Received: {b.shape[1]} and {a.shape[1]}"
        )
    size = min(subset_size, len(a), len(b))
    if size == len(a) == len(b):
        subsets = 1  # all subsets would be the same
    random = np.random.default_rng(seed)
    values = [unbiased_mmd(_subset(random, a, size), _subset(random, b, size)) for _ in range(subsets)]
    return float(np.mean(values)), float(np.std(values))


def unbiased_mmd(x, y):
    """Unbiased estimate of the squared maximum mean discrepancy with the kernel `(x.y / features + 1)^3`.

    Args:
        x: float64 array `(images, features)` of at least 2 images.
        y: float64 array `(images, features)` of at least 2 images.

    Returns:
        float, perhaps below 0 if both are of one distribution.
    """
    return _mean_of_others(_kernel(x, x)) + _mean_of_others(_kernel(y, y)) - 2 * _kernel(x, y).mean()


def _kernel(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def _mean_of_others(kernel):
    """The mean over pairs of different images: pairs of an image with itself would bias it."""
    count = len(kernel)
    return (kernel.sum() - np.trace(kernel)) / (count * (count - 1))


def _subset(random, features, size):
    return features[random.choice(len(features), size, replace=False)].astype(np.float64)


def _checked(name, features):
    features = np.asarray(features)
    if features.ndim != 2 or len(features) < 2 or features.shape[1] == 0:
        raise ValueError(
            f"`{name}` must have shape (images, features), of at least 2 images. Received: shape {features.shape}"
        )
    if not np.isfinite(features).all():
        raise ValueError(f"`{name}` must be finite. Received: NaN or infinite numbers")
    return features


class KernelDistance(FeatureMetric):
    """Kernel distance between the features of real and of translated images.

    It keeps the features themselves in float32: 80 MB for 10,000 images and 2048 features. They are not saved with a
    model.

    Args:
        feature_extractor: callable with a `name`, uint8 images `(batch, height, width, channels)` to features
            `(batch, features)`, as `tf_cyclegan.metrics.feature_extractor` makes.
        subsets: int, random subsets whose distances are averaged. Defaults to 100.
        subset_size: int, images of a subset, or all images of a smaller set. Defaults to 1000.
        seed: int. Defaults to 0.
        name: str. Defaults to `"kernel_distance"`.

    Raises:
        ValueError: from `result`, if a set has fewer than 2 images.

    Reference:
        [Binkowski et al., 2018](https://arxiv.org/abs/1801.01401)
    """

    def __init__(self, feature_extractor, subsets=100, subset_size=1000, seed=0, name="kernel_distance"):
        super().__init__(feature_extractor, name)
        self.subsets, self.subset_size, self.seed = subsets, subset_size, seed
        self.reset_state()

    def reset_state(self):
        self._features = {side: [] for side in SIDES}

    def add_features(self, side, features):
        """Adds features that were computed before.

        Args:
            side: `"real"` or `"translated"`.
            features: float array `(images, features)`.
        """
        self._features[side].append(np.asarray(features, np.float32))

    def features(self, side):
        """Features of all images of one side, `"real"` or `"translated"`: float32 array `(images, features)`."""
        batches = list(self._features[side])
        return np.concatenate(batches) if batches else np.zeros((0, 1), np.float32)

    def mean_and_deviation(self):
        """Mean and standard deviation over the subsets, two floats."""
        real, translated = (self.features(side) for side in SIDES)
        if min(len(real), len(translated)) < 2:
            raise ValueError(
                "`update_state` must have had at least 2 real and 2 translated images. "
                f"Received: {len(real)} and {len(translated)}"
            )
        return kernel_distance(real, translated, self.subsets, self.subset_size, self.seed)

    def result(self):
        """Scalar tensor, float64: the mean over the subsets."""
        return keras.ops.convert_to_tensor(self.mean_and_deviation()[0], "float64")


class KID(KernelDistance):
    """Kernel inception distance: the kernel distance with the features of Inception.

    Its mean does not depend on the number of images: for few images it is a better measure than the FID.

    Args:
        feature_extractor: extractor named `"inception"`. Defaults to `feature_extractor("inception")`.
        subsets, subset_size, seed: as in `KernelDistance`.
        name: str. Defaults to `"kid"`.

    Raises:
        ValueError: if the extractor is another, or Inception's weights are unavailable.

    Example:
        >>> kid = KID()  # doctest: +SKIP
        >>> kid.update_state(real_images, translated_images)  # doctest: +SKIP
        >>> mean, deviation = kid.mean_and_deviation()  # doctest: +SKIP
    """

    def __init__(self, feature_extractor=None, subsets=100, subset_size=1000, seed=0, name="kid"):
        super().__init__(inception_only(feature_extractor, "KID", KernelDistance), subsets, subset_size, seed, name)
