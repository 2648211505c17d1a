"""Kernel distance between real and translated images, as a Keras metric."""

import keras
import numpy as np

from tf_cyclegan.metrics.feature_metric import SIDES, FeatureMetric, inception_only
from tf_cyclegan.metrics.kernel import kernel_distance


class KernelDistance(FeatureMetric):
    """Kernel distance between the features of real and of translated images.

    It needs the features themselves, which are kept in float32: 80 MB for 10,000 images and 2048 features. They are not
    saved with a model.

    Args:
        feature_extractor: callable with a `name`, uint8 images `(batch, height, width, channels)` to features
            `(batch, features)`, as `tf_cyclegan.metrics.feature_extractor` makes.
        subsets: int, random subsets whose distances are averaged. Defaults to 100.
        subset_size: int, images of a subset, or all of the smaller set where it has fewer. Defaults to 1000.
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
        """Adds features that are there already.

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

    Its mean does not depend on the number of images, which makes it the better measure of few.

    Args:
        feature_extractor: extractor named `"inception"`. Defaults to `feature_extractor("inception")`.
        subsets, subset_size, seed: as in `KernelDistance`.
        name: str. Defaults to `"kid"`.

    Raises:
        ValueError: if it is another extractor, or Inception's weights are unavailable.

    Example:
        >>> kid = KID()  # doctest: +SKIP
        >>> kid.update_state(real_images, translated_images)  # doctest: +SKIP
        >>> mean, deviation = kid.mean_and_deviation()  # doctest: +SKIP
    """

    def __init__(self, feature_extractor=None, subsets=100, subset_size=1000, seed=0, name="kid"):
        super().__init__(inception_only(feature_extractor, "KID", KernelDistance), subsets, subset_size, seed, name)
