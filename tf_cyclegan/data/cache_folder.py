"""The folder of `cache="disk"`: what killed runs left in it goes, and what nobody has used for long."""

import contextlib
import os
import re
import time
import uuid

import filelock

# The images and their description; what is being written, and the lock of who writes it.
_OURS = re.compile(r"[0-9a-f]{32}\.(bin|json|([0-9a-f]{32})(\.lock)?)")
_UNUSED = 30 * 86400  # seconds
# Without a lock a file may be of an earlier version that writes it still.
_STRAY = 86400


@contextlib.contextmanager
def writing(path):
    """A path to write to beside `path`, which is gone once the block has ended; `clean` leaves it alone until then."""
    aside = path.with_suffix(f".{uuid.uuid4().hex}")
    lock = filelock.FileLock(f"{aside}.lock")
    lock.acquire()
    try:
        yield aside
    finally:
        _remove(aside, lock.lock_file)
        lock.release()


def mark_used(path):
    """Notes when the images of `path` were last asked for."""
    file = path.with_suffix(".json")
    with contextlib.suppress(OSError):  # a folder that can only be read
        os.utime(file, ns=(time.time_ns(), file.stat().st_mtime_ns))


def clean(folder):
    """Removes what killed processes left in a folder, and images that nobody has used for a month.

    Args:
        folder: `pathlib.Path` of the folder.
    """
    for file in sorted(folder.iterdir()):
        kind = _OURS.fullmatch(file.name)
        if kind is None:
            continue
        if kind[3]:
            _remove_if_left(file)
        elif kind[1] == "json":
            if _age(file) > _UNUSED:
                _remove(file, file.with_suffix(".bin"))
        elif not (file.with_suffix(".json") if kind[1] == "bin" else _lock_of(file)).exists() and _age(file) > _STRAY:
            _remove(file)


def _lock_of(file):
    return file.with_name(f"{file.name}.lock")


def _remove_if_left(lock_file):
    """Removes what is being written, unless its process is alive and holds the lock."""
    lock = filelock.FileLock(lock_file)
    with contextlib.suppress(filelock.Timeout, RuntimeError, OSError):  # RuntimeError: held by this very process
        with lock.acquire(timeout=0):
            _remove(lock_file.with_suffix(""), lock_file)


def _age(file):
    with contextlib.suppress(OSError):
        status = file.stat()
        return time.time() - max(status.st_atime, status.st_mtime)
    return 0


def _remove(*files):
    for file in files:
        with contextlib.suppress(OSError):
            os.unlink(file)
