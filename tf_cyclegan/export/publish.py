"""Versions of a model: each is a folder with a number, complete from the moment it can be seen."""

import contextlib
import errno
import os
import re
import shutil
import uuid

from tf_cyclegan.files import sync

_VERSION = re.compile(r"[0-9]+")


def publish_version(directory, write, keep=None):
    """Publishes the next version of a model, whole or not at all.

    A server looks for folders whose names are numbers and loads them at once. So the version is written beside them,
    in a folder of the same file system, brought to the disk, and appears by one rename. An existing version is never
    touched, and one that fails leaves nothing.

    Args:
        directory: folder of the model; it is made if it does not exist.
        write: callable, gets a path where nothing is yet, and writes and checks the version there.
        keep: optional int of at least 1, newest versions that stay. Defaults to None, all.

    Returns:
        str, the path of the new version.

    Raises:
        OSError: if it cannot be written.
    """
    directory = os.path.expanduser(directory)
    created = not os.path.isdir(directory)
    os.makedirs(directory, exist_ok=True)
    aside = os.path.join(directory, f".tmp-{uuid.uuid4().hex}")
    try:
        write(aside)
        _sync_tree(aside)
        path = _rename_to_next(aside, directory)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        if created:
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        raise
    for version in versions(directory)[:-keep] if keep else ():
        _remove(directory, version)
    return path


def versions(directory):
    """The names of the versions in a model's folder, the newest last."""
    names = os.listdir(directory) if os.path.isdir(directory) else []
    return sorted(filter(_VERSION.fullmatch, names), key=int)


def _rename_to_next(aside, directory):
    """Another export may take a number first; a rename onto its folder, which is not empty, fails."""
    while True:
        path = os.path.join(directory, str(max(map(int, versions(directory)), default=0) + 1))
        try:
            os.rename(aside, path)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        else:
            sync(directory)
            return path


def _remove(directory, version):
    """Renamed first: a server must not find half a version."""
    aside = os.path.join(directory, f".old-{uuid.uuid4().hex}")
    os.rename(os.path.join(directory, version), aside)
    shutil.rmtree(aside)


def _sync_tree(path):
    for folder, _, names in os.walk(path):
        for name in names:
            sync(os.path.join(folder, name))
        sync(folder)
