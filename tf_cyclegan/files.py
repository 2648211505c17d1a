"""Files written whole or not at all, and folders made once in the user's cache."""

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


def cached_folder(name, fill):
    """A folder of the user's cache, made where it is not there whole.

    It is filled aside and appears by one rename, with the digests of its files, which are compared before it is taken
    again. Where the cache cannot be written the folder is a temporary one, removed when the process ends.

    Args:
        name: str, the folder's place in the cache, as `"served/emoji"`.
        fill: callable, gets the path of an empty folder and writes what is to be kept.

    Returns:
        `Path` of the folder.

    Raises:
        Exception: those of `fill`; nothing is left behind.
    """
    path = cache_home() / name
    if _is_whole(path):
        return path
    aside = _folder_beside(path)
    folder = aside or _temporary_folder()
    try:
        fill(folder)
        return _put_in_place(aside, path) if aside else folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def cache_home():
    """The cache of this package: in `KERAS_HOME`, else `~/.keras`."""
    with contextlib.suppress(RuntimeError):  # no home
        return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "tf_cyclegan"
    return Path(os.devnull) / "tf_cyclegan"


def _folder_beside(path):
    """A new folder in the cache, or None where there can be none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError:
        return None


def _temporary_folder():
    folder = Path(tempfile.mkdtemp(prefix="tf_cyclegan-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _put_in_place(aside, path):
    """Another process may have been faster: its folder is then as good."""
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
    """Renamed first, so that nobody finds a part of it."""
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
    """SHA-256 of every file by its path in the folder."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / _MANIFEST)
    return {file.relative_to(folder).as_posix(): digest_of(file) for file in files}


def digest_of(path):
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_tree(folder):
    for path in [*folder.rglob("*"), folder]:
        sync(path)
