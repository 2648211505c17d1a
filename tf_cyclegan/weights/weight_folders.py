"""Folders of trained weights: bundled with the package, local, or downloaded and checked."""

import hashlib
import http.client
import json
import re
import urllib.error
import urllib.request
from pathlib import Path

from tf_cyclegan.files import cached_folder, write_whole
from tf_cyclegan.settings.checks import one_line

DOCUMENT = "model.json"
WEIGHTS = "weights.safetensors"
FORMAT = 1
# The bundled weights that are taken where no model is named.
DEFAULT = "emoji"
# Larger files are no such documents: a CycleGAN's has 3 kB.
DOCUMENT_BYTES = 2**20
_FIELDS = {"format": int, "model": str, "settings": dict, "weights": dict}
_OF_WEIGHTS = {"sha256": str, "bytes": int}
_TIMEOUT = 30
# `pathlib` makes one slash of two.
_ADDRESS = re.compile(r"(https?):/+(.+)", re.DOTALL)


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
    """Reads the `model.json` of a folder of trained weights.

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
    """Reads the bytes of a `model.json`, see `read_document`."""
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


def address_of(path):
    """The http address that a str or path means.

    Args:
        path: anything.

    Returns:
        str without a slash or `model.json` at its end, or None.
    """
    match = _ADDRESS.fullmatch(path if isinstance(path, str) else getattr(path, "as_posix", str)())
    return f"{match[1]}://{match[2]}".removesuffix(f"/{DOCUMENT}").rstrip("/") if match else None


def downloaded(address):
    """The folder of weights at an address, downloaded once.

    Args:
        address: str, of a folder with `model.json` and `weights.safetensors`.

    Returns:
        `Path` of a folder in the user's cache.

    Raises:
        ValueError: if it cannot be fetched, or is damaged; nothing is kept.
    """
    name = address.rpartition("/")[2] or "weights"
    key = hashlib.sha256(address.encode()).hexdigest()[:16]
    return cached_folder(f"weights/{re.sub('[^A-Za-z0-9_-]', '_', name)[:40]}-{key}", lambda f: _fetch(address, f))


def _fetch(address, folder):
    data = _get(f"{address}/{DOCUMENT}", DOCUMENT_BYTES)
    try:
        document = parse_document(data)
    except ValueError as error:
        raise ValueError(f"`name` has no weights: {error}. Received: {address}/{DOCUMENT}") from error
    write_whole(folder / DOCUMENT, data)
    expected = document["weights"]
    weights = _get(f"{address}/{WEIGHTS}", expected["bytes"])
    if hashlib.sha256(weights).hexdigest() != expected["sha256"]:
        raise ValueError(
            f"`name` has damaged weights: their digest is not the one in {DOCUMENT}. Received: {address}/{WEIGHTS}"
        )
    write_whole(folder / WEIGHTS, weights)


def _get(url, most):
    """The bytes at an address, at most `most + 1`: more than `most` show that there are too many."""
    request = urllib.request.Request(url, headers={"User-Agent": "tf_cyclegan"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as reply:
            return reply.read(most + 1)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        code = f"HTTP {error.code}: " if isinstance(error, urllib.error.HTTPError) else ""
        raise ValueError(f"`name` cannot be downloaded: {code}{one_line(reason)}. Received: {url}") from error
