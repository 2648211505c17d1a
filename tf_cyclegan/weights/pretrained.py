"""`save_pretrained` and `read_pretrained`: models as folders of settings in JSON and weights; no code is run."""

import hashlib
import json
import os
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_cyclegan import __version__
from tf_cyclegan.files import digest_of, write_whole
from tf_cyclegan.models import MODELS, model_name
from tf_cyclegan.settings.checks import check_choice, one_line
from tf_cyclegan.weights.pytorch import write_checkpoint
from tf_cyclegan.weights.pytorch.safetensors import read_header
from tf_cyclegan.weights.pytorch.tensors import read_arrays
from tf_cyclegan.weights.unreadable import Unreadable
from tf_cyclegan.weights.weight_folders import DOCUMENT, FORMAT, WEIGHTS, read_document

# Settings in a model's configuration that do not say what it computes.
_OF_OBJECTS = ("name", "dtype", "frozen")


def save_pretrained(model, path, license=None, command=None, scores=None, value_range=None, value_range_b=None):
    """Writes the generators of a trained model in half the bytes: a folder that `from_pretrained` takes.

    `model.json` says what the model is, and where it is from. `weights.safetensors` has the weights of its generators
    in float16. Discriminators and optimizers are left out. An earlier `model.json` and its weights are replaced, other
    files in the folder stay.

    Args:
        model: `TranslationModel` of `MODELS`, as `CycleGAN`, whose generators are made by its settings.
        path: the folder; it is made if it does not exist.
        license: optional str, the terms of the weights, and of the images that they were learned from.
        command: optional str, the command line that made them.
        scores: optional dict of JSON's types, the scores of the model.
        value_range, value_range_b: optional pairs `(low, high)` that the training read as -1 and 1 in domain A and in
            domain B, see `images.read_image`.

    Raises:
        ValueError: if the model has generators of its own, or is of another kind.
        OSError: if a file cannot be written.

    Example:
        >>> save_pretrained(model, "emoji", license="Apache-2.0")  # doctest: +SKIP
        >>> model = from_pretrained("emoji")  # doctest: +SKIP
    """
    check_choice("model", type(model).__name__, [kind.__name__ for kind in MODELS.values()])
    arrays = stored_arrays(model)
    document = {"format": FORMAT, "model": model_name(model), "settings": _settings(model)}
    _check_rebuilt(document, arrays)
    known = {"license": license, "command": command, "scores": scores}
    known |= {"value_range": value_range, "value_range_b": value_range_b}
    document |= {name: value for name, value in known.items() if value is not None}
    document["versions"] = {"tf_cyclegan": __version__, "tensorflow": tf.__version__, "keras": keras.__version__}
    _write(Path(os.path.expanduser(path)), document, arrays)


def _write(folder, document, arrays):
    """Writes the document last: until then the digest in an earlier document does not fit the new weights."""
    folder.mkdir(parents=True, exist_ok=True)
    write_checkpoint(folder / WEIGHTS, arrays)
    data = (folder / WEIGHTS).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    document["weights"] = {"file": WEIGHTS, "sha256": digest, "bytes": len(data), "dtype": "float16"}
    write_whole(folder / DOCUMENT, f"{json.dumps(document, indent=2, ensure_ascii=False)}\n".encode())


def stored_arrays(model):
    """The arrays that are written: the weights of all directions in half precision, by direction and place."""
    return {name: _halved(variable.numpy()) for name, variable in _variables(model).items()}


def _variables(model):
    """The weights of all directions, each once, by direction and place, as `ab.0.kernel`."""
    found, seen = {}, set()
    for direction in model.directions:
        for index, variable in enumerate(model.generator(direction).weights):
            if id(variable) not in seen:
                found[f"{direction}.{index}.{variable.name}"] = variable
            seen.add(id(variable))
    return found


def _halved(array):
    """The array as float16, where float16 holds its numbers."""
    largest = np.abs(array).max(initial=0) if array.dtype.kind == "f" else np.inf
    return array.astype("float16") if largest <= np.finfo("float16").max else array


def _settings(model):
    """The constructor's arguments without networks. Raises `ValueError` if the user gave a generator."""
    config = {name: value for name, value in model.get_config().items() if name not in _OF_OBJECTS}
    ours = {id(variable) for variable in _variables(model).values()}
    for name in set(config) & set(model.network_arguments):
        network = getattr(model, name)
        if ours & {id(variable) for variable in getattr(network, "variables", ())}:
            raise ValueError(
                f"`model` must have generators that its settings make. Received: one with its own `{name}`"
            )
        del config[name]
    return json.loads(json.dumps(config))


def _check_rebuilt(document, arrays):
    """Raises `ValueError` unless the document and the arrays make the model again."""
    try:
        _assign(_built(document, "float32"), arrays)
    except ValueError as error:
        raise ValueError(f"`model` cannot be made of its settings again: {one_line(error)}") from error


def read_pretrained(folder, dtype=None):
    """The model in a folder of trained weights.

    Args:
        folder: path, as `save_pretrained` writes it.
        dtype: optional dtype or policy of the networks. Defaults to the ambient policy.

    Returns:
        `TranslationModel` with trained generators, which translates as the one that was saved, up to the rounding of
        its weights to float16. Discriminators are new, and it is not compiled.

    Raises:
        ValueError: if the folder is damaged.
        OSError: if a file cannot be read.
    """
    folder = Path(os.path.expanduser(folder))
    document = read_document(folder)
    arrays = _read_arrays(folder / WEIGHTS, document["weights"])
    model = _built(document, dtype)
    _assign(model, arrays)
    return model


def _read_arrays(path, expected):
    size = path.stat().st_size
    if size != expected["bytes"] or digest_of(path) != expected["sha256"]:
        raise ValueError(f"its {WEIGHTS} is damaged: its digest is not the one in {DOCUMENT}")
    with open(path, "rb") as file:
        try:
            tensors, regions = read_header(file)
            return read_arrays(file, tensors, regions)
        except Unreadable as error:
            raise ValueError(f"its {WEIGHTS} is no safetensors file: {error}") from error


def _built(document, dtype):
    """A new model by its settings: none of them is an object, so none can bring code."""
    check_choice("model", document["model"], MODELS)
    kind, settings = MODELS[document["model"]], document["settings"]
    if any(isinstance(value, dict) for value in settings.values()) or set(settings) & set(kind.network_arguments):
        raise ValueError(f"the settings in its {DOCUMENT} must be numbers, text and lists of them")
    try:
        model = kind.from_config({**settings, "dtype": dtype})
    except TypeError as error:
        raise ValueError(f"a {kind.__name__} has other settings than its {DOCUMENT}: {one_line(error)}") from error
    model.to_last_stage()
    return model


def _assign(model, arrays):
    variables = _variables(model)
    found = {name: tuple(array.shape) for name, array in arrays.items()}
    wanted = {name: tuple(variable.shape) for name, variable in variables.items()}
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise ValueError(
                f"the weights do not fit the settings: {name} must have the shape {wanted.get(name)}. "
                f"Received: {found.get(name)}"
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])
