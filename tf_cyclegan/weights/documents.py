"""Folders of trained weights: where they are, and what their `model.json` says. Imports no TensorFlow."""

import json
from pathlib import Path

DOCUMENT = "model.json"
WEIGHTS = "weights.safetensors"
FORMAT = 1
# What is taken where no model is named.
DEFAULT = "emoji"
# Larger files are no such documents: a CycleGAN's has 3 kB.
DOCUMENT_BYTES = 2**20

_FIELDS = {"format": int, "model": str, "settings": dict, "weights": dict}
_OF_WEIGHTS = {"sha256": str, "bytes": int}


def bundled_names():
    """The names of the weights that come with the package.

    Returns:
        Tuple of str.
    """
    return tuple(sorted(path.parent.name for path in Path(__file__).parent.glob(f"*/{DOCUMENT}")))


def bundled_folder(name):
    """The folder of bundled weights.

    Args:
        name: anything.

    Returns:
        `Path`, or None where `name` is no name of bundled weights.
    """
    return Path(__file__).parent / str(name) if str(name) in bundled_names() else None


def is_weights_folder(path):
    """Whether a path is a folder of trained weights, as `save_pretrained` writes them."""
    return (Path(path) / DOCUMENT).is_file()


def read_document(folder):
    """What a folder of trained weights says of them.

    Args:
        folder: path.

    Returns:
        dict with `format`, `model` (a key of `MODELS`), `settings` (of the model), `weights` (`file`, `sha256`,
        `bytes`, `dtype`), and where they are known `license`, `command`, `versions`, `scores`, `value_range`,
        `value_range_b`.

    Raises:
        ValueError: if it is not such a document, or of a later version.
        OSError: if it cannot be read.
    """
    with open(Path(folder) / DOCUMENT, "rb") as file:
        return parse_document(file.read(DOCUMENT_BYTES + 1))


def parse_document(data):
    """Reads the bytes of a document, see `read_document`."""
    try:
        document = json.loads(data) if len(data) <= DOCUMENT_BYTES else None
    except (ValueError, RecursionError):
        document = None
    if not _has(document, _FIELDS) or not _has(document["weights"], _OF_WEIGHTS):
        raise ValueError(f"its {DOCUMENT} is damaged, or not of weights that `save_pretrained` wrote")
    if document["format"] != FORMAT:
        raise ValueError(
            f"its {DOCUMENT} has the format {document['format']}, and this version of tf_cyclegan reads {FORMAT}"
        )
    return document


def _has(found, fields):
    return isinstance(found, dict) and all(type(found.get(name)) is kind for name, kind in fields.items())
