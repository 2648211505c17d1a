"""A model with the contract of a translation model and next to no work, for the tests of callbacks."""

import keras
import numpy as np
import tensorflow as tf

from tf_cyclegan.models import TranslationModel


@keras.saving.register_keras_serializable(package="tests")
class FakeModel(keras.Model):
    """Translates by adding a number to every pixel; each step reports the losses it is told to."""

    directions = ("ab", "ba")
    gan_mode = "lsgan"
    paired = False
    discriminator_weight = 1.0
    adversaries = TranslationModel.adversaries

    def __init__(self, losses=None, **kwargs):
        super().__init__(**kwargs)
        self.losses_of_step = losses or (lambda step, batch: {"adversarial_ab": 0.25, "discriminator_b": 0.25})
        self.step = self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False, name="step")
        self.shift = self.add_weight(shape=(), initializer="zeros", name="shift")
        self.built = True
        self.compile(optimizer="sgd", jit_compile=False)

    def translate(self, images, direction="ab"):
        sign = {"ab": 1, "ba": -1}[direction]
        return tf.convert_to_tensor(images, "float32") + sign * self.shift

    def displayed(self, images, domain):
        return images

    def call(self, inputs):
        return self.translate(inputs)

    def train_step(self, batch):
        losses = self.losses_of_step(self.step.value, batch)
        self.step.assign_add(1)
        self.shift.assign_add(0.5)
        return {name: tf.cast(value, "float32") for name, value in losses.items()}

    def get_config(self):
        return {}


def images(count=2, size=8, channels=3, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, (count, size, size, channels)).astype("float32")


def batches(count=4):
    return tf.data.Dataset.from_tensor_slices((images(count, 4), images(count, 4, seed=1))).batch(1)
