"""`from_pretrained` and `load_trained`: trained models of the package, a run folder, a file or an address."""

import functools
import os
from pathlib import Path

import keras

from tf_cyclegan import weights
from tf_cyclegan.models import TranslationModel
from tf_cyclegan.settings.checks import one_line
from tf_cyclegan.settings.user_errors import renamed
from tf_cyclegan.weights.import_model import import_model
from tf_cyclegan.weights.run_files import check_file, load_newest
from tf_cyclegan.weights.weight_files import is_weight_file

# A file in the folder of an exported model whose images are label maps.
TAKES_IDS_FILE = "assets.extra/takes_ids"
TAKEN = (
    "a run folder, a .keras file, a generator's weights, as latest_net_G.pth, a folder of weights or its http address, "
    f"or the name of bundled weights: {', '.join(weights.bundled_names())}"
)
_load_file = functools.partial(keras.models.load_model, compile=False)  # without optimizers: no training follows


def from_pretrained(name, dtype=None):
    """Loads a trained model, ready to translate.

    The weights `"emoji"` come with the package: a CycleGAN that shades flat emoji, and back.

    Args:
        name: str or path: the name of bundled weights; a folder that `save_pretrained` wrote, or its http address, from
            which it is downloaded once into the user's cache; or whatever `tf-cyclegan translate` takes, as a run
            folder or a `.keras` file.
        dtype: optional dtype or policy of the networks, for a name, a folder of weights or an address; other models
            have their own. Defaults to the ambient policy.

    Returns:
        `TranslationModel`, as a `CycleGAN`, not compiled. The discriminators of a
        name, a folder of weights or an address are new and not trained.

    Raises:
        ValueError: if there is no such model, or it is damaged.

    Example:
        >>> model = from_pretrained("emoji")
        >>> model.translate(np.zeros((1, 64, 64, 3)), "ab").shape
        TensorShape([1, 64, 64, 3])
    """
    bundled = weights.bundled_folder(name) if isinstance(name, str) else None
    folder = bundled or weights_folder(name, "name")
    if folder is not None:
        return read_model(lambda _: weights.read_pretrained(folder, dtype), name, "name")
    if dtype is not None:
        raise ValueError(f"`dtype` must be None for a model that has its own. Received: dtype={dtype!r}, name={name!r}")
    return load_trained(name, name="name")


def load_trained(path, report=lambda line: None, name="model"):
    """Loads a trained model, without its optimizers.

    Args:
        path: run folder (its newest checkpoint that can be read), `.keras` file, weights of another implementation's
            generator, as `latest_net_G.pth`, a folder of weights that `save_pretrained` wrote, its http address, or
            the name of bundled weights.
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
    if (folder := weights_folder(path, name)) is not None:
        return read_model(weights.read_pretrained, folder, name)
    path = Path(os.path.expanduser(path))
    if (path / "checkpoints").is_dir():
        model = _load_run(path, report, name)
    elif path.is_file() and path.suffix == ".keras":
        model = load_keras_file(path, name)
    elif is_weight_file(path):
        model, _ = import_model([path], report=report)
    else:
        missing = "" if path.exists() else ", there is no such file or folder"
        raise ValueError(f"`{name}` must be {TAKEN}. Received: {name}={str(path)!r}{missing}")
    if not isinstance(model, TranslationModel):
        raise ValueError(
            f"`{name}` must hold a whole model, as CycleGAN, not a network of one. "
            f"Received: {name}={str(path)!r} with {model.name!r}, a {type(model).__name__}"
        )
    return model


def is_model(path):
    """Whether a path, name or address is one that `load_trained` tries to read."""
    return weights_named(path) is not None or is_model_path(path)


def is_model_path(path):
    """Whether a path or address is one that `load_trained` tries to read; a name of bundled weights is not."""
    path = Path(path)
    return (
        weights.is_weights_folder(path)
        or weights.address_of(path) is not None
        or (path / "checkpoints").is_dir()
        or path.suffix == ".keras"
        or is_weight_file(path)
    )


def weights_named(path):
    """The folder of trained weights that a path, or the name of bundled weights, means.

    Args:
        path: str or path. A run folder of the same name comes first.

    Returns:
        `Path`, or None.
    """
    if weights.is_weights_folder(path):
        return Path(path)
    return None if (Path(path) / "checkpoints").is_dir() else weights.bundled_folder(path)


def weights_folder(path, name="model"):
    """The folder of `weights_named`, or of an address, once it is downloaded; errors call the argument `name`."""
    if (address := weights.address_of(path)) is None:
        return weights_named(os.path.expanduser(path))
    with renamed(name=name):
        return weights.downloaded(address)


def _load_run(folder, report, name):
    model, path, skipped = load_newest(folder / "checkpoints", _load_file)
    for damaged, reason in skipped:
        report(f"Passed over the damaged checkpoint {damaged}: {reason}")
    if model is None:
        raise ValueError(
            f"`{name}` must be a run with a checkpoint; there is none yet. Received: {name}={str(folder)!r}"
        )
    report(f"Taking {path}.")
    return model


def load_keras_file(path, name="model"):
    """The model or network in a `.keras` file, whose contents are compared with their checksums first.

    Args:
        path: the file.
        name: str, what errors call the argument. Defaults to `"model"`.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        ValueError: if the file cannot be read.
    """

    def checked(path):
        check_file(path)
        return _load_file(path)

    return read_model(checked, path, name)


def read_model(reader, path, name="model"):
    """Reads a model's file or folder by `reader`.

    Raises:
        ValueError: if it fails, in one line; a damaged model fails in any of the readers' ways.
    """
    try:
        return reader(path)
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"`{name}` cannot be read: {one_line(error)}. Received: {name}={str(path)!r}") from error
