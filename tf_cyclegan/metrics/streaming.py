"""Mean and covariance of features that come in batches, in the memory of one covariance."""

import math

import numpy as np


class Moments:
    """Running mean and covariance in float64. However many images there are, memory is `features^2 * 8` bytes, 34 MB
    for the 2048 features of Inception, and a second time that during an update.

    Args:
        features: int, numbers an image.

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
            batch: float array `(images, features)`; no image is no change.

        Raises:
            ValueError: if the shape is another.
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
            other: `Moments` of as many features; it stays as it is.

        Raises:
            ValueError: if it has another number of features.
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
        """Moves the mean; returns the one deviation that two means apart add to the scatter."""
        difference, total = mean - self.mean, self.count + count
        shift = difference * math.sqrt(self.count * count / total)
        self.mean += difference * (count / total)
        self.count = total
        return shift
