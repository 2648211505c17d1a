"""Differentiable augmentation: random changes of the real and generated images that discriminators judge.

Discriminators soon know a few hundred images by heart, unless they never see an image twice. As the gradient of the
generators passes through the same changes, the changes do not appear in generated images.

Reference:
    [Zhao et al., 2020](https://arxiv.org/abs/2006.10738)
"""

import keras
import tensorflow as tf
from keras import ops

AUGMENTATIONS = ("color", "translation", "cutout")
# The paper's values: the largest translation, and the sides of the cutout, relative to the sides of the image.
_TRANSLATION = 0.125
_CUTOUT = 0.5


class Augmenting:
    """Shows discriminators images that are augmented by the settings `augment` and `augment_fill`; a mixin."""

    augment = ()
    augment_fill = 0.0

    def _drawn_augmentation(self, images, training):
        """The random changes of a batch for a discriminator; empty, without use of the random state, for no changes."""
        if not (training and self.augment):
            return {}
        return draw_augmentation(self.augment, ops.shape(images), self._augmentation_seed)

    def _shown(self, images, training):
        """The images that a discriminator sees: in training augmented, by a new draw in each call."""
        return augmented(images, self._drawn_augmentation(images, training), self.augment_fill)


def checked_augment(augment):
    """The names of augmentations as a tuple.

    Args:
        augment: list or tuple of names of `AUGMENTATIONS`, or one word of them with commas in between; empty for none.

    Raises:
        ValueError: if a name is unknown or occurs twice.
    """
    names = tuple(augment.split(",") if augment else ()) if isinstance(augment, str) else augment
    known = isinstance(names, (tuple, list)) and all(name in AUGMENTATIONS for name in names)
    if not known or len(set(names)) < len(names):
        raise ValueError(
            f"`augment` must be names from {', '.join(AUGMENTATIONS)} with commas in between, each at most once, or "
            f"empty. Received: augment={augment!r}"
        )
    return tuple(names)


def check_fill(fill):
    """Raises `ValueError` unless `fill` is a value of an image."""
    if isinstance(fill, bool) or not isinstance(fill, (int, float)) or not -1 <= fill <= 1:
        raise ValueError(f"`augment_fill` must be a number in [-1, 1]. Received: augment_fill={fill!r}")


def draw_augmentation(names, shape, seed):
    """Draws the changes of each image of a batch.

    Args:
        names: tuple of names of `AUGMENTATIONS`.
        shape: `(batch, height, width, channels)` of the images, integers or scalar tensors.
        seed: int or `keras.random.SeedGenerator`.

    Returns:
        dict of the names, in their order: arguments of `recolored`, `translated` and `cut_out`, tensors `(batch,)`.
    """
    batch, *sides = shape[:3]
    return {name: _DRAWS[name](batch, sides, seed) for name in names}


def augmented(images, draw, fill=0.0, maps=False):
    """Images with the changes of a draw, in the order of its names.

    Args:
        images: float tensor `(batch, height, width, channels)`.
        draw: dict from `draw_augmentation` for as many images of this size; an empty dict changes nothing. The same
            draw makes the same changes.
        fill: float, value of borders that a translation uncovers. Defaults to 0.
        maps: bool, whether the images are label maps, which have no color. Defaults to False.

    Returns:
        Float tensor of the same shape. Values beyond [-1, 1] stay.
    """
    for name, values in draw.items():
        if name == "translation":
            images = translated(images, *values, fill)
        elif name == "cutout":
            images = cut_out(images, *values)
        elif not maps:
            images = recolored(images, *values)
    return images


def recolored(images, brightness, saturation, contrast):
    """Images with changed brightness, then saturation, then contrast.

    Args:
        images: float tensor `(batch, height, width, channels)`.
        brightness: float tensor `(batch,)`, added to all values.
        saturation: float tensor `(batch,)`, factor of each pixel's differences from its mean over the channels.
        contrast: float tensor `(batch,)`, factor of each image's differences from its mean.

    Returns:
        Float tensor of the same shape.
    """
    brightness, saturation, contrast = (
        ops.cast(ops.reshape(value, (-1, 1, 1, 1)), images.dtype) for value in (brightness, saturation, contrast)
    )
    gray = ops.mean(images, axis=-1, keepdims=True)
    mean = ops.mean(gray, axis=(1, 2, 3), keepdims=True)
    # Brightness moves both means, saturation neither: the three steps multiplied out pass through all channels once.
    offset = contrast * (1 - saturation) * gray + (1 - contrast) * mean + brightness
    return contrast * saturation * images + offset


def translated(images, down, right, fill=0.0):
    """Images shifted by whole pixels, at most by `int(side / 8 + 0.5)`.

    Args:
        images: float tensor `(batch, height, width, channels)`.
        down, right: integer tensors `(batch,)`, by how many pixels.
        fill: float, the value of the borders that are uncovered. Defaults to 0.

    Returns:
        Float tensor of the same shape.
    """
    sides = ops.shape(images)[1:3]
    borders = [_rounded(_TRANSLATION, side) for side in sides]
    images = tf.pad(images, [[0, 0], *([border, border] for border in borders), [0, 0]], constant_values=fill)
    # Rows, then columns of each image: shapes stay known, as XLA asks for; fast on CPUs, at 64 pixels above all.
    for axis, (side, border, shift) in enumerate(zip(sides, borders, (down, right), strict=True), start=1):
        images = tf.gather(images, tf.range(side) + (border - shift)[:, None], axis=axis, batch_dims=1)
    return images


def cut_out(images, middle_row, middle_column):
    """Images with a rectangle of zeros in them, of half their sides, as far as it lies inside.

    The rectangle is zero even if `fill` is another value: a hole in the color of the background would be a drawing that
    lacks a part, which a generator may imitate.

    Args:
        images: float tensor `(batch, height, width, channels)`.
        middle_row, middle_column: integer tensors `(batch,)`, from 0 to the side; of a rectangle with an even side the
            first pixel of the second half.

    Returns:
        Float tensor of the same shape.
    """
    inside = []
    for side, middle in zip(ops.shape(images)[1:3], (middle_row, middle_column), strict=True):
        size = _rounded(_CUTOUT, side)
        place = tf.range(side) - (middle - size // 2)[:, None]
        inside.append((place >= 0) & (place < size))
    hole = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    return tf.where(hole, tf.zeros((), images.dtype), images)


def _draw_color(batch, sides, seed):
    ranges = ((-0.5, 0.5), (0.0, 2.0), (0.5, 1.5))
    return [keras.random.uniform((batch,), low, high, dtype="float32", seed=seed) for low, high in ranges]


def _draw_translation(batch, sides, seed):
    borders = [_rounded(_TRANSLATION, side) for side in sides]
    return [keras.random.randint((batch,), -border, border + 1, seed=seed) for border in borders]


def _draw_cutout(batch, sides, seed):
    # A rectangle with an even side has its middle between pixels, of which there is one more.
    ends = [side + (1 - _rounded(_CUTOUT, side) % 2) for side in sides]
    return [keras.random.randint((batch,), 0, end, seed=seed) for end in ends]


_DRAWS = {"color": _draw_color, "translation": _draw_translation, "cutout": _draw_cutout}


def _rounded(share, side):
    """Pixels of a share of a side: an integer where the side is one, as XLA must know sizes beforehand."""
    pixels = side * share + 0.5 if isinstance(side, int) else tf.cast(side, "float32") * share + 0.5
    return int(pixels) if isinstance(side, int) else tf.cast(pixels, "int32")
