"""The numbered folders of a model."""

import contextlib
import os
from pathlib import Path

_MAX_VERSION = 2**63 - 1


def _folders(directory):
    """The folders in one, links to folders too; none where it has gone."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir()]
    return []


def versions(directory):
    """The versions of a model: folders with a number for a name, which may begin with zeros.

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
    """Sizes and times of a version's files, which change while it is copied and when it is mended.

    Args:
        path: folder of the version.

    Returns:
        tuple, to be compared with an earlier one. It covers two levels, which is what a SavedModel has.

    Raises:
        OSError: if a folder cannot be read.
    """
    folders = [path, *_folders(path)]
    files = [entry for folder in folders if folder.is_dir() for entry in folder.iterdir()]
    return tuple(sorted((str(file), *_mark(file)) for file in files))


def _mark(file):
    with contextlib.suppress(FileNotFoundError):
        found = file.stat()
        return found.st_size, found.st_mtime_ns, found.st_ino
    return ()
