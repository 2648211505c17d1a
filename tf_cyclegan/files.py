"""Files that a reader, or a power cut, finds whole or not at all."""

import contextlib
import os
import tempfile
import uuid
from pathlib import Path


def check_writable(folder, name):
    """Raises `ValueError`, which names the argument, unless files can be written into a folder; leaves nothing.

    Args:
        folder: path; what is missing of it can be made.
        name: str, the argument.
    """
    folder = Path(folder)
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"`{name}` must be a folder to write to. Received: {str(folder)!r} ({reason})") from error
    finally:
        for made in missing:
            with contextlib.suppress(OSError):
                made.rmdir()


def write_whole(path, data):
    """Writes a file aside, brings it to the disk and renames it; an earlier one stays until then.

    Args:
        path: where to write; the folder must exist.
        data: bytes.

    Raises:
        OSError: if it cannot be written, with the name of the file; nothing is left behind.
    """
    with replacing(path) as aside, open(aside, "wb") as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path):
    """A path to write a file to, which takes the place of `path`, whole and on the disk, when the block has ended.

    Args:
        path: where the file is to stand; the folder must exist.

    Yields:
        Another path in the same folder, with the same suffix.
    """
    folder, name = os.path.split(os.fspath(path))
    aside = os.path.join(folder, f".{uuid.uuid4().hex}.{name}")
    try:
        yield aside
        sync(aside)
        os.replace(aside, path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, aside):  # a full disk is told without a name
            error.filename = os.fspath(path)
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)


def free_name(path):
    """`path` with a number behind it that no file or folder has yet, to move aside what stands there."""
    path, number = Path(path), 1
    while (aside := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return aside


def sync(path):
    """Waits until a file, or the names in a folder, are on the disk: a rename alone may outlive the contents."""
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if os.path.isdir(path) else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
