"""The Fréchet distance between two normal distributions, from their means and covariances."""

import numpy as np


def frechet_distance(mean_a, covariance_a, mean_b, covariance_b):
    """Squared Fréchet distance between two normal distributions: `|m_a - m_b|^2 + tr(A + B - 2 sqrt(AB))`.

    Covariances may be singular, as those of fewer images than features are.

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
    """The trace of the square root of the product of two covariances, always real.

    With `A = F F'` and `B = G G'`, `tr sqrt(AB)` is the sum of the singular values of `F' G`. The eigenvalues of
    `sqrt(A) B sqrt(A)` are their squares: a root of those would turn rounding of 1e-16 into 1e-8.

    Args:
        covariance_a, covariance_b: symmetric float64 arrays `(features, features)`.

    Returns:
        float of at least 0.
    """
    return np.linalg.svd(_root(covariance_a).T @ _root(covariance_b), compute_uv=False).sum()


def _root(covariance):
    """`F` of `F F' = covariance`, without the directions in which there is nothing but rounding."""
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
