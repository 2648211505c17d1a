"""Fréchet distance between real and translated images, as a Keras metric."""

import keras
import numpy as np

from tf_cyclegan.metrics.feature_metric import SIDES, FeatureMetric, inception_only
from tf_cyclegan.metrics.frechet import frechet_distance
from tf_cyclegan.metrics.streaming import Moments


class FrechetDistance(FeatureMetric):
    """Fréchet distance between the features of real and of translated images.

    The state is the mean and the covariance of either set in float64: memory does not grow with the images.

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
        """Adds features that are there already.

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
        ValueError: if it is another extractor, or Inception's weights are unavailable.

    Example:
        >>> fid = FID()  # doctest: +SKIP
        >>> fid.update_state(real_images, translated_images)  # doctest: +SKIP
        >>> float(fid.result())  # doctest: +SKIP
    """

    def __init__(self, feature_extractor=None, name="fid"):
        super().__init__(inception_only(feature_extractor, "FID", FrechetDistance), name)
