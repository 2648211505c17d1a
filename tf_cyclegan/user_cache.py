"""Folders that are made once and kept in the user's cache, where Keras keeps its downloads. Imports no TensorFlow."""

import atexit
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from pathlib import Path

from tf_cyclegan.files import sync, write_whole

_MANIFEST = "manifest.json"


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
