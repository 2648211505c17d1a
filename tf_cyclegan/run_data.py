"""The settings of a run, from its folder or its checkpoints."""

import json
from pathlib import Path

from tf_cyclegan.callbacks import list_checkpoints, read_settings
from tf_cyclegan.settings.train import TRAIN_NAMES, train_settings


def read_config(path):
    """The settings that a run was made with.

    Args:
        path: run folder, or a checkpoint.

    Returns:
        Resolved `TrainSettings`, or None if there are none that can be read.
    """
    found = run_settings(path)
    if found is None:
        return None
    return train_settings(**{name: _immutable(found[name]) for name in TRAIN_NAMES if name in found})


def run_settings(path):
    """The settings of a run as they stand in its files, with what else it noted at its beginning.

    Args:
        path: run folder: its `config.json` or, where that is missing or damaged, its newest checkpoint that has them;
            or a checkpoint, whose own settings come before those of the folder.

    Returns:
        dict, or None if there are none that can be read.
    """
    path = Path(path)
    if path.is_dir():
        checkpoints = (checkpoint for _, checkpoint in list_checkpoints(path / "checkpoints"))
        found = (_read_json(path / "config.json"), *map(read_settings, checkpoints))
    elif path.suffix == ".keras":
        beside = _read_json(path.parent.parent / "config.json") if path.parent.name == "checkpoints" else None
        found = (read_settings(path), beside)
    else:
        found = ()
    return next((settings for settings in found if isinstance(settings, dict)), None)


def _read_json(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _immutable(value):
    return tuple(value) if isinstance(value, list) else value
