"""The history of generated images that trains discriminators."""

import keras
import numpy as np
import tensorflow as tf

from tf_cyclegan.models.replicas import ReplicaArrays
from tf_cyclegan.networks.layers.runtime import is_for_xla
from tf_cyclegan.settings.checks import check_integer


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class ImagePool(keras.layers.Layer):
    """Exchanges generated images for older ones, so that a discriminator learns from more than the newest.

    The pool treats each image alone. Until it is full, it stores and returns the image. Afterwards, with probability
    1/2, the image replaces a random stored image, which is returned; otherwise the image is returned and not stored.

    The images, their count and the random state are variables: they work inside `tf.function` and are saved. Under a
    distribution strategy each replica has a pool of this size. A file holds one array whose first axis is the replica;
    for another number of replicas, replica r gets the pool r modulo their number.

    Args:
        size: int, images held; 0 returns every image as it is. Defaults to 50.
        seed: optional int, makes the choices repeatable. Defaults to None.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`; height, width and channels are fixed at build.

    Raises:
        ValueError: if `size` is not an integer of at least 0, or the images' size is unknown when it is above 0.

    Reference:
        [Shrivastava et al., 2016](https://arxiv.org/abs/1612.07828), section 2.3.
    """

    def __init__(self, size=50, seed=None, **kwargs):
        super().__init__(**{"trainable": False, **kwargs})
        check_integer("size", size, 0)
        self.size = size
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        if self.size == 0:
            return
        image_shape = tuple(input_shape[1:])
        if None in image_shape:
            raise ValueError(
                f"`size` must be 0 unless height, width and channels of the images are known. "
                f"Received: size={self.size} with images of shape {image_shape}"
            )
        self.images = self.add_weight(
            shape=(self.size, *image_shape), initializer="zeros", trainable=False, autocast=False, name="images"
        )
        self.count = self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False, name="count")
        self.of_replicas = ReplicaArrays([self.images, self.count])

    def call(self, inputs):
        if self.size == 0:
            return inputs
        images = tf.cast(tf.stop_gradient(inputs), self.images.dtype)
        # Image by image and in order: a later image of a batch may meet an earlier one of the same batch.
        exchanged = tf.map_fn(self._exchange, images, parallel_iterations=1)
        return tf.cast(tf.ensure_shape(exchanged, inputs.shape), inputs.dtype)

    def _exchange(self, image):
        filling = self.count < self.size
        chance = keras.random.uniform((), seed=self.seed_generator)
        place = keras.random.randint((), 0, self.size, seed=self.seed_generator)
        exchange = self._by_selection if is_for_xla() else self._by_branches
        return exchange(image, filling, chance > 0.5, place)

    def _by_branches(self, image, filling, swaps, place):
        return tf.cond(
            filling,
            lambda: self._store(image),
            lambda: tf.cond(swaps, lambda: self._swap(image, place), lambda: image),
        )

    def _by_selection(self, image, filling, swaps, place):
        """The same without branches, at which XLA copies the whole pool and a GPU waits for the host."""
        place = tf.where(filling, self.count, tf.cast(place, self.count.dtype))
        held = self._held(place)
        self._put(tf.where(filling | swaps, image, held), place)
        self.count.assign_add(tf.cast(filling, self.count.dtype))
        return tf.where(filling | ~swaps, image, held)

    def _store(self, image):
        self._put(image, self.count.value)
        self.count.assign_add(1)
        return image

    def _swap(self, image, place):
        held = self._held(place)
        with tf.control_dependencies([held]):
            self._put(image, place)
        return held

    def _held(self, place):
        # By the handle: a variable of several replicas has no `sparse_read`, and a read of the whole would be a copy.
        images = self.images.value
        return tf.raw_ops.ResourceGather(resource=images.handle, indices=place, dtype=images.dtype)

    def _put(self, image, place):
        self.images.value.scatter_update(tf.IndexedSlices(image, place))

    def save_own_variables(self, store):
        if self.size and self.of_replicas.are_many:
            store["0"], store["1"] = self.of_replicas.values()
        else:
            super().save_own_variables(store)

    def load_own_variables(self, store):
        if not self.size:
            return
        images, count = (np.asarray(store[key]) for key in ("0", "1"))
        # Saved by one replica there is no axis of replicas.
        self.of_replicas.assign([images, count] if count.ndim else [images[None], count[None]])

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "size": self.size, "seed": self.seed}
