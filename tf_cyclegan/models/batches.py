"""Checks of batches: an error for a batch without images, a warning for values outside [-1, 1]."""

import warnings

import keras
import tensorflow as tf
from keras import ops

# Images with noise stay below this value; images of 0 to 255, and most standardized images, do not.
_LARGEST = 1.5
_HOW = "`images / 127.5 - 1` scales images of 0 to 255"


def check_images(name, images, maps=False):
    """Raises `ValueError` unless dtype and shape fit a batch of images.

    Args:
        name: str, the name of the images in the message.
        images: array or tensor.
        maps: bool, whether the images are label maps, which may be integers. Defaults to False.
    """
    dtype, shape = keras.backend.standardize_dtype(images.dtype), tf.TensorShape(images.shape)
    if shape.rank not in (None, 4):
        raise ValueError(
            f"`{name}` must have the axes (batch, height, width, channels): one image is a batch as `image[None]`. "
            f"Received: {name} of shape {tuple(shape)}"
        )
    if not (maps or dtype.startswith(("float", "bfloat"))):
        raise ValueError(f"`{name}` must be floats in [-1, 1]: {_HOW}. Received: {name} of dtype {dtype}")


def warn_of_range(name, largest):
    """Warns if the largest absolute value of a batch is too large for images.

    Args:
        name: str, the name of the images in the warning.
        largest: float, their largest absolute value.
    """
    if largest > _LARGEST:
        # Keras has many frames between this one and the user's: no `stacklevel` finds the line that gave the images.
        warnings.warn(f"`{name}` should be in [-1, 1]: {_HOW}. Received: values of up to {largest:.4g}", stacklevel=2)


def check_labels(name, labels):
    """Raises `ValueError` unless the labels are the ids of classes, one for each image."""
    dtype, shape = keras.backend.standardize_dtype(labels.dtype), tf.TensorShape(labels.shape)
    if shape.rank not in (None, 1) or not dtype.startswith(("int", "uint")):
        raise ValueError(
            f"`{name}` must be integers, one for each image. Received: {name} of shape {shape} and dtype {dtype}"
        )


class CheckedBatches:
    """Makes `fit` and `evaluate` refuse batches without images, and warn once of values outside [-1, 1].

    A batch is a tree: `(images_a, images_b)`, float in [-1, 1] and `(batch, height, width, channels)`; or, for a model
    that `takes_labels`, `((images_a, labels_a), (images_b, labels_b))` with integers `(batch,)`.

    A mixin before `ReplicatedTraining`, which makes the train and test functions. Each step keeps the largest value,
    and the first call of a function reads it.
    """

    # Whether the images of a batch come with the ids of their classes.
    takes_labels = False

    def batch_spec(self, size, batch_size=None):
        """The tree of `tf.TensorSpec` of a batch of images of this size.

        Args:
            size: `(height, width)`.
            batch_size: optional int. Defaults to None, any.
        """
        images = [tf.TensorSpec((batch_size, *size, self.channels[letter]), "float32") for letter in "ab"]
        labels = tf.TensorSpec((batch_size,), "int32")
        return tuple((spec, labels) for spec in images) if self.takes_labels else tuple(images)

    def unpack(self, data):
        """The checked batch in the data of a step.

        Args:
            data: a pair from `fit`, or from `train_on_batch(a, b)` a triple that ends in None.

        Returns:
            The tree, with images in the precision of the weights.

        Raises:
            ValueError: if `data` is no batch of this model.
        """
        of_a, of_b, _ = keras.utils.unpack_x_y_sample_weight(data)
        if of_b is None:
            raise ValueError("A batch must be a pair `(images_a, images_b)`. Received: images of one domain alone")
        batch = self._checked("a", of_a, self.takes_ids), self._checked("b", of_b)
        images = [domain[0] if self.takes_labels else domain for domain in batch]
        largest = [ops.cast(ops.max(ops.abs(each)), "float32") for each in images]
        self._largest.assign(ops.maximum(self._largest, ops.stack([0.0 if self.takes_ids else largest[0], largest[1]])))
        return batch

    def _checked(self, letter, domain, maps=False):
        """The images of a domain, or its pair of images and labels, checked."""
        images, name = domain, f"images_{letter}"
        if isinstance(domain, (tuple, list)) != self.takes_labels:
            expected = "a pair of images and their labels" if self.takes_labels else "images alone, without labels"
            raise ValueError(f"`{name}` must be {expected}. Received: a {type(domain).__name__}")
        if self.takes_labels:
            images, labels = domain
            check_labels(f"labels_{letter}", labels)
        check_images(name, images, maps)
        return (self._wide(images), labels) if self.takes_labels else self._wide(images)

    def _make_largest(self):
        # Keras would track an ordinary attribute as a weight of the model.
        largest = tf.Variable(tf.zeros(2), trainable=False, aggregation=tf.VariableAggregation.NONE, name="largest")
        object.__setattr__(self, "_largest", largest)

    def make_train_function(self, force=False):
        made = self.train_function
        super().make_train_function(force)
        if self.train_function is not made:
            self.train_function = self._with_warning(self.train_function)
        return self.train_function

    def make_test_function(self, force=False):
        made = self.test_function
        super().make_test_function(force)
        if self.test_function is not made:
            self.test_function = self._with_warning(self.test_function)
        return self.test_function

    def _with_warning(self, function):
        is_first = True

        def run(iterator):
            nonlocal is_first
            if not is_first:
                return function(iterator)
            is_first = False
            self._largest.assign(tf.zeros(2))
            logs = function(iterator)
            for name, largest in zip(("images_a", "images_b"), self._largest.numpy(), strict=True):
                warn_of_range(name, float(largest))
            return logs

        return run
