"""The kernel distance between two sets of features, which does not depend on how many there are."""

import numpy as np

from tf_cyclegan.settings.checks import check_integer


def kernel_distance(features_a, features_b, subsets=100, subset_size=1000, seed=0):
    """Kernel distance (KID when the features are Inception's), the mean over random subsets.

    A subset is drawn without replacement, of the same size from both sets, which is `subset_size` or, where a set is
    smaller, that set whole: then the deviation tells of the other set alone, and is 0 when both are drawn whole.

    Args:
        features_a: float array `(images, features)`.
        features_b: float array `(images, features)`.
        subsets: int, how many subsets are drawn. Defaults to 100.
        subset_size: int, images of a subset, at least 2. Defaults to 1000.
        seed: int. Defaults to 0.

    Returns:
        `(mean, standard deviation)` over the subsets, two floats. Where the sets are alike the mean can be below 0.

    Raises:
        ValueError: if a set has fewer than 2 images, the features differ in number or are not finite.

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
        subsets = 1  # all would be the same
    random = np.random.default_rng(seed)
    values = [unbiased_mmd(_subset(random, a, size), _subset(random, b, size)) for _ in range(subsets)]
    return float(np.mean(values)), float(np.std(values))


def unbiased_mmd(x, y):
    """Unbiased estimate of the squared maximum mean discrepancy with the kernel `(x.y / features + 1)^3`.

    Args:
        x: float64 array `(images, features)` of at least 2 images.
        y: float64 array `(images, features)` of at least 2 images.

    Returns:
        float, below 0 by chance where both are of one distribution.
    """
    return _mean_of_others(_kernel(x, x)) + _mean_of_others(_kernel(y, y)) - 2 * _kernel(x, y).mean()


def _kernel(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def _mean_of_others(kernel):
    """The mean over pairs of different images: an image with itself would bias it."""
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
