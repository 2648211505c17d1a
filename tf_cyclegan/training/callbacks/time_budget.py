"""The number of steps that takes a given time, decided after the first steps."""

import statistics
import time

import keras

from tf_cyclegan.settings.checks import check_positive

_now = time.perf_counter

# The first two steps are not measured: the first traces the graph, and caches are cold until the second.
_UNMEASURED = 2
_LEAST_STEPS = 10
# How long steps are measured: a share of the whole time, and its limits in seconds.
_SHARE, _LEAST_SECONDS, _MOST_SECONDS = 0.05, 5.0, 30.0
# The decision waits for the end of an epoch that comes within this share of the time.
_FIRST_EPOCH = 0.1
# After these shares of the time the decision needs few steps, or none.
_HURRY, _LATEST, _FEWEST_STEPS = 0.4, 0.5, 3
# The share of the time for what is not measured: checkpoints that are written meanwhile, other work.
_RESERVE = 0.03
# Guesses, in steps, until the end of an epoch is measured: for its sample grid, and for scores of 50 images.
_PAUSE_STEPS, _EVALUATION_STEPS = 10, 15


class TimeBudget(keras.callbacks.Callback):
    """Decides once, after the first steps, how many steps a run has, so that it takes a given time.

    The time begins with the first `fit` and includes the tracing of the graph. The time of a step is the mean of the
    steps within epochs, without the slowest tenth. The time of an epoch's end is the measured time, or the time of ten
    steps if the first end is too far away.

    Args:
        seconds: float, how long the run may take.
        steps_per_epoch: int.
        decided: callable that gets the plan between two steps: a dict of `steps`, the steps of the whole run,
            `measured_steps`, the steps before the decision, and `seconds_a_step`. There is at least one step after the
            decision.
        evaluation_steps: optional int, steps from one evaluation to the next; the last one is at the end. Defaults to
            None, no evaluation.

    Raises:
        ValueError: if `seconds` is not positive.

    Example:
        >>> budget = TimeBudget(60, steps_per_epoch=100, decided=print)
        >>> model.fit(dataset, callbacks=[budget])  # doctest: +SKIP
    """

    def __init__(self, seconds, steps_per_epoch, decided, evaluation_steps=None):
        super().__init__()
        check_positive("seconds", seconds)
        self.seconds, self.steps_per_epoch, self.decided = seconds, steps_per_epoch, decided
        self.evaluation_steps = evaluation_steps
        self.plan = None
        self._begun_at = self._last_end = None
        self._first_of_epoch = True
        self._durations, self._pauses = [], []

    def on_train_begin(self, logs=None):
        if self._begun_at is None:
            self._begun_at = _now()

    def on_epoch_begin(self, epoch, logs=None):
        self._first_of_epoch = True

    def on_train_batch_end(self, batch, logs=None):
        if self.plan is not None:
            return
        self._note(_now())
        if self._is_ready():
            self.plan = self._plan(int(self.model.step.numpy()))
            self.decided(self.plan)

    def _note(self, now):
        if self._last_end is not None:
            (self._pauses if self._first_of_epoch else self._durations).append(now - self._last_end)
        self._last_end, self._first_of_epoch = now, False

    @property
    def _counted(self):
        # The first duration is the second step's: it begins at the end of the first step.
        return self._durations[_UNMEASURED - 1 :]

    @property
    def _elapsed(self):
        return self._last_end - self._begun_at

    def _is_ready(self):
        counted = self._counted
        if self._elapsed >= _LATEST * self.seconds:
            return True
        if self._elapsed >= _HURRY * self.seconds:
            return len(counted) >= _FEWEST_STEPS
        least = min(max(_SHARE * self.seconds, _LEAST_SECONDS), _MOST_SECONDS)
        if len(counted) < _LEAST_STEPS or sum(counted) < least:
            return False
        epoch_takes = self.steps_per_epoch * statistics.median(counted)
        return bool(self._pauses) or epoch_takes > _FIRST_EPOCH * self.seconds

    def _plan(self, step):
        known = self._counted or self._durations or self._pauses or [self._elapsed]
        seconds = max(_mean_without_slowest(known), 1e-9)
        pause = _PAUSE_STEPS * seconds
        if self._pauses:  # the first end of an epoch also traces graphs
            pause = min(pause, max(statistics.mean(self._pauses) - seconds, 0.0))
        evaluation = 0.0 if self.evaluation_steps is None else _EVALUATION_STEPS * seconds
        left = (1 - _RESERVE) * self.seconds - self._elapsed - pause - evaluation
        of_a_step = seconds + pause / self.steps_per_epoch + evaluation / (self.evaluation_steps or 1)
        return {
            "steps": step + max(1, int(left / of_a_step)),
            "measured_steps": step,
            "seconds_a_step": seconds,
        }


def _mean_without_slowest(durations):
    """The mean without the slowest tenth: it counts the usual load of other work, and no rare pause."""
    kept = sorted(durations)[: len(durations) - len(durations) // 10]
    return statistics.mean(kept)
