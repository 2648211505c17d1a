"""Scores during training, and the checkpoint with the best score."""

import contextlib
import json
import math
import os

import keras
import tensorflow as tf

from tf_cyclegan.files import sync, write_whole
from tf_cyclegan.settings.checks import check_integer
from tf_cyclegan.training.callbacks.loss_table import read_table, write_table

BEST_MODEL, BEST_FILE, TABLE = "best.keras", "best.json", "metrics.csv"
# Lower is better for all other scores.
HIGHER_IS_BETTER = ("psnr", "ssim")


class Evaluation(keras.callbacks.Callback):
    """Scores the model every few epochs, writes `metrics.csv` and keeps the best as `checkpoints/best.keras`.

    A row of the table is a step with its scores. `best.json` has the step and the score of `best.keras`. A run that
    goes on from an earlier step drops the rows of later steps, and renames a best model of a later step to
    `best.keras.old`. Put it before `Checkpoints`. It does not score an epoch that is cut short
    (`model.stop_training`).

    Args:
        score: callable `model -> dict` of names to floats. It must not change the model's variables.
        folder: run folder; it is made if it does not exist.
        every: int, epochs from one evaluation to the next. Defaults to 1.
        best_by: optional str, the score that chooses the best model; lower is better, except for `psnr` and `ssim`.
            `"l1"`, without a direction, is the mean of `l1_ab` and `l1_ba`. Defaults to None, which keeps no best
            model.
        steps_per_epoch: optional int; if given, a resumed run scores the epoch that was complete when it was stopped.
            Defaults to None.
        save: optional callable that saves the model and returns the path, such as `Checkpoints.save`; the best model is
            then a link to this file. Defaults to `model.save`.
        log_dir: folder for TensorBoard; None for none. Defaults to None.
        report: optional callable that shows one line. Defaults to None.

    Raises:
        ValueError: if `every` is below 1, or no score is named `best_by`.
        OSError: from `fit`, if a file cannot be written; the earlier files stay.

    Example:
        >>> score = lambda model: {"l1": float(model.evaluate(test_data)[0])}  # doctest: +SKIP
        >>> model.fit(dataset, epochs=9, callbacks=[Evaluation(score, "run", best_by="l1")])  # doctest: +SKIP
    """

    def __init__(
        self, score, folder, every=1, best_by=None, steps_per_epoch=None, save=None, log_dir=None, report=None
    ):
        super().__init__()
        check_integer("every", every, 1)
        self.score, self.folder, self.every, self.best_by = score, os.path.expanduser(folder), every, best_by
        self.steps_per_epoch, self.save = steps_per_epoch, save
        self.log_dir = None if log_dir is None else os.path.expanduser(log_dir)
        self.report = report or (lambda line: None)
        self._writer = None

    @property
    def best(self):
        """Dict with `step`, `score`, `value` and `better` of the best model, or None."""
        try:
            with open(self._path(BEST_FILE)) as file:
                found = json.load(file)
            return found if os.path.exists(self._path(BEST_MODEL)) else None
        except (OSError, ValueError):
            return None

    def evaluate(self):
        """Scores the model, unless its step has been scored already.

        Returns:
            Dict of the scores of this step.
        """
        step = int(self.model.step.numpy())
        rows = self._rows()
        row = next((row for row in rows if row["step"] == step), None)
        if row is None:
            scores = {name: float(value) for name, value in self.score(self.model).items()}
            row = {"step": step, **scores}
            self._value(row)  # raises for an unknown score before anything is written
            self._write([*rows, row])
            self._log(row)
        # Also for a row of an earlier process, which may have been killed before it kept the model.
        self._keep_if_best(row)
        return {name: value for name, value in row.items() if name != "step"}

    def on_train_begin(self, logs=None):
        step = int(self.model.step.numpy())
        self._drop_later(step)
        due = self.steps_per_epoch is not None and step > 0 and self._is_due(step)
        if due or any(row["step"] == step for row in self._rows()):
            self.evaluate()

    def on_epoch_end(self, epoch, logs=None):
        if self.model.stop_training:
            return
        due = (epoch + 1) % self.every == 0
        if self.steps_per_epoch is not None:  # the last epoch of a run may be incomplete
            due = self._is_due(int(self.model.step.numpy()))
        if due:
            self.evaluate()

    def _is_due(self, step):
        return step % (self.every * self.steps_per_epoch) == 0

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    # ---- the table ----

    def _rows(self):
        """The rows of the table, as numbers."""
        rows = read_table(os.path.join(self.folder, TABLE), "step", self.report)
        return [{name: int(text) if name == "step" else float(text) for name, text in row.items()} for row in rows]

    def _write(self, rows):
        os.makedirs(self.folder, exist_ok=True)
        write_table(os.path.join(self.folder, TABLE), rows)

    def _drop_later(self, step):
        """Drops the rows and the best model of later steps than `step`."""
        rows = self._rows()
        kept = [row for row in rows if row["step"] <= step]
        if len(kept) < len(rows):
            self._write(kept)
        best = self.best
        if best is not None and best["step"] > step:
            os.replace(self._path(BEST_MODEL), f"{self._path(BEST_MODEL)}.old")
            os.remove(self._path(BEST_FILE))

    def _log(self, row):
        scores = {name: value for name, value in row.items() if name != "step"}
        self.report(f"Scores at step {row['step']:,}: {scores_text(scores)}")
        if self.log_dir is not None:
            if self._writer is None:
                self._writer = tf.summary.create_file_writer(self.log_dir)
            with self._writer.as_default():
                for name, value in scores.items():
                    tf.summary.scalar(f"scores/{name}", value, step=row["step"])
            self._writer.flush()

    # ---- the best model ----

    def _keep_if_best(self, row):
        value, best = self._value(row), self.best
        if value is None or not math.isfinite(value):
            return
        better = "higher" if self.best_by.split("_")[0] in HIGHER_IS_BETTER else "lower"
        if best is not None and best["score"] == self.best_by and not _is_better(value, best["value"], better):
            return
        self._keep_model()
        found = {"step": row["step"], "score": self.best_by, "value": value, "better": better}
        write_whole(self._path(BEST_FILE), f"{json.dumps(found)}\n".encode())
        self.report(f"Best {self.best_by} so far: {value:.4g}, kept as {self._path(BEST_MODEL)}.")

    def _value(self, row):
        """The value of `best_by`, or the mean of its directions; None without `best_by`."""
        if self.best_by is None:
            return None
        names = [name for name in (self.best_by, f"{self.best_by}_ab", f"{self.best_by}_ba") if name in row]
        if not names:
            scores = ", ".join(name for name in row if name != "step")
            raise ValueError(f"`best_by` must be one of the scores {scores}. Received: best_by={self.best_by!r}")
        return sum(row[name] for name in names) / len(names)

    def _keep_model(self):
        """Replaces the best model, whole or not at all."""
        path = self._path(BEST_MODEL)
        aside = self._path("saving_best.keras")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            if self.save is None:
                self.model.save(aside)
                sync(aside)
            else:
                _link(self.save(), aside)
            # `best.json` must never describe another model.
            with contextlib.suppress(FileNotFoundError):
                os.remove(self._path(BEST_FILE))
            os.replace(aside, path)
            sync(os.path.dirname(path))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(aside)

    def _path(self, name):
        return os.path.join(self.folder, "checkpoints", name)


def scores_text(scores):
    """Scores in one line, both directions of a score together: `l1 0.241 / 0.273  psnr 14.3 / 13`.

    Args:
        scores: dict of names, which may end in a direction, to floats.

    Returns:
        str.
    """
    kinds = {}
    for name, value in scores.items():
        kind, _, direction = name.rpartition("_")
        kinds.setdefault(kind if direction in ("ab", "ba") else name, []).append(f"{value:.3g}")
    return "  ".join(f"{kind} {' / '.join(values)}" for kind, values in kinds.items())


def _is_better(value, than, better):
    return value < than if better == "lower" else value > than


def _link(source, target):
    """The same file under a second name, or a copy where the file system has no links."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(target)
    try:
        os.link(source, target)
    except OSError:
        with open(source, "rb") as file:
            write_whole(target, file.read())
