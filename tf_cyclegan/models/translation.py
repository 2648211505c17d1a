"""Translation of images of any size, and export by Keras."""

import keras
import tensorflow as tf

from tf_cyclegan.models.any_size import smallest_side, translated
from tf_cyclegan.models.batches import check_images, warn_of_range


class Translating:
    """Translates images with `generator(direction)`; a mixin before `keras.Model`."""

    def call(self, inputs, training=False):
        check_images("images", inputs, self._takes_maps(self.directions[0]))
        return translated(self.generator(self.directions[0]), inputs, self.size_multiple, training)

    def translate(self, images, direction=None, style=None, seed=None):
        """Translates images of any size: mirrors them to a multiple of `size_multiple`, and crops the translations.

        Args:
            images: float array `(batch, height, width, channels)` in [-1, 1].
            direction: str, one of `directions`. Defaults to the first of them.
            style: float array, a style or example images as `read_style` takes them, for a model with a `style_size`.
                Defaults to the default style of the model.
            seed: optional int, instead of `style`: each image gets a random style, the same for the same `seed`.

        Returns:
            Tensor of the same height and width in [-1, 1], float32 unless the dtype is float64.

        Raises:
            ValueError: if the model does not have the direction, the images are no batch of floats or have a side
                below `smallest_side`, or the model cannot take the style.
        """
        direction = self.directions[0] if direction is None else direction
        if direction not in self.directions:
            raise ValueError(f"`direction` must be one of {self.directions}. Received: direction={direction!r}")
        maps, images = self._takes_maps(direction), tf.convert_to_tensor(images)
        check_images("images", images, maps)
        images = tf.cast(images, "float32")
        if any(side is not None and side < self.smallest_side for side in images.shape[1:3]):
            raise ValueError(
                f"`images` must have a height and width of at least {self.smallest_side} pixels, to be mirrored to "
                f"{self.size_multiple}. Received: images of shape {tuple(images.shape)}"
            )
        if tf.executing_eagerly() and not maps:
            warn_of_range("images", float(tf.reduce_max(tf.abs(images))))
        plain = style is None and seed is None
        network = self.generator(direction) if plain else self._styled(direction, style, seed)
        return translated(network, images, self.size_multiple)

    def export(self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs):
        """Exports the generator of the first direction, as `keras.Model.export` does.

        Args:
            filepath, format, verbose, **kwargs: of `keras.Model.export`.
            input_signature: as in `keras.Model.export`. Defaults to any number of images of any size.
        """
        if input_signature is None:
            shape = (None, None, None, self.channels[self.directions[0][0]])
            input_signature = [keras.InputSpec(shape=shape, dtype="float32", name="images")]
        return super().export(filepath, format, verbose, input_signature, **kwargs)

    def _takes_maps(self, direction):
        return self.takes_ids and direction[0] == "a"

    @property
    def smallest_side(self):
        """Smallest height and width, in pixels, of an image to translate: mirrored borders need two pixels inside."""
        return smallest_side(self.size_multiple, map_side=2)
