"""Learning-rate schedules: three that change between epochs, and one over a number of steps that is decided later."""

import math

import keras
import tensorflow as tf
from keras import ops

from tf_cyclegan.settings.checks import check_choice, check_positive

_PACKAGE = "tf_cyclegan"
SHAPES = ("linear", "step", "cosine", "constant")
# More steps than any run has.
_NEVER = 2**62


class EpochSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that changes only between epochs: `factor(epoch)` times the initial one.

    A subclass has a method `factor(epoch)`; `epoch` is a float tensor that counts from 0.

    Args:
        initial_learning_rate: float, the rate of the first epoch.
        steps_per_epoch: int, optimizer steps that make an epoch.

    Raises:
        ValueError: if an argument is not positive.
    """

    def __init__(self, initial_learning_rate, steps_per_epoch):
        check_positive("initial_learning_rate", initial_learning_rate)
        check_positive("steps_per_epoch", steps_per_epoch)
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
        return linear_factor(epoch, self.epochs, self.decay_epochs)

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
        check_positive("decay_epochs", decay_epochs)
        check_positive("decay_rate", decay_rate)
        self.decay_epochs = decay_epochs
        self.decay_rate = decay_rate

    def factor(self, epoch):
        return step_factor(epoch, self.decay_epochs, self.decay_rate)

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
        check_positive("epochs", epochs)
        self.epochs = epochs

    def factor(self, epoch):
        return cosine_factor(epoch, self.epochs)

    def get_config(self):
        return {**super().get_config(), "epochs": self.epochs}


@keras.saving.register_keras_serializable(package=_PACKAGE)
class PlannedSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """The shape of another schedule over a number of steps that is decided while training goes on.

    `epochs` and `decay_epochs` are proportions: 1 and 1 mean the same as 100 and 100. Until the decision, and for the
    steps that were trained before it, the rate is the initial rate. A decision makes no new graph, as the schedule
    reads a variable. The decision is saved with the schedule.

    Args:
        initial_learning_rate: float, the rate at the beginning.
        shape: `"linear"`, constant and then down to 0; `"step"`, times `decay_rate` at each `decay_epochs`; `"cosine"`,
            half a cosine; or `"constant"`. Defaults to `"linear"`.
        epochs: int, part of the steps at the initial rate. Defaults to 100.
        decay_epochs: int, part of the steps after them. Defaults to 100.
        decay_rate: float, the factor of `"step"`. Defaults to 0.1.
        total_steps: optional int, steps of the whole run. Defaults to None, not decided.
        measured_steps: int, steps that were trained before the decision. Defaults to 0.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> schedule = PlannedSchedule(2e-4, epochs=1, decay_epochs=3)
        >>> schedule.decide(total_steps=400, measured_steps=20)
        >>> [round(float(schedule(step)) / 2e-4, 2) for step in (0, 99, 249, 399)]
        [1.0, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate,
        shape="linear",
        epochs=100,
        decay_epochs=100,
        decay_rate=0.1,
        total_steps=None,
        measured_steps=0,
    ):
        check_choice("shape", shape, SHAPES)
        check_positive("initial_learning_rate", initial_learning_rate)
        check_positive("decay_rate", decay_rate)
        check_positive(*(("decay_epochs", decay_epochs) if shape == "step" else ("epochs", epochs + decay_epochs)))
        self.initial_learning_rate = initial_learning_rate
        self.shape, self.epochs, self.decay_epochs, self.decay_rate = shape, epochs, decay_epochs, decay_rate
        self.total_steps, self.measured_steps = None, 0
        self._plan = tf.Variable([1, _NEVER], dtype="int64", trainable=False, name="planned_steps")
        if total_steps is not None:
            self.decide(total_steps, measured_steps)

    def decide(self, total_steps, measured_steps=0):
        """Fixes the number of steps.

        Args:
            total_steps: int, steps of the whole run.
            measured_steps: int, steps that were trained before the decision. Defaults to 0.

        Raises:
            ValueError: if `total_steps` is not positive.
        """
        check_positive("total_steps", total_steps)
        self.total_steps, self.measured_steps = total_steps, measured_steps
        self._plan.assign([total_steps, measured_steps])

    @property
    def constant_steps(self):
        """The first steps, whose rate is the initial rate; None before the decision."""
        if self.total_steps is None:
            return None
        part = {"linear": self.epochs, "step": self.decay_epochs, "cosine": 0}.get(self.shape)
        whole = self.epochs + self.decay_epochs
        planned = self.total_steps if part is None else self.total_steps * part // whole
        return max(planned, min(self.measured_steps, self.total_steps))

    def __call__(self, step):
        total, measured = self._plan[0], self._plan[1]
        step = ops.cast(step, "int64")
        factor = self._factor(ops.cast(step, "float32"), total)
        return self.initial_learning_rate * ops.where(step < measured, 1.0, factor)

    def _factor(self, step, total):
        def steps(epochs):
            # Of integers: a float32 product is wrong by steps in long runs.
            return ops.cast(total * epochs // (self.epochs + self.decay_epochs), "float32")

        if self.shape == "linear":
            constant = steps(self.epochs)
            return linear_factor(step, constant, ops.cast(total, "float32") - constant)
        if self.shape == "step":
            return step_factor(step, ops.maximum(steps(self.decay_epochs), 1.0), self.decay_rate)
        return cosine_factor(step, ops.cast(total, "float32")) if self.shape == "cosine" else ops.ones_like(step)

    def get_config(self):
        names = ("initial_learning_rate", "shape", "epochs", "decay_epochs", "decay_rate", "total_steps")
        return {**{name: getattr(self, name) for name in names}, "measured_steps": self.measured_steps}


# ---- factors of the initial rate ----


def linear_factor(epoch, epochs, decay_epochs):
    """`1 - max(0, e + 1 - epochs) / (decay_epochs + 1)` for epoch e, counted from 0; steps may stand for epochs."""
    return 1 - ops.clip(epoch + 1 - epochs, 0, decay_epochs) / (decay_epochs + 1)


def step_factor(epoch, decay_epochs, decay_rate):
    """`decay_rate ^ floor(e / decay_epochs)` for epoch e, counted from 0."""
    return ops.power(decay_rate, ops.floor(epoch / decay_epochs))


def cosine_factor(epoch, epochs):
    """`(1 + cos(pi e / epochs)) / 2` for epoch e, counted from 0; later epochs have the factor of the last one."""
    return 0.5 * (1 + ops.cos(math.pi * ops.minimum(epoch, epochs - 1) / epochs))
