"""A model whose translations are known by heart, data from arrays, and a small network for features."""

import keras
import numpy as np
import tensorflow as tf


class Shifting:
    """Adds 0.5 from A to B and takes 0.5 away from B to A."""

    takes_ids = False
    directions = ("ab", "ba")

    def __init__(self, directions=("ab", "ba"), channels=3):
        self.directions = directions
        inputs = keras.Input((None, None, channels))
        self._network = keras.Model(inputs, inputs)

    def generator(self, direction):
        return self._network

    def translate(self, images, direction="ab"):
        return images + {"ab": 0.5, "ba": -0.5}[direction]

    def displayed(self, images, domain):
        return images


class ArrayData:
    """What an evaluation asks of a `TranslationDataset`, from arrays."""

    name, batch_size = "arrays", 1

    def __init__(self, images_a, images_b, paired=True, split="test"):
        self.arrays, self.paired, self.split = (images_a, images_b), paired, split
        self.image_size = images_a.shape[1:3]

    @property
    def counts(self):
        return tuple(map(len, self.arrays))

    def names(self, step):
        return tuple([f"{letter}{step % len(x)}.png"] for letter, x in zip("ab", self.arrays, strict=True))

    def epoch(self):
        numbers = np.arange(max(self.counts))
        pair = tuple(x[numbers % len(x)] for x in self.arrays)
        return tf.data.Dataset.from_tensor_slices(pair).batch(1)


def flat(*levels, size=32, channels=3):
    """Images of one value each, float32 `(levels, size, size, channels)`."""
    return np.stack([np.full((size, size, channels), level, np.float32) for level in levels])


def save_features(path, size=8):
    """A `.keras` network from images to four features."""
    keras.utils.set_random_seed(1)
    image = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(x)).save(path)
    return path
