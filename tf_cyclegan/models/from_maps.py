"""Translation of label maps: their encoding for networks, and styles, which are the looks of objects."""

import keras
import numpy as np
import tensorflow as tf

from tf_cyclegan.models.any_size import mirrored, translated
from tf_cyclegan.networks.instance_features import FeatureTable, cluster_by_class, object_features
from tf_cyclegan.networks.instance_maps import InstanceMeans, LabelEncoding, check_ignore_label, palette, to_ids
from tf_cyclegan.settings.checks import check_integer


class FromMaps:
    """The methods of `Pix2PixHD` for label maps, with `label_classes`; a mixin.

    With `instance_features` a style is a map `(batch, height, width, style_size)` in the size of the label map, with
    the same numbers in all pixels of an object. `generator` has the most common style of each class inside.
    """

    def _check_maps(self):
        channels = self.image_shape[-1]
        if self.label_classes and (channels not in (1, 2) or self.direction != "ab"):
            raise ValueError(
                "`label_classes` must be 0 unless `direction` is 'ab' and `image_shape` ends in 1 (a label map) or 2 "
                f"(with an instance map). Received: label_classes={self.label_classes}, direction={self.direction!r}, "
                f"image_shape={self.image_shape}"
            )
        if self.ignore_label is not None and not self.label_classes:
            raise ValueError(f"`ignore_label` needs `label_classes`. Received: ignore_label={self.ignore_label}")
        check_ignore_label(self.ignore_label, self.label_classes)
        for name in ("instance_edges", "instance_features"):
            if getattr(self, name) and not (self.label_classes and channels == 2):
                raise ValueError(
                    f"`{name}` needs `label_classes`, and an `image_shape` that ends in 2: label map and instance map. "
                    f"Received: {name}={getattr(self, name)}, label_classes={self.label_classes}, "
                    f"image_shape={self.image_shape}"
                )

    def _make_maps(self):
        self._encoding = self._features = None
        if self.label_classes:
            settings = (self.label_classes, self.instance_edges, self.ignore_label)
            self._encoding = LabelEncoding(*settings, dtype=self.dtype_policy, name="label_encoding")
        if self.instance_features:
            settings = (self.label_classes, self.feature_clusters, self.instance_features)
            self._features = FeatureTable(*settings, dtype=self.dtype_policy, name="feature_table")
            self._join = keras.layers.Concatenate(dtype=self.dtype_policy, name="join")
            self._means = InstanceMeans(dtype=self.dtype_policy.variable_dtype, name="instance_means")

    @property
    def condition_channels(self):
        """Channels of the networks' input, without instance features."""
        return self.label_classes + self.instance_edges if self.label_classes else self.channels[self.direction[0]]

    @property
    def takes_ids(self):
        return bool(self.label_classes)

    @property
    def _asks_maps(self):
        return self.takes_ids

    @property
    def notes(self):
        lines = []
        if self.label_classes:
            lines.append("Images are label maps: gray levels are the ids of classes, palettes are not understood.")
        if not self.is_finished:
            lines.append("Instance features are 0: `fit_feature_clusters` has not been called.")
        return tuple(lines)

    def displayed(self, images, domain):
        """Label maps with a color for each class; other images as they are."""
        if domain != "a" or not self.label_classes:
            return images
        return palette(to_ids(images[..., 0]).numpy())

    def _condition(self, question):
        """The input of the networks: the image, or the classes and edges of its label and instance map."""
        return self._encoding(question) if self.label_classes else question

    def _joined(self, condition, features):
        return condition if features is None else self._join([condition, features])

    # ---- the style ----

    @property
    def style_size(self):
        return self.instance_features

    def styled_generator(self, direction):
        """A new network from `[images, styles]` to images of the present stage."""
        if not self.instance_features:
            return super().styled_generator(direction)
        maps, style = (
            keras.Input((None, None, channels), name=name, dtype=self.variable_dtype)
            for name, channels in (("image", self.image_shape[-1]), ("style", self.style_size))
        )
        answer = self._trained_network(self._joined(self._condition(maps), style))
        return keras.Model([maps, style], self._enlarge(answer) if self.stage == "global" else answer)

    def encode_style(self, examples, direction=None):
        """The style of photographs, which `translate` applies to the same label and instance maps.

        Args:
            examples: pair of float arrays as in a batch, maps and images of the same size.
            direction: str, the only direction of the model. Defaults to it.

        Returns:
            Float tensor `(batch, height, width, style_size)`.
        """
        if not self.instance_features:
            return super().encode_style(examples, direction)
        maps, images = (tf.convert_to_tensor(each, "float32") for each in examples)
        return self._by_object(translated(self.encoder_network, images, self.size_multiple), maps)

    def default_style(self, direction=None):
        """The most common style of each class, a float tensor `(label_classes, style_size)`: 0 before training ends."""
        return self._features.most_common() if self.instance_features else super().default_style(direction)

    def draw_style(self, images, direction, seed):
        """A style with the features of a random cluster of its class for each object."""
        return self._features.sample(images, seed)

    def read_style(self, style, images, direction):
        """The style map, mirrored at the border like the images."""
        style = tf.convert_to_tensor(style, "float32")
        fits = style.shape.rank == 4 and style.shape[0] == images.shape[0] and style.shape[-1] == self.style_size
        missing = [images.shape[axis] - style.shape[axis] for axis in (1, 2)] if fits else [-1]
        if not all(0 <= pixels < self.size_multiple for pixels in missing):
            raise ValueError(
                f"`style` must be a map with {self.style_size} channels that `encode_style` made of images of the same "
                f"size. Received: style of shape {tuple(style.shape)}"
            )
        return mirrored(style, self.size_multiple)

    def sample(self, images, seed=0):
        """Translates with a random look for each object, as `translate` with a `seed` does.

        Args:
            images: float array `(batch, height, width, 2)`, label map and instance map of any size.
            seed: int; the same seed gives the same looks. Defaults to 0.

        Returns:
            Float32 tensor `(batch, height, width, channels)` in [-1, 1].

        Raises:
            ValueError: if the model has no `instance_features`.
        """
        self._check_instance_features()
        return self.translate(images, seed=seed)

    def fit_feature_clusters(self, dataset, clusters=None):
        """Fills the table of instance features, after training, with features from the encoder for a data set.

        K-means clusters the features of the objects of each class. It leaves out objects of less than 1/64 of an image,
        unless a class has no other.

        Args:
            dataset: iterable of batches `(images_a, images_b)`.
            clusters: optional int, the most clusters of a class. Defaults to `feature_clusters`.

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
            raise ValueError("`dataset` must have batches `(images_a, images_b)`. Received: an empty data set")
        features, classes, shares = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
        known = (classes >= 0) & (classes < self.label_classes)
        found = cluster_by_class(features[known], classes[known], shares[known], clusters, self.seed or 0)
        self._features.fill(*found)

    def finish(self, dataset):
        """Fills the table of instance features if the model has one."""
        if self.instance_features:
            self.fit_feature_clusters(dataset)
        return bool(self.instance_features)

    @property
    def is_finished(self):
        """Whether the model has no table of instance features, or a filled one."""
        return not self.instance_features or self._features.is_filled

    def _by_object(self, found, maps):
        """The features of the encoder, averaged over the pixels of each object."""
        return self._means(found, to_ids(maps[..., 1]))

    def _check_instance_features(self):
        if not self.instance_features:
            raise ValueError("`instance_features` must be at least 1 to have a table. Received: instance_features=0")
