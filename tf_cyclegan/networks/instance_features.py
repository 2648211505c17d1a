"""`FeatureTable`: how objects of each class may look; images get their instance features from it at test time."""

import keras
import numpy as np
import tensorflow as tf

from tf_cyclegan.networks.instance_maps import segment_means, segments, to_ids
from tf_cyclegan.settings.checks import check_integer

# Objects of a smaller share of an image say little of their class: the reference leaves them out.
SMALLEST_SHARE = 1 / 64


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class FeatureTable(keras.layers.Layer):
    """Gives every pixel of a label map the most common features of its class.

    Before `fill`, and for a class of which no object was seen, the features are 0.

    Args:
        classes: int, number of classes.
        clusters: int, different features that the table holds for each class.
        features: int, features of an object.
        **kwargs: of `keras.layers.Layer`, as `name` and `dtype`.

    Call arguments:
        inputs: float32 tensor `(batch, height, width, channels)` with a label map in its first channel.

    Raises:
        ValueError: if an argument is not an integer of at least 1.

    Example:
        >>> FeatureTable(classes=35, clusters=10, features=3)(keras.ops.zeros((1, 8, 8, 2))).shape
        TensorShape([1, 8, 8, 3])
    """

    def __init__(self, classes, clusters, features, **kwargs):
        # Half precision has no room for ids.
        super().__init__(**{**kwargs, "autocast": False, "trainable": False})
        for argument, value in {"classes": classes, "clusters": clusters, "features": features}.items():
            check_integer(argument, value, 1)
        self.classes = classes
        self.clusters = clusters
        self.features = features

    def build(self, input_shape):
        settings = {"initializer": "zeros", "trainable": False, "autocast": False}
        self.centers = self.add_weight((self.classes, self.clusters, self.features), name="centers", **settings)
        self.counts = self.add_weight((self.classes, self.clusters), name="counts", **settings)

    @property
    def is_filled(self):
        """Whether any object was seen."""
        return bool(np.any(np.asarray(self.counts)))

    def fill(self, centers, counts):
        """Takes the clusters of some classes; all others become empty.

        Args:
            centers: dict, ids of classes to float arrays `(clusters found, features)`.
            counts: dict, the same ids to float arrays `(clusters found,)`, objects of each cluster.
        """
        table = [np.zeros(variable.shape, "float32") for variable in (self.centers, self.counts)]
        for label in centers:
            found = len(centers[label])
            table[0][label, :found], table[1][label, :found] = centers[label], counts[label]
        self.centers.assign(table[0])
        self.counts.assign(table[1])

    def most_common(self):
        """The most common features of each class, a float tensor `(classes, features)`."""
        return tf.gather(self.centers, tf.argmax(self.counts, axis=-1), axis=1, batch_dims=1)

    def call(self, inputs):
        return self._at(self.most_common(), to_ids(inputs[..., 0]))

    def sample(self, inputs, seed):
        """Gives every object the features of a random cluster of its class.

        Args:
            inputs: float32 tensor `(batch, height, width, 2)`, label map and instance map.
            seed: int; the same gives the same.

        Returns:
            Float tensor `(batch, height, width, features)`.
        """
        labels = to_ids(inputs[..., 0])
        numbers, count = segments(to_ids(inputs[..., 1]))
        classes = tf.clip_by_value(_classes(labels, numbers, count), 0, self.classes - 1)
        chances = tf.random.stateless_uniform((count, self.clusters), seed=(seed, 0))
        there = tf.gather(tf.convert_to_tensor(self.counts) > 0, classes)
        chosen = tf.argmax(tf.where(there, chances, -1.0), axis=-1)
        objects = tf.gather(tf.gather(self.centers, classes), chosen, axis=1, batch_dims=1)
        features = tf.reshape(tf.gather(objects, numbers), (*tf.unstack(tf.shape(labels)), self.features))
        return tf.cast(tf.where(self._is_known(labels), features, 0), self.compute_dtype)

    def _at(self, table, labels):
        known = self._is_known(labels)
        features = tf.gather(table, tf.where(known[..., 0], labels, 0))
        return tf.cast(tf.where(known, features, 0), self.compute_dtype)

    def _is_known(self, labels):
        return tf.expand_dims((labels >= 0) & (labels < self.classes), -1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.features)

    def get_config(self):
        settings = {"classes": self.classes, "clusters": self.clusters, "features": self.features}
        return {**super().get_config(), **settings}


def object_features(features, maps):
    """The mean features of every object of a batch.

    Args:
        features: float tensor `(batch, height, width, channels)`.
        maps: float tensor `(batch, height, width, 2)`, label map and instance map.

    Returns:
        NumPy arrays: features `(objects, channels)`, classes `(objects,)`, and shares of an image `(objects,)`.
    """
    labels = to_ids(maps[..., 0])
    numbers, count = segments(to_ids(maps[..., 1]))
    pixels = tf.math.unsorted_segment_sum(tf.ones(tf.size(numbers)), numbers, count)
    shares = pixels / tf.cast(tf.size(labels[0]), tf.float32)
    found = segment_means(features, numbers, count), _classes(labels, numbers, count), shares
    return tuple(array.numpy() for array in found)


def cluster_by_class(features, classes, shares, clusters, seed=0):
    """Clusters the features of the objects of each class by k-means.

    Args:
        features, classes, shares: arrays of `object_features`, of all objects of a data set.
        clusters: int, most clusters of a class.
        seed: int. Defaults to 0.

    Returns:
        Dicts `(centers, counts)` as `FeatureTable.fill` takes them.
    """
    centers, counts = {}, {}
    for label in np.unique(classes):
        of_class = classes == label
        large = of_class & (shares >= SMALLEST_SHARE)
        points = features[large if large.any() else of_class].astype("float64")
        centers[int(label)], counts[int(label)] = _k_means(points, clusters, seed)
    return centers, counts


def _k_means(points, clusters, seed):
    from scipy.cluster.vq import kmeans2

    # k-means needs at least as many different points as clusters.
    clusters = min(clusters, len(np.unique(points, axis=0)))
    centers, nearest = kmeans2(points, clusters, iter=50, minit="++", rng=np.random.default_rng(seed))
    counts = np.bincount(nearest, minlength=clusters)
    return centers[counts > 0], counts[counts > 0]


def _classes(labels, numbers, count):
    """The class of each object; the largest id where the label map gives an object several classes."""
    return tf.math.unsorted_segment_max(tf.reshape(labels, [-1]), numbers, count)
