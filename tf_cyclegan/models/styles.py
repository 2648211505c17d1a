"""The style of a translation: numbers that say how it is to look, where a model can do it in more than one way."""

import keras
import tensorflow as tf


class Styling:
    """What is asked of styles, and refused by a model without them; a mixin that stands before `Translating`.

    A model with styles has a `style_size`, `styled_generator`, `encode_style`, `default_style`, and `draw_style` where
    a style is not drawn from N(0, 1). Its `generator(direction)` has the default style inside.
    """

    # Numbers of a style; 0 where there are none.
    style_size = 0

    def styled_generator(self, direction):
        """The network `[images, styles]` to images that translates in `direction`."""
        raise self._without_style("styled_generator")

    def encode_style(self, examples, direction=None):
        """The style of example images of what a direction translates to: the mean of theirs.

        Args:
            examples: float array `(count, height, width, channels)` in [-1, 1].
            direction: str, one of `directions`. Defaults to the first of them.

        Returns:
            Float tensor `(style_size,)`.
        """
        raise self._without_style("encode_style")

    def default_style(self, direction=None):
        """The style that `generator(direction)` has inside, a variable that is saved."""
        raise self._without_style("default_style")

    def draw_style(self, images, direction, seed):
        """A random style for each image, the same for the same `seed`: float tensor `(batch, style_size)`."""
        return keras.random.normal((tf.shape(images)[0], self.style_size), seed=seed)

    def read_style(self, style, images, direction):
        """The styles that `translate` is given for images, `(batch, style_size)`, as they are or as examples.

        Args:
            style: float array: a style `(style_size,)`, one an image `(batch, style_size)`; or examples, one
                `(height, width, channels)`, several `(count, ...)` or several for each image `(batch, count, ...)`.
            images: float tensor `(batch, height, width, channels)`.
            direction: str.
        """
        style = tf.convert_to_tensor(style, "float32")
        if style.shape.rank in (3, 4):
            style = self.encode_style(style if style.shape.rank == 4 else style[None], direction)
        elif style.shape.rank == 5:
            style = tf.stack([self.encode_style(examples, direction) for examples in tf.unstack(style)])
        shape, batch = tuple(style.shape), images.shape[0]
        if shape not in ((self.style_size,), (batch, self.style_size)):
            raise ValueError(
                f"`style` must be {self.style_size} numbers, as many for each of the {batch} images, or example "
                f"images. Received: style of shape {shape}"
            )
        return tf.broadcast_to(style, (tf.shape(images)[0], self.style_size))

    def _styled(self, direction, style, seed):
        """What translates in the place of `generator(direction)`, a function of `(images, training)`."""
        if not self.style_size:
            raise self._without_style("style" if style is not None else "seed")
        if style is not None and seed is not None:
            raise ValueError(f"`style` and `seed` must not both be given: a style is known or drawn. Received: {seed=}")
        network = self.styled_generator(direction)

        def translated(images, training):
            if style is None:
                return network([images, self.draw_style(images, direction, seed)], training=training)
            return network([images, self.read_style(style, images, direction)], training=training)

        return translated

    def _without_style(self, name):
        return ValueError(f"`{name}` is for models with styles, which this {type(self).__name__} has not: leave it out")
