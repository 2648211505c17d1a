"""Files that are written whole or not at all, and folders that are made once in the user's cache."""

import atexit
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from pathlib import Path

_MANIFEST = "manifest.json"


# ---- whole files ----


def write_whole(path, data):
    """Writes a file under another name, syncs it to the disk and renames it; an earlier file stays until then.

    Args:
        path: where to write; the folder must exist.
        data: bytes.

    Raises:
        OSError: if the file cannot be written, with the name of the file; nothing is left behind.
    """
    with replacing(path) as aside, open(aside, "wb") as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path):
    """Yields another path for a file; when the block ends, the file is synced to the disk and renamed to `path`.

    Args:
        path: where the file will be; the folder must exist.

    Yields:
        Path in the same folder, with the same suffix.
    """
    folder, name = os.path.split(os.fspath(path))
    aside = os.path.join(folder, f".{uuid.uuid4().hex}.{name}")
    try:
        yield aside
        sync(aside)
        os.replace(aside, path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, aside):  # the error of a full disk has no name
            error.filename = os.fspath(path)
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)


def sync(path):
    """Waits until a file, or the names in a folder, are on the disk: a rename may reach it before the contents do."""
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if os.path.isdir(path) else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def free_name(path):
    """`path` with a number at its end that makes it new, to move aside the file or folder at `path`."""
    path, number = Path(path), 1
    while (aside := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return aside


def digest_of(path):
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(folder, name):
    """Raises `ValueError` unless files can be written into a folder, or into a new folder there; leaves nothing behind.

    Args:
        folder: path.
        name: str, the argument that the error names.
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


# ---- folders in the cache ----


def cached_folder(name, fill):
    """A folder of the user's cache, made if it is missing or damaged.

    It is filled under another name and renamed at once, with the digests of its files, which are compared at the next
    use. If the cache cannot be written, the folder is a temporary one, which is removed when the process ends.

    Args:
        name: str, the folder's place in the cache, for example `"served/emoji"`.
        fill: callable, gets the path of an empty folder and writes the files.

    Returns:
        `Path` of the folder.

    Raises:
        Exception: the errors of `fill`; nothing is left behind.
    """
    path = cache_home() / name
    if _is_whole(path):
        return path
    aside = _new_folder_next_to(path)
    folder = aside or _temporary_folder()
    try:
        fill(folder)
        return _put_in_place(aside, path) if aside else folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def cache_home():
    """The cache of this package, in `KERAS_HOME` or `~/.keras`."""
    with contextlib.suppress(RuntimeError):  # the user has no home
        return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "tf_cyclegan"
    return Path(os.devnull) / "tf_cyclegan"


def _temporary_folder():
    folder = Path(tempfile.mkdtemp(prefix="tf_cyclegan-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _new_folder_next_to(path):
    """A new folder next to `path`, or None if the cache cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError:
        return None


def _put_in_place(aside, path):
    """Renames a folder to `path`, unless another process has made the same folder meanwhile."""
    digests = _digests(aside)
    write_whole(aside / _MANIFEST, json.dumps(digests, indent=2).encode())
    _sync_tree(aside)
    if path.exists() and not _is_whole(path):
        _remove(path)
    try:
        os.rename(aside, path)
    except OSError:
        if not _is_whole(path):
            raise
        shutil.rmtree(aside, ignore_errors=True)
    return path


def _remove(path):
    """Removes a folder or file, renamed first, so that no other process finds a part of it."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    os.rename(path, aside)
    shutil.rmtree(aside) if aside.is_dir() else aside.unlink()


def _is_whole(path):
    try:
        kept = json.loads((path / _MANIFEST).read_bytes())
        return kept == _digests(path)
    except (OSError, ValueError):
        return False


def _digests(folder):
    """Dict of the paths of files in a folder to their SHA-256."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / _MANIFEST)
    return {file.relative_to(folder).as_posix(): digest_of(file) for file in files}


def _sync_tree(folder):
    for path in [*folder.rglob("*"), folder]:
        sync(path)
