"""Going on with a run: its newest checkpoint, and which of its settings may be others now."""

from pathlib import Path

from tf_cyclegan import callbacks
from tf_cyclegan.config import TrainConfig
from tf_cyclegan.defaults import MODEL_SETTINGS
from tf_cyclegan.devices import POLICIES
from tf_cyclegan.models import MODELS
from tf_cyclegan.run_data import run_settings
from tf_cyclegan.user_errors import with_flags

# What a setting of a run is when the run goes on. Those of the model itself are compared as the model has them.
OF_MODEL = {name for settings in MODEL_SETTINGS.values() for name in settings} | {"model"}
# What the order and the look of every batch depend on: with another, a resumed run would be another run.
FIXED = (
    "batch_size",
    "seed",
    "image_size",
    "load_size",
    "resize_mode",
    "flip",
    "channels",
    "channels_b",
    "value_range",
    "value_range_b",
)
# Where the images are: others are taken if they lead to the same images.
PLACES = ("dataset", "data_a", "data_b", "test_share", "skip_unreadable")
TAKEN = (
    "epochs",
    "decay_epochs",
    "steps",
    "minutes",
    "learning_rate",
    "schedule",
    "decay_rate",
    "jit_compile",
    "strategy",
    "keep_checkpoints",
    "checkpoint_steps",
    "samples",
    "evaluate_every",
    "evaluate_count",
    "evaluate_features",
    "best_by",
)
# Of the moment, or without a bearing on what is computed; the precision is compared as the model has it.
FREE = ("data_dir", "mirror", "cache", "initial_model", "precision", "output_dir", "resume", "dry_run")


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
        report(with_flags(line, TrainConfig))
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


def kept_policy(config):
    """The dtype policy of the run that goes on in the run folder.

    Args:
        config: resolved `TrainConfig`.

    Returns:
        str, or None where there is no run, or its files do not say it.
    """
    path = callbacks.newest_checkpoint(Path(config.output_dir) / "checkpoints") if config.resume else None
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
    for name in FIXED:
        if name in found:
            _check_same(folder, name, found[name], settings[name])
    others = [name for name in (*PLACES, *TAKEN) if name in found and found[name] != settings[name]]
    if found.get("images") != settings["images"]:
        _refuse_images(folder, found, settings, [name for name in PLACES if name in others])
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
