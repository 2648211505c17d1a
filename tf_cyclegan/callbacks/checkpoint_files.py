"""The files of a folder of checkpoints: their names, their checksums, and the newest that is whole."""

import hashlib
import json
import os
import re
import zipfile

import keras

from tf_cyclegan.settings.checks import one_line

_NAME = re.compile(r"step_(\d+)\.keras")
# Of a comment of a ZIP archive.
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
        `(model, path, skipped)`: the model, the path it came from, and a list of `(path, reason)` of newer files that
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
    """Compares all contents of a `.keras` file with their checksums: Keras itself loads weights that have changed.

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
    """Puts settings into a `.keras` file, in the comment of the archive, where Keras neither minds nor copies them.

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
    """The settings that a checkpoint holds beside the model.

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
