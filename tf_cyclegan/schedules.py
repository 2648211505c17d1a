"""Learning-rate schedules of the field, as functions of the training step that are constant within an epoch."""

import math

import keras
from keras import ops

_PACKAGE = "tf_cyclegan"


class EpochSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that changes only between epochs: `factor(epoch)` times the initial one.

    A schedule derives from it and has a method `factor(epoch)`; `epoch` is a float tensor that counts from 0.

    Args:
        initial_learning_rate: float, the rate of the first epoch.
        steps_per_epoch: int, optimizer steps that make an epoch.

    Raises:
        ValueError: if an argument is not positive.
    """

    def __init__(self, initial_learning_rate, steps_per_epoch):
        _check_positive(initial_learning_rate=initial_learning_rate, steps_per_epoch=steps_per_epoch)
        self.initial_learning_rate = initial_learning_rate
        self.steps_per_epoch = steps_per_epoch

    def __call__(self, step):
        # Integer division: a float32 quotient is wrong by an epoch after 2^24 steps.
        epoch = ops.cast(ops.floor_divide(ops.cast(step, "int64"), self.steps_per_epoch), "float32")
        return self.initial_learning_rate * self.factor(epoch)

    def get_config(self):
        return {"initial_learning_rate": self.initial_learning_rate, "steps_per_epoch": self.steps_per_epoch}


@keras.saving.register_keras_serializable(package=_PACKAGE)
class ConstantThenLinearDecay(EpochSchedule):
    """Constant for `epochs`, then down in equal steps over `decay_epochs`: the CycleGAN recipe (100 + 100).

    The factor of epoch `e`, counted from 1, is `1 - max(0, e - epochs) / (decay_epochs + 1)`: the convention of the
    PyTorch implementation until 2020. For 100 + 100, epoch 101 has 0.9901 and epoch 200 has 0.0099. (Its later
    convention steps at the start of an epoch, and so spends its last epoch at a rate of exactly 0.)

    Args:
        initial_learning_rate: float, the rate of the first epoch.
        steps_per_epoch: int, optimizer steps that make an epoch.
        epochs: int, epochs at the initial rate. Defaults to 100.
        decay_epochs: int, epochs of decay after them; 0 for none. Defaults to 100.

    Raises:
        ValueError: if a count is negative, or a rate or `steps_per_epoch` is not positive.

    Example:
        >>> schedule = ConstantThenLinearDecay(2e-4, steps_per_epoch=1000, epochs=100, decay_epochs=100)
        >>> round(float(schedule(100 * 1000)) / 2e-4, 4)
        0.9901
    """

    def __init__(self, initial_learning_rate, steps_per_epoch, epochs=100, decay_epochs=100):
        super().__init__(initial_learning_rate, steps_per_epoch)
        for name, value in {"epochs": epochs, "decay_epochs": decay_epochs}.items():
            if value < 0:
                raise ValueError(f"`{name}` must be at least 0. Received: {name}={value}")
        self.epochs = epochs
        self.decay_epochs = decay_epochs

    def factor(self, epoch):
        decayed = ops.clip(epoch + 1 - self.epochs, 0, self.decay_epochs)
        return 1 - decayed / (self.decay_epochs + 1)

    def get_config(self):
        return {**super().get_config(), "epochs": self.epochs, "decay_epochs": self.decay_epochs}


@keras.saving.register_keras_serializable(package=_PACKAGE)
class StepDecay(EpochSchedule):
    """Multiplies the rate by `decay_rate` every `decay_epochs` epochs.

    Args:
        initial_learning_rate: float, the rate of the first epoch.
        steps_per_epoch: int, optimizer steps that make an epoch.
        decay_epochs: int, epochs between two drops. Defaults to 50.
        decay_rate: float, the factor of one drop. Defaults to 0.1.

    Raises:
        ValueError: if an argument is not positive.
    """

    def __init__(self, initial_learning_rate, steps_per_epoch, decay_epochs=50, decay_rate=0.1):
        super().__init__(initial_learning_rate, steps_per_epoch)
        _check_positive(decay_epochs=decay_epochs, decay_rate=decay_rate)
        self.decay_epochs = decay_epochs
        self.decay_rate = decay_rate

    def factor(self, epoch):
        return ops.power(self.decay_rate, ops.floor(epoch / self.decay_epochs))

    def get_config(self):
        return {**super().get_config(), "decay_epochs": self.decay_epochs, "decay_rate": self.decay_rate}


@keras.saving.register_keras_serializable(package=_PACKAGE)
class CosineDecay(EpochSchedule):
    """Half a cosine from the initial rate towards 0 over `epochs`; every trained epoch has a rate above 0.

    The factor of epoch `e`, counted from 0, is `(1 + cos(pi e / epochs)) / 2`; it stays at its last value afterwards
    instead of rising again.

    Args:
        initial_learning_rate: float, the rate of the first epoch.
        steps_per_epoch: int, optimizer steps that make an epoch.
        epochs: int, epochs of the whole run. Defaults to 200.

    Raises:
        ValueError: if an argument is not positive.
    """

    def __init__(self, initial_learning_rate, steps_per_epoch, epochs=200):
        super().__init__(initial_learning_rate, steps_per_epoch)
        _check_positive(epochs=epochs)
        self.epochs = epochs

    def factor(self, epoch):
        return 0.5 * (1 + ops.cos(math.pi * ops.minimum(epoch, self.epochs - 1) / self.epochs))

    def get_config(self):
        return {**super().get_config(), "epochs": self.epochs}


def _check_positive(**values):
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"`{name}` must be above 0. Received: {name}={value}")
