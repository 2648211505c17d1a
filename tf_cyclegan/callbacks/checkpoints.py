"""Checkpoints that survive a kill at any moment."""

import contextlib
import os
import re
import zipfile

import keras
from keras import ops

from tf_cyclegan.callbacks.health import TrainingDiverged
from tf_cyclegan.checks import one_line
from tf_cyclegan.files import sync

_NAME = re.compile(r"step_(\d+)\.keras")
_TEMPORARY = re.compile(r"saving_step_\d+\.keras")


class Checkpoints(keras.callbacks.Callback):
    """Saves `step_00001234.keras`, whole or not at all, and keeps the newest few.

    It saves after each `frequency_epochs` epochs, when an epoch is cut short (`model.stop_training`), and at the end
    of training. A step that this object has saved is not saved again, and weights that are NaN or infinite are not
    saved at all: they would take the place of good ones. A file of a later step than the one saved
    belongs to a run that was left, because it was damaged or a new run began in its folder: it is set aside as
    `step_00001234.keras.old`, so that the newest checkpoint is always that of the current run.

    Args:
        directory: folder of the checkpoints; it is made if it does not exist.
        keep: int, newest checkpoints that stay. Defaults to 3.
        frequency_epochs: int, epochs from one checkpoint to the next. Defaults to 1.
        frequency_steps: optional int, steps from one checkpoint to the next within epochs. Defaults to None.
        on_saved: optional callable that gets the path of each new checkpoint. Defaults to None.

    Raises:
        ValueError: if `keep` or a frequency is below 1.
        OSError: from `fit`, if a checkpoint cannot be written; the earlier ones are as they were.
        TrainingDiverged: from `fit`, if weights are NaN or infinite.

    Example:
        >>> model.fit(dataset, epochs=2, callbacks=[Checkpoints("checkpoints")])  # doctest: +SKIP
    """

    def __init__(self, directory, keep=3, frequency_epochs=1, frequency_steps=None, on_saved=None):
        super().__init__()
        numbers = {"keep": keep, "frequency_epochs": frequency_epochs, "frequency_steps": frequency_steps or 1}
        for name, value in numbers.items():
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
        self.directory = os.fspath(directory)
        self.keep = keep
        self.frequency_epochs = frequency_epochs
        self.frequency_steps = frequency_steps
        self.on_saved = on_saved
        self._saved_step = None
        self._seen_step = 0

    def save(self, again=False):
        """Saves the model as it is now, unless this object has saved this step already.

        Args:
            again: bool, whether to save in any case: the model has changed without a step. Defaults to False.

        Returns:
            The path of the checkpoint of this step.

        Raises:
            OSError: if it cannot be written.
            TrainingDiverged: if weights are NaN or infinite.
        """
        step = int(self.model.step.numpy())
        path = os.path.join(self.directory, f"step_{step:08d}.keras")
        if again or step != self._saved_step:
            self._check_finite(step)
            self._write(path)
            self._saved_step = step
            self._tidy(step)
            if self.on_saved is not None:
                self.on_saved(path)
        return path

    def on_train_begin(self, logs=None):
        self._seen_step = int(self.model.step.numpy())
        os.makedirs(self.directory, exist_ok=True)
        for name in os.listdir(self.directory):
            if _TEMPORARY.fullmatch(name):
                os.remove(os.path.join(self.directory, name))

    def on_train_batch_end(self, batch, logs=None):
        if self.frequency_steps:
            step, before = int(self.model.step.numpy()), self._seen_step
            self._seen_step = step
            # A multiple was reached or, with `steps_per_execution`, passed.
            if step // self.frequency_steps > before // self.frequency_steps:
                self.save()

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.frequency_epochs == 0 or self.model.stop_training:
            self.save()

    def on_train_end(self, logs=None):
        self.save()

    def _check_finite(self, step):
        broken = [v.path for v in self.model.trainable_variables if not bool(ops.all(ops.isfinite(v)))]
        if broken:
            raise TrainingDiverged(
                f"Training diverged: {len(broken)} weights, first {broken[0]}, are NaN or infinite after {step} steps. "
                f"They were not saved in {self.directory}. Resume from the last checkpoint with a lower learning rate."
            )

    def _write(self, path):
        aside = os.path.join(self.directory, f"saving_{os.path.basename(path)}")
        try:
            os.makedirs(self.directory, exist_ok=True)
            self.model.save(aside)
            sync(aside)
            os.replace(aside, path)
            sync(self.directory)
        except OSError as error:
            raise _cannot_save(self.directory, error) from error
        finally:
            with contextlib.suppress(OSError):
                os.remove(aside)

    def _tidy(self, step):
        """Sets aside what a left run saved later than `step`, and removes all but the newest of the others."""
        found = _checkpoints(self.directory)
        for number, path in found:
            if number > step:
                os.replace(path, f"{path}.old")
        for _, path in [entry for entry in found if entry[0] <= step][self.keep :]:
            os.remove(path)


def newest_checkpoint(directory):
    """The checkpoint with the highest step.

    Args:
        directory: folder of `Checkpoints`; it need not exist.

    Returns:
        Its path, or None if there is none.
    """
    found = _checkpoints(os.fspath(directory))
    return found[0][1] if found else None


def load_newest(directory, loader=keras.models.load_model):
    """Loads the newest checkpoint that can be read.

    Args:
        directory: folder of `Checkpoints`; it need not exist.
        loader: callable `path -> model`. Defaults to `keras.models.load_model`.

    Returns:
        `(model, path, skipped)`: the model, the path it came from, and a list of `(path, reason)` of newer files that
        are damaged. `(None, None, [])` if there is no checkpoint.

    Raises:
        ValueError: if there are checkpoints and none can be read.

    Example:
        >>> model, path, skipped = load_newest("checkpoints")  # doctest: +SKIP
    """
    skipped = []
    for _, path in _checkpoints(os.fspath(directory)):
        try:
            if not zipfile.is_zipfile(path):
                raise ValueError("not a whole .keras file; it may have been cut off")
            return loader(path), path, skipped
        except MemoryError:
            raise
        except Exception as error:  # a damaged file fails in any of the readers' ways
            skipped.append((path, one_line(error)))
    if skipped:
        reasons = "\n".join(f"  {path}: {reason}" for path, reason in skipped)
        raise ValueError(f"No checkpoint in `directory` can be read. Received: directory={directory}\n{reasons}")
    return None, None, []


def _checkpoints(directory):
    """`(step, path)` of the checkpoints, the newest first."""
    names = os.listdir(directory) if os.path.isdir(directory) else []
    matches = [match for match in map(_NAME.fullmatch, names) if match]
    return sorted(((int(match[1]), os.path.join(directory, match[0])) for match in matches), reverse=True)


def _cannot_save(directory, error):
    newest = newest_checkpoint(directory)
    kept = f"The newest one, {os.path.basename(newest)}, is as it was." if newest else "There is none yet."
    reason = error.strerror or error
    return OSError(error.errno, f"Cannot save a checkpoint in the folder {directory}: {reason}. {kept}")
