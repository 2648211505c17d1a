"""The files of a run: its checkpoints, and its settings in them and in `config.json`."""

import hashlib
import json
import os
import re
import zipfile
from pathlib import Path

import keras

from tf_cyclegan.settings.checks import one_line
from tf_cyclegan.settings.train import TRAIN_NAMES, train_settings

_NAME = re.compile(r"step_(\d+)\.keras")
# The most bytes of a comment in a ZIP archive.
_LONGEST_COMMENT = 2**16 - 1


def checkpoint_name(step):
    """The name of the file of a step."""
    return f"step_{step:08d}.keras"


def list_checkpoints(directory):
    """`(step, path)` of the checkpoints in a folder, the newest first."""
    names = os.listdir(directory) if os.path.isdir(directory) else []
    matches = [match for match in map(_NAME.fullmatch, names) if match]
    return sorted(((int(match[1]), os.path.join(directory, match[0])) for match in matches), reverse=True)


def newest_checkpoint(directory):
    """The checkpoint with the highest step.

    Args:
        directory: folder of `Checkpoints`; it need not exist.

    Returns:
        Its path, or None if there is none.
    """
    found = list_checkpoints(os.path.expanduser(directory))
    return found[0][1] if found else None


def load_newest(directory, loader=keras.models.load_model):
    """Loads the newest checkpoint that is whole.

    Args:
        directory: folder of `Checkpoints`; it need not exist.
        loader: callable `path -> model`. Defaults to `keras.models.load_model`.

    Returns:
        `(model, path, skipped)`: the model, its path, and a list of `(path, reason)` of newer files that
        are damaged. `(None, None, [])` if there is no checkpoint.

    Raises:
        ValueError: if there are checkpoints and none can be read.

    Example:
        >>> model, path, skipped = load_newest("checkpoints")  # doctest: +SKIP
    """
    skipped = []
    for _, path in list_checkpoints(os.path.expanduser(directory)):
        try:
            check_file(path)
            return loader(path), path, skipped
        except MemoryError:
            raise
        except Exception as error:  # a damaged file fails in any of the readers' ways
            skipped.append((path, one_line(error)))
    if skipped:
        reasons = "\n".join(f"  {path}: {reason}" for path, reason in skipped)
        raise ValueError(f"No checkpoint in `directory` can be read. Received: directory={directory}\n{reasons}")
    return None, None, []


def check_file(path):
    """Compares all contents of a `.keras` file with their checksums, as Keras itself does not.

    Args:
        path: the file.

    Raises:
        ValueError: if it is not as it was written.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not a whole .keras file; it may have been cut off")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            _parsed(archive.comment)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a header that is damaged fails in any of the reader's ways
        raise ValueError(f"it is damaged: {one_line(error)}") from error
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} in it differs")


def write_settings(path, settings):
    """Puts settings into the comment of a `.keras` archive, which Keras does not read.

    Args:
        path: the file.
        settings: dict of what JSON knows.

    Raises:
        ValueError: if they take more than 64 kB.
    """
    comment = json.dumps({"settings": settings, "sha256": _digest(settings)}).encode()
    if len(comment) > _LONGEST_COMMENT:
        raise ValueError(f"`settings` must be of at most {_LONGEST_COMMENT} bytes. Received: {len(comment)} bytes")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = comment


def read_settings(path):
    """The settings that a checkpoint holds next to its model.

    Args:
        path: a `.keras` file.

    Returns:
        dict, or None if the file has none, or cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _parsed(archive.comment)
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def _parsed(comment):
    """The settings in a comment, None in an empty one."""
    if not comment:
        return None
    try:
        found = json.loads(comment)
        settings, digest = found["settings"], found["sha256"]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError("the settings in it cannot be read") from error
    if digest != _digest(settings):
        raise ValueError("the checksum of the settings in it differs")
    return settings


def _digest(settings):
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


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
    """The settings of a run as they stand in its files, with the facts that it noted at its beginning.

    Args:
        path: run folder: its `config.json` or, where that is missing or damaged, its newest checkpoint that has them;
            or a checkpoint, whose own settings come before the settings of the folder.

    Returns:
        dict, or None if there are none that can be read.
    """
    path = Path(path)
    if path.is_dir():
        checkpoints = (checkpoint for _, checkpoint in list_checkpoints(path / "checkpoints"))
        found = (_read_json(path / "config.json"), *map(read_settings, checkpoints))
    elif path.suffix == ".keras":
        in_folder = _read_json(path.parent.parent / "config.json") if path.parent.name == "checkpoints" else None
        found = (read_settings(path), in_folder)
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
