"""A folder of models on the disk: its check, the versions in it, and when their files rest."""

import collections
import contextlib
import os
from pathlib import Path

_LAYOUT = "NAME/VERSION/saved_model.pb"
_MODEL = "saved_model.pb"
_MOST = 2000  # folders that are looked into; somebody may name the root of the disk
_MAX_VERSION = 2**63 - 1


def checked_folder(directory):
    """Finds the folder of models, and refuses a folder that lies within one.

    Args:
        directory: path.

    Returns:
        `Path` without links.

    Raises:
        ValueError: if it is no folder, or is itself a model or a version of one.
        OSError: if the folder cannot be read.
    """
    try:
        folder = Path(os.path.expanduser(directory)).resolve()
    except RuntimeError as error:  # links in a circle
        raise ValueError(f"`directory` must be a folder of models. Received: directory={directory}, {error}") from error
    if folder.name == _MODEL:
        folder = folder.parent
    if not os.path.isdir(folder):
        a_file = "a file: of a trained model, tf-cyclegan export makes such a folder"
        found = a_file if os.path.exists(folder) else "which does not exist"
        raise ValueError(
            f"`directory` must be a folder of models, with {_LAYOUT}. Received: directory={directory}, {found}"
        )
    if os.path.exists(folder / _MODEL):
        raise ValueError(_version_itself(directory, folder))
    if versions(folder):
        raise ValueError(
            f"`directory` is itself a model; give the folder above it, {folder.parent}, which has {_LAYOUT}. "
            f"Received: directory={directory}"
        )
    return folder


def where_models_are(directory):
    """Says in a line what a folder holds instead of models that can be served.

    Args:
        directory: path that `checked_folder` takes.

    Returns:
        str, for the user.
    """
    folder = Path(os.path.expanduser(directory)).resolve()
    waiting = f"Waiting for {folder / _LAYOUT}"
    models = _nearest_models(folder)
    if models == folder:  # the repository has said why they failed
        return f"{waiting}: no model that is there can be loaded."
    if models:
        return f"{waiting}. There are models further below: tf-cyclegan serve {models}"
    if os.path.isdir(folder / "checkpoints"):
        return f"{waiting}. This is a run folder of training: tf-cyclegan export {folder} MODELS, then serve MODELS."
    return f"{waiting}: {'no folder there has one' if _below(folder) else 'there are no folders'}."


def versions(directory):
    """Finds the versions of a model: folders whose name is a number, which may begin with zeros.

    Args:
        directory: folder of the model; it need not exist.

    Returns:
        dict, number to path.

    Raises:
        OSError: if the folder cannot be read.
    """
    found = [path for path in _folders(directory) if path.name.isascii() and path.name.isdecimal()]
    return {int(path.name): path for path in sorted(found) if len(path.name) < 100 and int(path.name) <= _MAX_VERSION}


def file_marks(path):
    """Reads sizes and times of a version's files, which change while somebody copies or mends the version.

    Args:
        path: folder of the version.

    Returns:
        tuple, to be compared with an earlier one. It covers the two levels of a SavedModel. A file that cannot be read
        has the number of its error.
    """
    files = _entries(path)
    files += [file for folder in files for file in _entries(folder)]
    return tuple(sorted((str(file), *_mark(file)) for file in [path, *files]))


def _version_itself(directory, folder):
    if folder.name in {path.name for path in versions(folder.parent).values()}:
        advice = f"give the folder two above it, {folder.parent.parent}, which has {_LAYOUT}"
    else:
        advice = f"move it into a folder that has {_LAYOUT}, as models/{folder.name}/1, and give that folder, models"
    return f"`directory` is itself a version of a model; {advice}. Received: directory={directory}"


def _nearest_models(folder):
    """The first folder of models: this one, or one that lies one or two levels below and is soon found."""
    waiting = collections.deque([(folder, 0)])
    for _ in range(_MOST):
        if not waiting:
            break
        path, depth = waiting.popleft()
        if depth >= 2 and path.name.isdecimal() and os.path.exists(path / _MODEL):
            return path.parent.parent
        if depth < 4:
            waiting.extend((below, depth + 1) for below in sorted(_below(path)))
    return None


def _below(folder):
    with contextlib.suppress(OSError):
        return _folders(folder)
    return []


def _folders(directory):
    """The folders in a folder, which need not exist; links to folders count, and entries that cannot be looked at."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as entries:
        return [Path(entry.path) for entry in entries if _may_be_folder(entry)]
    return []


def _may_be_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, no permission, a disk that fails: opening it says why
        return True


def _entries(folder):
    with contextlib.suppress(OSError):
        return list(folder.iterdir())
    return []


def _mark(file):
    try:
        found = file.stat()
    except OSError as error:
        return (error.errno,)
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino  # the third changes with the rights
