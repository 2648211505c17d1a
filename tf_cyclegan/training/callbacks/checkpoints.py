"""Checkpoints that survive a kill at any moment, written while training goes on."""

import contextlib
import errno
import functools
import os
import shutil

import keras

from tf_cyclegan.files import sync
from tf_cyclegan.settings.checks import check_integer, one_line
from tf_cyclegan.training.callbacks.health import TrainingDiverged
from tf_cyclegan.training.callbacks.snapshot import Background, Snapshot
from tf_cyclegan.weights.run_files import checkpoint_name, list_checkpoints, newest_checkpoint, write_settings

# A folder of its own: with little memory, Keras writes a second file next to the checkpoint.
WRITING = "writing"


class Checkpoints(keras.callbacks.Callback):
    """Saves `step_00001234.keras`, whole or not at all, and keeps the newest few.

    It saves after each `frequency_epochs` epochs, when an epoch is cut short (`model.stop_training`), and at the end
    of training. It saves no step twice, and no weights that are NaN or infinite, which would replace good ones. A file
    of a later step belongs to an earlier run in the folder, or was damaged: it is renamed to
    `step_00001234.keras.old`, so that the newest checkpoint always belongs to the current run.

    Training goes on while a checkpoint is written; until it is, memory holds the changed variables twice. One
    checkpoint is written at a time. An error while writing is raised after the next step. At the end of training all
    checkpoints are written; as a context manager also if `fit` raises.

    Args:
        directory: folder of the checkpoints; it is made if it does not exist.
        keep: int, newest checkpoints that stay. Defaults to 3.
        frequency_epochs: int, epochs from one checkpoint to the next. Defaults to 1.
        frequency_steps: optional int, steps from one checkpoint to the next within epochs. Defaults to None.
        on_saved: optional callable that gets the path of each new checkpoint, between two steps. Defaults to None.
        settings: optional dict of JSON's types, at most 64 kB, that each checkpoint holds for `read_settings`. Defaults
            to None.
        background: bool, whether training goes on while a checkpoint is written. Defaults to True.

    Raises:
        ValueError: if `keep` or a frequency is below 1.
        OSError: from `fit`, if a checkpoint cannot be written; the earlier ones are as they were.
        TrainingDiverged: from `fit`, if weights are NaN or infinite.

    Example:
        >>> model.fit(dataset, epochs=2, callbacks=[Checkpoints("checkpoints")])  # doctest: +SKIP
    """

    def __init__(
        self,
        directory,
        keep=3,
        frequency_epochs=1,
        frequency_steps=None,
        on_saved=None,
        settings=None,
        background=True,
    ):
        super().__init__()
        numbers = {"keep": keep, "frequency_epochs": frequency_epochs, "frequency_steps": frequency_steps or 1}
        for name, value in numbers.items():
            check_integer(name, value, 1)
        self.directory = os.path.expanduser(directory)
        self.keep = keep
        self.frequency_epochs = frequency_epochs
        self.frequency_steps = frequency_steps
        self.on_saved = on_saved
        self.settings = settings
        self.background = background
        self._writer = Background()
        self._writing_path = None
        self._saved_step = None
        self._seen_step = 0

    def save(self, again=False):
        """Saves the model, unless its step has been saved already, and waits for the file.

        Args:
            again: bool, whether to save this step again, as the model has changed without a step. Defaults to False.

        Returns:
            The path of the checkpoint of this step.

        Raises:
            OSError: if this checkpoint, or the one before, cannot be written.
            TrainingDiverged: if weights are NaN or infinite.
        """
        path = self._begin(again)
        self.wait()
        return path

    def save_beside_training(self):
        """Saves the model while training goes on, unless its step has been saved already."""
        if self.background:
            self._begin()
        else:
            self.save()

    def wait(self):
        """Waits until no checkpoint is being written.

        Raises:
            OSError: if a checkpoint cannot be written.
            TrainingDiverged: if weights are NaN or infinite.
        """
        path, self._writing_path = self._writing_path, None
        try:
            self._writer.wait()
        except BaseException:
            self._saved_step = None  # the step is not saved
            raise
        if path is not None and self.on_saved is not None:
            self.on_saved(path)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        # The user must see the first error.
        with contextlib.nullcontext() if kind is None else contextlib.suppress(Exception):
            self.wait()

    def on_train_begin(self, logs=None):
        self._seen_step = int(self.model.step.numpy())
        os.makedirs(self.directory, exist_ok=True)
        shutil.rmtree(os.path.join(self.directory, WRITING), ignore_errors=True)

    def on_train_batch_end(self, batch, logs=None):
        if self._writer.is_done:
            self.wait()
        if self.frequency_steps:
            step, before = int(self.model.step.numpy()), self._seen_step
            self._seen_step = step
            # The step has reached a multiple or, with `steps_per_execution`, passed it.
            if step // self.frequency_steps > before // self.frequency_steps:
                self.save_beside_training()

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.frequency_epochs == 0 or self.model.stop_training:
            self.save_beside_training()

    def on_train_end(self, logs=None):
        self.save()

    def _begin(self, again=False):
        """Begins to write the model, after the checkpoint before, unless its step has been saved already."""
        self.wait()
        step = int(self.model.step.numpy())
        path = os.path.join(self.directory, checkpoint_name(step))
        if again or step != self._saved_step:
            # Nothing else holds the snapshot: its memory is free once it is written.
            self._writer.start(functools.partial(self._write, Snapshot(self.model), step, path))
            self._writing_path, self._saved_step = path, step
        return path

    # ---- in the thread ----

    def _write(self, snapshot, step, path):
        self._check_finite(snapshot, step)
        folder = os.path.join(self.directory, WRITING)
        aside = os.path.join(folder, os.path.basename(path))
        try:
            os.makedirs(folder, exist_ok=True)
            _check_space(folder, snapshot.nbytes)
            snapshot.save(aside)
            if self.settings is not None:
                write_settings(aside, self.settings)
            sync(aside)
            os.replace(aside, path)
            sync(self.directory)
        except OSError as error:
            raise _cannot_save(self.directory, error) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._tidy(step)

    def _check_finite(self, snapshot, step):
        if broken := snapshot.broken_weights():
            raise TrainingDiverged(
                f"Training diverged: {len(broken)} weights, first {broken[0]}, are NaN or infinite after {step} steps. "
                f"They were not saved in {self.directory}. Resume from the last checkpoint with a lower learning rate."
            )

    def _tidy(self, step):
        """Renames checkpoints of later steps than `step`, and removes all but the newest of the others."""
        found = list_checkpoints(self.directory)
        for number, path in found:
            if number > step:
                os.replace(path, f"{path}.old")
        for _, path in [entry for entry in found if entry[0] <= step][self.keep :]:
            os.remove(path)


class ReplicaStates(keras.callbacks.Callback):
    """Gathers the replicas' own variables on every worker, at the steps at which `Checkpoints` saves.

    Only the chief saves, but all workers must gather together. Put it before the callbacks that save.

    Args:
        frequency_steps: optional int, as in `Checkpoints`. Defaults to None.
        keep: bool, whether this worker saves. Defaults to True.
    """

    def __init__(self, frequency_steps=None, keep=True):
        super().__init__()
        self.frequency_steps = frequency_steps
        self.keep = keep
        self._gathered_step = None

    def on_train_begin(self, logs=None):
        self._gather()  # an evaluation that is due may save before the first step

    def on_train_batch_end(self, batch, logs=None):
        if self.frequency_steps and int(self.model.step.numpy()) % self.frequency_steps == 0:
            self._gather()

    def on_epoch_end(self, epoch, logs=None):
        self._gather()

    def on_train_end(self, logs=None):
        self._gather()

    def _gather(self):
        step = int(self.model.step.numpy())
        if step != self._gathered_step:
            self.model.gather_replicas(self.keep)
            self._gathered_step = step


def _check_space(folder, size):
    """Raises `OSError` before anything is written: HDF5 may end the process when the disk is full."""
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _cannot_save(directory, error):
    newest = newest_checkpoint(directory)
    kept = f"The newest one, {os.path.basename(newest)}, is as it was." if newest else "There is none yet."
    reason = one_line(error.strerror or error)
    return OSError(error.errno or errno.EIO, f"Cannot save a checkpoint in the folder {directory}: {reason}. {kept}")
