"""Trained models from where runs and users keep them: a run folder or a `.keras` file."""

import functools
from pathlib import Path

import keras

from tf_cyclegan import callbacks
from tf_cyclegan.checks import one_line
from tf_cyclegan.importing import import_model, is_weight_file
from tf_cyclegan.models import TranslationModel

# Lies beside an exported model whose images are label maps.
TAKES_IDS_FILE = "assets.extra/takes_ids"
_load_file = functools.partial(keras.models.load_model, compile=False)  # no optimizers: nothing is trained on


def load_trained(path, report=lambda line: None, name="model"):
    """Loads a trained model, without its optimizers.

    Args:
        path: run folder (its newest checkpoint that can be read), `.keras` file, or weights of another implementation's
            generator, as `latest_net_G.pth`.
        report: callable that gets a line of text for what is taken and each damaged checkpoint passed over. Defaults
            to nothing.
        name: str, what errors call the argument. Defaults to `"model"`.

    Returns:
        `TranslationModel`.

    Raises:
        ValueError: if there is no model of this package that can be read.

    Example:
        >>> generator = load_trained("runs/horse2zebra").generator("ab")  # doctest: +SKIP
    """
    path = Path(path)
    if (path / "checkpoints").is_dir():
        model = _load_run(path, report, name)
    elif path.is_file() and path.suffix == ".keras":
        model = _load_keras(path, name)
    elif is_weight_file(path):
        model, _ = import_model([path], report=report)
    else:
        missing = "" if path.exists() else ", there is no such file or folder"
        raise ValueError(
            f"`{name}` must be a run folder, a .keras file, or a generator's weights, as latest_net_G.pth. "
            f"Received: {name}={str(path)!r}{missing}"
        )
    if not isinstance(model, TranslationModel):
        raise ValueError(
            f"`{name}` must hold a whole model, as CycleGAN, not a network of one. "
            f"Received: {name}={str(path)!r} with {model.name!r}, a {type(model).__name__}"
        )
    return model


def _load_run(folder, report, name):
    model, path, skipped = callbacks.load_newest(folder / "checkpoints", _load_file)
    for damaged, reason in skipped:
        report(f"Passed over the damaged checkpoint {damaged}: {reason}")
    if model is None:
        raise ValueError(
            f"`{name}` must be a run with a checkpoint; there is none yet. Received: {name}={str(folder)!r}"
        )
    report(f"Taking {path}.")
    return model


def _load_keras(path, name):
    def checked(path):
        callbacks.check_file(path)
        return _load_file(path)

    return read_model(checked, path, name)


def read_model(reader, path, name="model"):
    """What `reader` makes of a model's file or folder.

    Raises:
        ValueError: if it fails, in one line; a damaged model fails in any of the readers' ways.
    """
    try:
        return reader(path)
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"`{name}` cannot be read: {one_line(error)}. Received: {name}={str(path)!r}") from error
