"""Instance features once training is done: where those of an image come from that has no photograph."""

import numpy as np
import tensorflow as tf

from tf_cyclegan.checks import check_integer
from tf_cyclegan.networks.instance_features import cluster_by_class, object_features


class FeatureSampling:
    """The part of a `Pix2PixHD` that fills its table of instance features, and draws from it."""

    def fit_feature_clusters(self, dataset, clusters=None):
        """Fills the table of instance features by what the encoder finds in a data set, once training is done.

        The features of the objects of each class are clustered by k-means; objects of less than 1/64 of an image are
        left out unless a class has no other.

        Args:
            dataset: iterable of batches `(images_a, images_b)`.
            clusters: optional int, most clusters of a class. Defaults to `feature_clusters`.

        Raises:
            ValueError: if the model has no `instance_features`, its table has no room for so many `clusters`, or the
                data set is empty.
        """
        self._check_instance_features()
        clusters = self.feature_clusters if clusters is None else clusters
        check_integer("clusters", clusters, 1)
        if clusters > self.feature_clusters:
            raise ValueError(
                f"`clusters` must be at most `feature_clusters`, {self.feature_clusters}. Received: clusters={clusters}"
            )
        batches = [
            object_features(self.encoder_network(images, training=False), tf.convert_to_tensor(maps))
            for maps, images in dataset
        ]
        if not batches:
            raise ValueError("`dataset` must have batches `(images_a, images_b)`. Received: an empty one")
        features, classes, shares = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
        known = (classes >= 0) & (classes < self.label_classes)
        found = cluster_by_class(features[known], classes[known], shares[known], clusters, self.seed or 0)
        self._features.fill(*found)

    def finish(self, dataset):
        """Fills the table of instance features, where the model has one."""
        if self.instance_features:
            self.fit_feature_clusters(dataset)
        return bool(self.instance_features)

    @property
    def is_finished(self):
        """Whether the table of instance features is filled, where the model has one."""
        return not self.instance_features or self._features.is_filled

    def sample(self, images, seed=0):
        """Translates, each object with the features of a random cluster of its class.

        Args:
            images: float array `(batch, height, width, 2)`, label map and instance map of any size.
            seed: int; the same gives the same. Defaults to 0.

        Returns:
            Float32 tensor `(batch, height, width, channels)` in [-1, 1].

        Raises:
            ValueError: if the model has no `instance_features`.
        """
        self._check_instance_features()

        def network(maps, training):
            features = self._features.sample(maps, seed)
            answer = self._trained_network(self._joined(self._condition(maps), features), training=training)
            return self._enlarge(answer) if self.stage == "global" else answer

        return self._translated(tf.cast(tf.convert_to_tensor(images), "float32"), network, training=False)

    def _check_instance_features(self):
        if not self.instance_features:
            raise ValueError("`instance_features` must be at least 1 for this. Received: instance_features=0")
