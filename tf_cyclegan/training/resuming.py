"""Going on with a run: the lock on its folder, its newest checkpoint, and the settings that may have changed."""

import contextlib
import json
from pathlib import Path

import filelock

from tf_cyclegan.files import free_name, write_whole
from tf_cyclegan.models import model_name
from tf_cyclegan.settings.fields import FIXED, PLACE, TAKEN
from tf_cyclegan.settings.train import TRAIN_NAMES, names_that
from tf_cyclegan.settings.user_errors import with_flags
from tf_cyclegan.weights.run_files import load_newest, newest_checkpoint, run_settings

_LOCK = ".lock"


def begun_settings(folder):
    """The settings of the run that goes on in a run folder.

    Args:
        folder: resolved `FolderSettings`.

    Returns:
        dict, or None where a new run begins, and where the files of the run do not tell.
    """
    path = newest_checkpoint(Path(folder.output_dir) / "checkpoints") if folder.resume else None
    return None if path is None else run_settings(path)


def write_config(folder, settings):
    """Writes `config.json`.

    Args:
        folder: run folder.
        settings: dict of JSON's types.
    """
    write_whole(Path(folder) / "config.json", f"{json.dumps(settings, indent=2)}\n".encode())


# ---- the lock ----


@contextlib.contextmanager
def held(folder, resume, report):
    """Makes the run folder if it does not exist, and locks it against other processes until the block ends.

    The system releases the lock of a killed process.

    Args:
        folder: run folder.
        resume: bool, whether an earlier run in the folder stays; otherwise the folder is moved aside.
        report: callable, takes lines of text.

    Raises:
        ValueError: if another process holds the lock.
    """
    folder = Path(folder)
    if not resume and folder.exists():
        with _locked(folder):
            aside = free_name(folder)
            folder.rename(aside)
        report(f"Moved the earlier run to {aside}.")
    with _locked(folder):
        yield


@contextlib.contextmanager
def _locked(folder):
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise ValueError(
            f"`output_dir` {folder} is in use: another process is training there. Stop it, or take another --output-dir"
        ) from error
    try:
        yield
    finally:
        lock.release()


# ---- the checkpoint ----


def load_checkpoint(folder, expected, settings, report):
    """The model of the newest checkpoint of a run that can be read.

    Args:
        folder: run folder.
        expected: `TranslationModel` that the settings make, untrained.
        settings: dict of the settings that the run is to have now, with `"images"`, the digest of its images.
        report: callable, takes lines of text.

    Returns:
        Pair of the `TranslationModel`, None in a new run, and the plan of a run of minutes that `callbacks.TimeBudget`
        made, None where there is no plan.

    Raises:
        ValueError: if no checkpoint can be read, or the run has another model, other data or other minutes.
    """
    folder = Path(folder)
    model, path, skipped = load_newest(folder / "checkpoints")
    for damaged, reason in skipped:
        report(f"Passed over the damaged checkpoint {damaged}: {reason}")
    if model is None:
        report(f"A new run in {folder}.")
        return None, None
    _check_model(folder, model, expected)
    found = run_settings(path) or {}
    # A plan that was made after the checkpoint stands in the folder's settings alone.
    plan = _kept_plan(folder, settings["minutes"], found, run_settings(folder) or {})
    changes = _changes(folder, found, settings)
    report(f"Resuming from {path} at step {int(model.step.numpy()):,}.")
    for line in changes:
        report(with_flags(line, TRAIN_NAMES))
    return model, plan


def _check_model(folder, model, expected):
    _check_same(folder, "model", *(model_name(each) or type(each).__name__ for each in (model, expected)))
    _check_same(folder, "precision", model.dtype_policy.name, expected.dtype_policy.name)
    ours, theirs = model.get_config(), expected.get_config()
    for name in theirs:
        if name not in ("name", "dtype"):
            _check_same(folder, name, ours.get(name), theirs[name])


def _kept_plan(folder, minutes, *found):
    """The plan of a run of minutes, which never changes; None without a plan, and for a run without minutes."""
    kept = next((settings for settings in found if settings.get("plan") and settings.get("minutes")), None)
    if kept is None or minutes is None:
        return None
    if kept["minutes"] != minutes:
        raise ValueError(
            f"`minutes` must be {kept['minutes']:g}, as `output_dir` {folder} holds a run whose "
            f"{kept['plan']['steps']:,} steps were fixed by it, or left out: --steps then says where it ends. Take "
            f"another --output-dir, or --no-resume to begin anew. Received: minutes={minutes:g}"
        )
    return kept["plan"]


def _changes(folder, found, settings):
    """Lines that say which settings have changed. A setting that the checkpoint does not have is not compared."""
    if "value_range" in found:  # an older run has one range for both domains
        found = {"value_range_b": found["value_range"], **found}
    for name in names_that(FIXED):
        if name in found:
            _check_same(folder, name, found[name], settings[name])
    places = names_that(PLACE)
    changed = [name for name in (*places, *names_that(TAKEN)) if name in found and found[name] != settings[name]]
    if found.get("images") != settings["images"]:
        _refuse_images(folder, found, settings, [name for name in places if name in changed])
    return [f"`{name}` is now {_word(settings[name])}, was {_word(found[name])}." for name in changed]


def _refuse_images(folder, found, settings, places):
    for name in places:
        _check_same(folder, name, found[name], settings[name])
    if "images" in found:
        place = next(name for name in ("data_a", "dataset") if settings[name])
        raise ValueError(
            f"`{place}` {settings[place]} no longer holds the images that the run in {folder} was trained on. To train "
            f"its networks on with these, take another --output-dir and --initial-model={folder}; or bring the images "
            "back as they were, or begin anew with --no-resume"
        )


def _check_same(folder, name, found, expected):
    if found != expected:
        raise ValueError(
            f"`output_dir` {folder} holds a run with another `{name}`: expected {expected!r}, found {found!r}. "
            "Take another --output-dir, or --no-resume to begin anew"
        )


def _word(value):
    return "none" if value is None else value
