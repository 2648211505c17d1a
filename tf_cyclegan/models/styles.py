"""Styles: numbers that choose the look of a translation."""

import keras
import tensorflow as tf


class Styling:
    """The methods that take or return styles; a mixin before `Translating`.

    The methods raise for a model without styles. A model with styles has `style_size`, `styled_generator`,
    `encode_style` and `default_style`, and `draw_style` if its styles do not follow N(0, 1). Its `generator(direction)`
    has the default style inside.
    """

    # Numbers of a style; 0 for a model without styles.
    style_size = 0

    def styled_generator(self, direction):
        """The network from `[images, styles]` to images that translates in `direction`."""
        raise self._without_style("styled_generator")

    def encode_style(self, examples, direction=None):
        """The mean style of example images of the domain that a direction translates to.

        Args:
            examples: float array `(count, height, width, channels)` in [-1, 1].
            direction: str, one of `directions`. Defaults to the first of them.

        Returns:
            Float tensor `(style_size,)`.
        """
        raise self._without_style("encode_style")

    def default_style(self, direction=None):
        """The style inside `generator(direction)`, a variable that is saved."""
        raise self._without_style("default_style")

    def draw_style(self, images, direction, seed):
        """A random style for each image, the same for the same `seed`: float tensor `(batch, style_size)`."""
        return keras.random.normal((tf.shape(images)[0], self.style_size), seed=seed)

    def read_style(self, style, images, direction):
        """The styles `(batch, style_size)` that `translate` uses for images.

        Args:
            style: float array, one style `(style_size,)` or a style for each image `(batch, style_size)`; or example
                images, one `(height, width, channels)`, several `(count, height, width, channels)`, or several for each
                image `(batch, count, height, width, channels)`.
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
                f"`style` must be {self.style_size} numbers, {self.style_size} numbers for each of the {batch} images, "
                f"or example images. Received: style of shape {shape}"
            )
        return tf.broadcast_to(style, (tf.shape(images)[0], self.style_size))

    def _styled(self, direction, style, seed):
        """A function of `(images, training)` that translates with these styles, as `generator(direction)` does."""
        if not self.style_size:
            raise self._without_style("style" if style is not None else "seed")
        if style is not None and seed is not None:
            raise ValueError(f"`style` and `seed` must not both be given: `seed` draws a style. Received: {seed=}")
        network = self.styled_generator(direction)

        def translated(images, training):
            if style is None:
                return network([images, self.draw_style(images, direction, seed)], training=training)
            return network([images, self.read_style(style, images, direction)], training=training)

        return translated

    def _without_style(self, name):
        return ValueError(f"`{name}` needs a model with styles, and this {type(self).__name__} has none: leave it out")
