"""A grid of translations of the same few images after every epoch."""

import os

import keras
import numpy as np
import tensorflow as tf

from tf_cyclegan.data import images
from tf_cyclegan.settings.checks import check_integer

SMALLEST_TILE = 96  # pixels; smaller images are enlarged by a whole number, so that their pixels stay sharp


class SampleGrid(keras.callbacks.Callback):
    """Writes `epoch_0001.png`, `epoch_0002.png`, ... with translations of the same images, one row a sample.

    The columns are A, its translation to B and back to A; then, after a gap, B, its translation to A and back to B. For
    a model of one direction they are the images, their translations and, for pairs, the right answers. An epoch that is
    cut short (`model.stop_training`) writes nothing, so that a stopped run ends soon.

    Args:
        images_a: float array `(count, height, width, channels)` in [-1, 1], samples of domain A.
        images_b: as many samples of domain B; None only for a model that translates from A alone.
        directory: folder of the pictures; it is made if it does not exist.
        log_dir: folder for TensorBoard, which shows the grid as `samples`; None for none. Defaults to None.
        frequency: int, epochs from one picture to the next. Defaults to 1.

    Raises:
        ValueError: if the numbers of images differ or are 0, or `frequency` is below 1.

    Example:
        >>> model.fit(dataset, epochs=2, callbacks=[SampleGrid(images_a, images_b, "samples")])  # doctest: +SKIP
    """

    def __init__(self, images_a, images_b, directory, log_dir=None, frequency=1):
        super().__init__()
        self.images_a, self.images_b = checked_samples(images_a, images_b)
        check_integer("frequency", frequency, 1)
        self.directory = os.path.expanduser(directory)
        self.log_dir = None if log_dir is None else os.path.expanduser(log_dir)
        self.frequency = frequency
        self._writer = None

    def write(self, name, step=0):
        """Writes `directory/name.png`, whole or not at all.

        Args:
            name: str, name of the file without its ending.
            step: int, step of the picture in TensorBoard. Defaults to 0.

        Returns:
            The path of the file.
        """
        picture = self.picture()
        os.makedirs(self.directory, exist_ok=True)
        path = os.path.join(self.directory, f"{name}.png")
        images.save_png(path, picture)
        if self.log_dir is not None:
            self._write_summary(picture, step)
        return path

    def picture(self):
        """The grid, a uint8 array `(height, width, channels)`."""
        blocks = [images.image_grid(rows) for rows in self._translated_samples()]
        gap = max(blocks[0].shape[1] // 24, 8)
        return images.image_grid([blocks], separator=gap)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.frequency == 0 and not self.model.stop_training:
            self.write(f"epoch_{epoch + 1:04d}", step=epoch)

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _translated_samples(self):
        if len(self.model.directions) == 1:
            return [_rows(self._one_way(self.model.directions[0]))]
        return [
            _rows(self._there_and_back("ab", "ba")),
            _rows(self._there_and_back("ba", "ab")),
        ]

    def _one_way(self, direction):
        """The images, their translations and, if there are samples of the pairs, the right answers."""
        source, target = direction
        translated = translate_each(self.model, self._samples(source), direction)
        columns = [(self._samples(source), source), (translated, target)]
        if self.model.paired and (target == "a" or self.images_b is not None):
            columns.append((self._samples(target), target))
        return [self._displayed(*column) for column in columns]

    def _there_and_back(self, there, back):
        source, target = there
        samples = self._samples(source)
        translated = translate_each(self.model, samples, there)
        returned = translate_each(self.model, translated, back)
        return [self._displayed(*column) for column in ((samples, source), (translated, target), (returned, source))]

    def _samples(self, domain):
        if domain == "b" and self.images_b is None:
            raise ValueError("`images_b` must be given for a model that translates images of B. Received: None")
        return self.images_a if domain == "a" else self.images_b

    def _displayed(self, samples, domain):
        return np.asarray(self.model.displayed(samples, domain))

    def _write_summary(self, picture, step):
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self.log_dir)
        with self._writer.as_default():
            tf.summary.image("samples", picture[None], step=step)
        self._writer.flush()


def translate_each(model, samples, direction):
    """Translates images one at a time, so that samples need no more memory than a training step.

    Args:
        model: a translation model.
        samples: float array `(count, height, width, channels)` in [-1, 1].
        direction: str, one of `model.directions`.

    Returns:
        Float32 array `(count, height, width, channels)`.
    """
    return np.concatenate([np.asarray(model.translate(image[None], direction=direction)) for image in samples])


def checked_samples(images_a, images_b):
    """Float32 arrays of both sample sets, of which the second may be None.

    Args:
        images_a, images_b: float arrays `(count, height, width, channels)`.

    Returns:
        Pair of arrays, or an array and None.

    Raises:
        ValueError: if an array is no batch of images, or their numbers differ.
    """
    pair = [None if value is None else np.asarray(value, np.float32) for value in (images_a, images_b)]
    for name, value in zip(("images_a", "images_b"), pair, strict=True):
        if value is not None and (value.ndim != 4 or 0 in value.shape):
            raise ValueError(f"`{name}` must have shape (count, height, width, channels). Received: {value.shape}")
    if pair[1] is not None and len(pair[0]) != len(pair[1]):
        raise ValueError(
            f"`images_b` must hold as many images as `images_a`. Received: {len(pair[1])} and {len(pair[0])}"
        )
    return pair


def _rows(columns):
    tiles = [[_tile(image) for image in column] for column in columns]
    return [list(row) for row in zip(*tiles, strict=True)]


def _tile(image):
    """One image as uint8 with 1 or 3 channels, enlarged by a whole number to at least `SMALLEST_TILE` pixels."""
    pixels = images.to_uint8(image[..., : 3 if image.shape[2] >= 3 else 1])
    factor = -(-SMALLEST_TILE // min(pixels.shape[:2]))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
