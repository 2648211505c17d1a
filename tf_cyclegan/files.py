"""Files that a reader, or a power cut, finds whole or not at all."""

import contextlib
import os
import uuid


def write_whole(path, data):
    """Writes a file aside, brings it to the disk and renames it; an earlier one stays until then.

    Args:
        path: where to write; the folder must exist.
        data: bytes.

    Raises:
        OSError: if it cannot be written; nothing is left behind.
    """
    folder, name = os.path.split(os.fspath(path))
    aside = os.path.join(folder, f".{name}.{uuid.uuid4().hex}")
    try:
        with open(aside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)


def sync(path):
    """Waits until a file, or the names in a folder, are on the disk: a rename alone may outlive the contents."""
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if os.path.isdir(path) else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
