"""What is no batch of images in [-1, 1]: refused by name, or told."""

import warnings

import keras
import tensorflow as tf
from keras import ops

# Noise about an image stays below, images of 0 to 255 and most that were standardized do not.
_LARGEST = 1.5
_HOW = "images of 0 to 255 become it by `images / 127.5 - 1`"


def check_images(name, images, maps=False):
    """Raises `ValueError` unless these are a batch of images, as far as is known before their values are.

    Args:
        name: str, what they are called.
        images: array or tensor.
        maps: bool, whether they hold the numbers of classes, which may be integers. Defaults to False.
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
    """Warns where the largest absolute value of `name` is beyond what images have.

    Args:
        name: str, what they are called.
        largest: float.
    """
    if largest > _LARGEST:
        # Past this function, its caller and Keras's, who gave the images cannot be told by a number of levels.
        warnings.warn(f"`{name}` should be in [-1, 1]: {_HOW}. Received: values of up to {largest:.4g}", stacklevel=2)


class CheckedBatches:
    """Has `fit` and `evaluate` refuse what is no batch of images, and tell once of values that images have not.

    A mixin that stands before what makes the functions of the steps. Values are known only when a step is run: the
    step notes the largest, and the first call of its function looks.
    """

    def _make_notes(self):
        # Past Keras's tracking: it is not of the model.
        largest = tf.Variable(tf.zeros(2), trainable=False, aggregation=tf.VariableAggregation.NONE, name="largest")
        object.__setattr__(self, "_largest", largest)

    def _unpacked(self, data):
        """The batch of `fit`'s pair, or of the triple with an empty third that `train_on_batch(a, b)` makes."""
        images_a, images_b, _ = keras.utils.unpack_x_y_sample_weight(data)
        if images_b is None:
            raise ValueError("a batch must be a pair `(images_a, images_b)`. Received: images of one domain alone")
        check_images("images_a", images_a, self.takes_ids)
        check_images("images_b", images_b)
        batch = self._wide(images_a), self._wide(images_b)
        largest = [ops.cast(ops.max(ops.abs(images)), "float32") for images in batch]
        self._largest.assign(ops.maximum(self._largest, ops.stack([0.0 if self.takes_ids else largest[0], largest[1]])))
        return batch

    def make_train_function(self, force=False):
        made = self.train_function
        super().make_train_function(force)
        if self.train_function is not made:
            self.train_function = self._telling(self.train_function)
        return self.train_function

    def make_test_function(self, force=False):
        made = self.test_function
        super().make_test_function(force)
        if self.test_function is not made:
            self.test_function = self._telling(self.test_function)
        return self.test_function

    def _telling(self, function):
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
