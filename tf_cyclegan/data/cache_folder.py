"""The folder of `cache="disk"`: files are written aside, and files that are left over or unused are removed."""

import contextlib
import os
import pathlib
import re
import time
import uuid

import filelock

# Names of files: images and their description; a file that is being written, and its lock.
_OURS = re.compile(r"[0-9a-f]{32}\.(bin|json|([0-9a-f]{32})(\.lock)?)")
_UNUSED = 30 * 86400  # seconds
# A file without a lock may be one that an earlier version of the package is still writing.
_STRAY = 86400


def default_folder() -> pathlib.Path:
    """Where `cache="disk"` keeps its files: `tf_cyclegan` in the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or os.path.join("~", ".cache")
    return pathlib.Path(base).expanduser() / "tf_cyclegan"


@contextlib.contextmanager
def writing(path):
    """A path next to `path` to write to. `clean` leaves it alone until the block ends, which removes it."""
    aside = path.with_suffix(f".{uuid.uuid4().hex}")
    lock = filelock.FileLock(f"{aside}.lock")
    lock.acquire()
    try:
        yield aside
    finally:
        _remove(aside, lock.lock_file)
        lock.release()


def reserve(path, size):
    """Makes a file with all its blocks on the disk: with holes in it, a full disk would kill the process (SIGBUS)."""
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            for start in range(0, size, 2**20):
                file.write(bytes(min(2**20, size - start)))


def mark_used(path):
    """Notes that the images of `path` are used now."""
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
    """Removes a file that is being written, unless its process is alive and holds the lock."""
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
