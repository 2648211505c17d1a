"""The base class of Keras metrics on features of two sets of images, real and translated."""

import keras
import tensorflow as tf

from tf_cyclegan.evaluation.metrics.features import INCEPTION, distance_name, feature_extractor
from tf_cyclegan.evaluation.metrics.image_batches import uint8_batch

SIDES = ("real", "translated")


class FeatureMetric(keras.metrics.Metric):
    """Base of `FrechetDistance` and `KernelDistance`; a subclass has `add_features(side, features)` and `result()`.

    Args:
        feature_extractor: callable with a `name`, uint8 images `(batch, height, width, channels)` to features
            `(batch, features)`.
        name: str.
    """

    def __init__(self, feature_extractor, name):
        super().__init__(name=name, dtype="float64")
        self.feature_extractor = feature_extractor

    def update_state(self, real_images=None, translated_images=None):
        """Adds images to one set or both; the sets may differ in number.

        Args:
            real_images: array or tensor `(batch, height, width, channels)`, uint8, or float in [-1, 1], which is
                rounded as in a PNG file; or None. Defaults to None.
            translated_images: the same. Defaults to None.

        Raises:
            ValueError: if an argument is no batch of images.
            RuntimeError: inside of a `tf.function`, where extractors cannot run.
        """
        if not tf.executing_eagerly():
            raise RuntimeError(f"`{self.name}` must be updated outside of `tf.function`, as in a callback")
        for side, images in zip(SIDES, (real_images, translated_images), strict=True):
            if images is not None:
                self.add_features(side, self.feature_extractor(uint8_batch(f"{side}_images", images)))


def inception_only(extractor, kind, general):
    """The extractor of a FID or KID, which must be Inception.

    Args:
        extractor: feature extractor, or None to load Inception.
        kind: `"FID"` or `"KID"`.
        general: the class for all other extractors.

    Raises:
        ValueError: if the extractor is not Inception.
    """
    extractor = extractor or feature_extractor()
    if extractor.name != INCEPTION:
        raise ValueError(
            f"`feature_extractor` must be Inception for a {kind}. Received: {extractor.name!r}; take "
            f"{general.__name__} and call it {distance_name(extractor, 'frechet' if kind == 'FID' else 'kernel')!r}"
        )
    return extractor
