"""The progress of a run: its steps, its speed, the time left and the losses."""

import collections
import statistics
import sys
import time

import keras
from tqdm import tqdm

from tf_cyclegan.settings.checks import check_integer

SHORT_NAMES = {"adversarial": "adv", "cycle": "cyc", "discriminator": "dis", "identity": "idt"}
FORECAST_STEPS = 10
_BAR = "{desc} {percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt}{postfix}"
_BAR_WITHOUT_TOTAL = "{desc} {n_fmt}{postfix}"

_now = time.perf_counter


class Progress(keras.callbacks.Callback):
    """Shows steps, images per second, time left, share of time spent waiting for input, and every loss.

    On a terminal it is a live bar; in a log file it is a plain line each `interval` seconds. Each epoch ends with a
    line that stays. After the first 10 steps it says once how long the run takes. Give `verbose=0` to `fit`.

    Args:
        total_steps: int, steps of the whole run, with those before `first_step`; None until `set_total` is called.
        batch_size: int, images of one domain in a step. Defaults to 1.
        first_step: int, steps done before this `fit`, for a resumed run. Defaults to 0.
        steps_per_epoch: int; if given, the epoch is computed from the step. Defaults to None, the epoch of `fit`.
        epochs: int, epochs of the whole run. Defaults to the epochs of `fit`.
        interval: float, seconds from one plain line to the next. Defaults to 10.
        stream: text stream to write to. Defaults to `sys.stderr`.
        input_wait: optional `InputWait` of the same `fit`, whose share is shown. Defaults to None.
        forecast: bool, whether to say once how long the run takes. Defaults to True.

    Raises:
        ValueError: if `first_step` is above `total_steps`, or `total_steps` or `batch_size` is below 1.

    Example:
        >>> progress = Progress(total_steps=2 * 100, batch_size=4)
        >>> model.fit(dataset, epochs=2, verbose=0, callbacks=[progress])  # doctest: +SKIP
    """

    def __init__(
        self,
        total_steps,
        batch_size=1,
        first_step=0,
        steps_per_epoch=None,
        epochs=None,
        interval=10.0,
        stream=None,
        input_wait=None,
        forecast=True,
    ):
        super().__init__()
        for name, value in {"total_steps": 1 if total_steps is None else total_steps, "batch_size": batch_size}.items():
            check_integer(name, value, 1)
        if first_step < 0 or (total_steps is not None and first_step > total_steps):
            raise ValueError(
                f"`first_step` must lie between 0 and `total_steps` ({total_steps}). Received: first_step={first_step}"
            )
        self.total_steps = total_steps
        self.batch_size = batch_size
        self.step = self._first_step = first_step
        self.steps_per_epoch = steps_per_epoch
        self.epochs = epochs
        self.interval = interval
        self.stream = stream or sys.stderr
        self.input_wait = input_wait
        self._bar = None
        self._epoch = 0
        self._last_batch = -1
        self._shown_at = None
        self._clock = _StepClock()
        self._forecast_given = not forecast

    def set_total(self, total_steps, epochs=None):
        """Sets the number of steps of a run that began without one.

        Args:
            total_steps: int.
            epochs: optional int, epochs of the whole run. Defaults to None.
        """
        self.total_steps, self.epochs = total_steps, epochs
        if self._bar is not None:
            self._bar.bar_format, self._bar.total = _BAR, total_steps

    def write(self, line):
        """Writes a line that stays, without breaking the bar; also before and after `fit`."""
        if self._bar is not None:
            tqdm.write(line, file=self.stream)
        else:
            self.stream.write(f"{line}\n")
        self.stream.flush()

    def close(self):
        """Ends the bar. `fit` calls it, unless it raises."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def on_train_begin(self, logs=None):
        self.close()
        self._shown_at = _now()
        self._clock = _StepClock()
        self._first_step = self.step
        if self.stream.isatty():
            self._bar = tqdm(
                desc="Preparing the first step",
                total=self.total_steps,
                initial=self.step,
                file=self.stream,
                dynamic_ncols=True,
                bar_format=_BAR_WITHOUT_TOTAL if self.total_steps is None else _BAR,
            )

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._last_batch = -1

    def on_train_batch_end(self, batch, logs=None):
        steps = self.params.get("steps")
        batch = batch if steps is None else min(batch, steps - 1)  # `steps_per_execution` counts past the end
        done = batch - self._last_batch
        self._last_batch = batch
        self.step += done
        self._clock.tick(self.step)
        if self._bar is not None:
            self._bar.set_description_str(self._epoch_text(), refresh=False)
            self._bar.set_postfix_str(", ".join([*self._pace_texts(), loss_text(logs or {})]), refresh=False)
            self._bar.update(done)
        elif _now() - self._shown_at >= self.interval and batch + 1 != steps:
            self._write_state(logs)
        if not self._forecast_given and self.total_steps is not None and self._clock.intervals >= FORECAST_STEPS:
            self._forecast_given = True
            self.write(self._forecast())

    def on_epoch_end(self, epoch, logs=None):
        self._write_state(logs)

    def on_train_end(self, logs=None):
        self.close()

    def _write_state(self, logs):
        self._shown_at = _now()
        where = f"{self._epoch_text()}, step {self.step:,}"
        if self.total_steps is not None:
            where += f"/{self.total_steps:,} ({int(100 * self.step / self.total_steps)}%)"
        self.write(f"{', '.join([where, *self._pace_texts()])}: {loss_text(logs or {})}")

    def _epoch_text(self):
        # The last step of an epoch belongs to it, hence the step before the current one.
        epoch = max(self.step - 1, 0) // self.steps_per_epoch if self.steps_per_epoch else self._epoch
        epochs = self.epochs or (None if self.total_steps is None else self.params.get("epochs"))
        return f"Epoch {epoch + 1}/{epochs}" if epochs else f"Epoch {epoch + 1}"

    def _pace_texts(self):
        texts = []
        if self._clock.intervals:
            texts.append(f"{self.batch_size / self._clock.seconds_a_step:.2f} images/s")
        if self._clock.intervals >= FORECAST_STEPS and self.total_steps is not None:
            remaining = max(self.total_steps - self.step, 0)
            texts.append(f"{duration_text(self._clock.mean_seconds * remaining)} left")
        if self.input_wait is not None and self.input_wait.share is not None:
            texts.append(f"waiting for input {self.input_wait.share:.0%}")
        return texts

    def _forecast(self):
        seconds, steps = self._clock.seconds_a_step, self.total_steps - self._first_step
        run = f"the remaining {steps:,} steps take" if self._first_step else f"the whole run of {steps:,} steps takes"
        return f"About {seconds_text(seconds)} a step: {run} about {duration_text(seconds * steps)} on this machine."


class _StepClock:
    """Seconds a step, from the ends of steps. The first step, which traces the graph, only starts the clock."""

    def __init__(self):
        self._recent = collections.deque(maxlen=50)
        self._start = self._last = None
        self.intervals = 0

    def tick(self, step):
        now = _now()
        if self._last is None:
            self._start = (now, step)
        else:
            self.intervals += 1
            self._recent.append((now - self._last[0]) / (step - self._last[1]))
            if self.intervals == FORECAST_STEPS:  # these steps count by their median: some may have traced graphs
                steps = step - self._start[1]
                self._start = (now - steps * self.seconds_a_step, self._start[1])
        self._last = (now, step)

    @property
    def seconds_a_step(self):
        """The median of the last steps, without the pauses between epochs; None in the beginning."""
        return max(statistics.median(self._recent), 1e-9) if self._recent else None

    @property
    def mean_seconds(self):
        """The mean of all steps, with the pauses between epochs, for the time left."""
        return (self._last[0] - self._start[0]) / (self._last[1] - self._start[1])


def loss_text(logs):
    """Losses in one line: `adv_ab 0.312  cyc_a 0.981`.

    Args:
        logs: dict of names and floats.

    Returns:
        str, with three significant digits.
    """
    return "  ".join(f"{_short(name)} {value:#.3g}".removesuffix(".") for name, value in logs.items())


def seconds_text(seconds):
    """A short time, such as `0.24 s`.

    Args:
        seconds: float.

    Returns:
        str, of two significant digits below ten seconds.
    """
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def duration_text(seconds):
    """A time span in the unit that reads best, such as `14 minutes`.

    Args:
        seconds: float.

    Returns:
        str.
    """
    for unit, length, limit in (("second", 1, 90), ("minute", 60, 90), ("hour", 3600, 48)):
        if seconds < limit * length:
            count = f"{seconds / length:.0f}" if unit != "hour" else f"{seconds / length:.1f}"
            return f"{count} {unit}" + ("" if count == "1" else "s")
    return f"{seconds / 86400:.1f} days"


def _short(name):
    first, *rest = name.split("_")
    return "_".join([SHORT_NAMES.get(first, first), *rest])
