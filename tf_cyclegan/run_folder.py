"""The folder of a run: one process at a time, what an earlier run left, and the settings."""

import contextlib
import json
from pathlib import Path

import filelock

from tf_cyclegan.files import free_name, write_whole

_LOCK = ".lock"


@contextlib.contextmanager
def held(folder, resume, report):
    """The run folder, made if it does not exist and held for this process alone, until the block has ended.

    The system lets go of it when a process is killed: nothing is to be cleaned up.

    Args:
        folder: run folder.
        resume: bool, whether an earlier run in it stays; otherwise it is moved aside.
        report: callable, takes lines of text.

    Raises:
        ValueError: if another process holds it.
    """
    folder = Path(folder)
    if not resume and folder.exists():
        with _locked(folder):
            aside = free_name(folder)
            folder.rename(aside)
        report(f"Moved the earlier run to {aside}.")
    with _locked(folder):
        yield


@contextlib.contextmanager
def _locked(folder):
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise ValueError(
            f"`output_dir` {folder} is in use: another process is training there. Stop it, or take another --output-dir"
        ) from error
    try:
        yield
    finally:
        lock.release()


def write_config(folder, settings):
    """Writes `config.json`.

    Args:
        folder: run folder.
        settings: dict of what JSON knows.
    """
    write_whole(Path(folder) / "config.json", f"{json.dumps(settings, indent=2)}\n".encode())
