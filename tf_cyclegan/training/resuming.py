"""The folder of a run, its lock, and which settings may change when it goes on."""

import contextlib
import json
from pathlib import Path

import filelock

from tf_cyclegan.files import free_name, write_whole
from tf_cyclegan.models import MODELS
from tf_cyclegan.settings.fields import FIXED, PLACE, TAKEN
from tf_cyclegan.settings.train import TRAIN_NAMES, names_that
from tf_cyclegan.settings.user_errors import with_flags
from tf_cyclegan.training import callbacks
from tf_cyclegan.training.devices import POLICIES
from tf_cyclegan.weights.run_files import run_settings

_LOCK = ".lock"


def resumed(folder, expected, settings, report):
    """The model of the newest checkpoint of a run that can be read.

    Args:
        folder: run folder.
        expected: `TranslationModel` that the settings make, untrained.
        settings: dict of the run as it is to be, with `"images"`, the digest of its images.
        report: callable, takes lines of text.

    Returns:
        Pair of `TranslationModel` and the plan of a run of minutes, as `callbacks.TimeBudget` decided it; None for
        what there is not: both in a new run.

    Raises:
        ValueError: if no checkpoint can be read, or the run has another model, other data or a plan of other minutes.
    """
    folder = Path(folder)
    model, path, skipped = callbacks.load_newest(folder / "checkpoints")
    for damaged, reason in skipped:
        report(f"Passed over the damaged checkpoint {damaged}: {reason}")
    if model is None:
        report(f"A new run in {folder}.")
        return None, None
    _check_model(model, expected, folder)
    found = run_settings(path) or {}
    # The folder's settings know of a plan that was made after the checkpoint.
    plan = _kept_plan(folder, settings["minutes"], found, run_settings(folder) or {})
    changes = _changes(folder, found, settings)
    report(f"Resuming from {path} at step {int(model.step.numpy()):,}.")
    for line in changes:
        report(with_flags(line, TRAIN_NAMES))
    return model, plan


def _kept_plan(folder, minutes, *found):
    """The plan of a run of minutes, which stays as it is: None where there is none yet, or none is asked for."""
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


def kept_policy(settings):
    """The dtype policy of the run that goes on in the run folder.

    Args:
        settings: resolved `FolderSettings`.

    Returns:
        str, or None where there is no run, or its files do not say it.
    """
    path = callbacks.newest_checkpoint(Path(settings.output_dir) / "checkpoints") if settings.resume else None
    policy = None if path is None else (run_settings(path) or {}).get("dtype_policy")
    return policy if policy in POLICIES.values() else None


def _check_model(model, expected, folder):
    names = {kind: name for name, kind in MODELS.items()}
    _check_same(folder, "model", *(names.get(type(each), type(each).__name__) for each in (model, expected)))
    _check_same(folder, "precision", model.dtype_policy.name, expected.dtype_policy.name)
    ours, theirs = model.get_config(), expected.get_config()
    for name in theirs:
        if name not in ("name", "dtype"):
            _check_same(folder, name, ours.get(name), theirs[name])


def _changes(folder, found, settings):
    """Lines that say what is otherwise than it was. What a checkpoint does not say is not compared."""
    if "value_range" in found:  # domains had one together
        found = {"value_range_b": found["value_range"], **found}
    for name in names_that(FIXED):
        if name in found:
            _check_same(folder, name, found[name], settings[name])
    places = names_that(PLACE)
    others = [name for name in (*places, *names_that(TAKEN)) if name in found and found[name] != settings[name]]
    if found.get("images") != settings["images"]:
        _refuse_images(folder, found, settings, [name for name in places if name in others])
    return [f"`{name}` is now {_words(settings[name])}, was {_words(found[name])}." for name in others]


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


def _words(value):
    return "none" if value is None else value


@contextlib.contextmanager
def held(folder, resume, report):
    """The run folder, made if it does not exist and held for this process alone, until the block has ended.

    The system lets go of it when a process is killed: nothing is to be cleaned up.

    Args:
        folder: run folder.
        resume: bool, whether an earlier run in it stays; otherwise it is moved aside.
        report: callable, takes lines of text.

    Raises:
        ValueError: if another process holds it.
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


def write_config(folder, settings):
    """Writes `config.json`.

    Args:
        folder: run folder.
        settings: dict of what JSON knows.
    """
    write_whole(Path(folder) / "config.json", f"{json.dumps(settings, indent=2)}\n".encode())
