"""The folder that is to be served: what it is where it is not one of models, and what to give instead."""

import collections
import contextlib
import os
from pathlib import Path

from tf_cyclegan.serving.versions import folders, versions

LAYOUT = "NAME/VERSION/saved_model.pb"
_MODEL = "saved_model.pb"
_MOST = 2000  # folders that are looked into; somebody may give the whole disk


def checked_folder(directory):
    """The folder of models, unless it is a folder within it.

    Args:
        directory: path.

    Returns:
        `Path`, with links followed.

    Raises:
        ValueError: if it is no folder, or is itself a model or a version of one.
        OSError: if it cannot be read.
    """
    try:
        folder = Path(os.path.expanduser(directory)).resolve()
    except RuntimeError as error:  # links that go in a circle
        raise ValueError(f"`directory` must be a folder of models. Received: directory={directory}, {error}") from error
    if folder.name == _MODEL:
        folder = folder.parent
    if not os.path.isdir(folder):
        a_file = "a file: of a trained model, tf-cyclegan export makes such a folder"
        found = a_file if os.path.exists(folder) else "which does not exist"
        raise ValueError(
            f"`directory` must be a folder of models, with {LAYOUT}. Received: directory={directory}, {found}"
        )
    if os.path.exists(folder / _MODEL):
        raise ValueError(_version_itself(directory, folder))
    if versions(folder):
        raise ValueError(
            f"`directory` is itself a model; give the folder above it, {folder.parent}, which has {LAYOUT}. "
            f"Received: directory={directory}"
        )
    return folder


def _version_itself(directory, folder):
    if folder.name in {path.name for path in versions(folder.parent).values()}:
        advice = f"give the folder two above it, {folder.parent.parent}, which has {LAYOUT}"
    else:
        advice = f"move it into a folder that has {LAYOUT}, as models/{folder.name}/1, and give that folder, models"
    return f"`directory` is itself a version of a model; {advice}. Received: directory={directory}"


def where_models_are(directory):
    """What a folder in which nothing is served has instead of models.

    Args:
        directory: path that `checked_folder` takes.

    Returns:
        str, a line for people.
    """
    folder = Path(os.path.expanduser(directory)).resolve()
    waiting = f"Waiting for {folder / LAYOUT}"
    models = _nearest_models(folder)
    if models == folder:  # why they failed has been said
        return f"{waiting}: no model that is there can be loaded."
    if models:
        return f"{waiting}. There are models further below: tf-cyclegan serve {models}"
    if os.path.isdir(folder / "checkpoints"):
        return f"{waiting}. This is a run folder of training: tf-cyclegan export {folder} MODELS, then serve MODELS."
    return f"{waiting}: {'no folder there has one' if _below(folder) else 'there are no folders'}."


def _nearest_models(folder):
    """The first folder of models, this one or one or two levels below, where it is soon found."""
    waiting = collections.deque([(folder, 0)])
    for _ in range(_MOST):
        if not waiting:
            break
        path, depth = waiting.popleft()
        if depth >= 2 and path.name.isdecimal() and os.path.exists(path / _MODEL):
            return path.parent.parent
        if depth < 4:
            waiting.extend((below, depth + 1) for below in sorted(_below(path)))
    return None


def _below(folder):
    with contextlib.suppress(OSError):
        return folders(folder)
    return []
