"""The numbered folders of a model."""

import contextlib
import os
from pathlib import Path

_MAX_VERSION = 2**63 - 1


def folders(directory):
    """The folders in one, links to folders too.

    Args:
        directory: path; it need not exist.

    Returns:
        list of `Path`, among them what cannot be looked at: whoever opens it learns why.

    Raises:
        OSError: if the folder cannot be read.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as entries:
        return [Path(entry.path) for entry in entries if _may_be_folder(entry)]
    return []


def _may_be_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, a place without permission, a disk that fails
        return True


def versions(directory):
    """The versions of a model: folders with a number for a name, which may begin with zeros.

    Args:
        directory: folder of the model; it need not exist.

    Returns:
        dict, number to path.

    Raises:
        OSError: if the folder cannot be read.
    """
    found = [path for path in folders(directory) if path.name.isascii() and path.name.isdecimal()]
    return {int(path.name): path for path in sorted(found) if len(path.name) < 100 and int(path.name) <= _MAX_VERSION}


def file_marks(path):
    """Sizes and times of a version's files, which change while it is copied and when it is mended.

    Args:
        path: folder of the version.

    Returns:
        tuple, to be compared with an earlier one. It covers two levels, which is what a SavedModel has. What cannot be
        read has the number of its error.
    """
    files = _entries(path)
    files += [file for folder in files for file in _entries(folder)]
    return tuple(sorted((str(file), *_mark(file)) for file in [path, *files]))


def _entries(folder):
    with contextlib.suppress(OSError):
        return list(folder.iterdir())
    return []


def _mark(file):
    try:
        found = file.stat()
    except OSError as error:
        return (error.errno,)
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino  # the third tells of changed rights
