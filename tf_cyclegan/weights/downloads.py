"""Weights from an address: two files, fetched once and kept in the user's cache. Imports no TensorFlow."""

import hashlib
import http.client
import re
import urllib.error
import urllib.request

from tf_cyclegan.files import cached_folder, write_whole
from tf_cyclegan.settings.checks import one_line
from tf_cyclegan.weights.documents import DOCUMENT, DOCUMENT_BYTES, WEIGHTS, parse_document

_TIMEOUT = 30
# `pathlib` makes one slash of two.
_ADDRESS = re.compile(r"(https?):/+(.+)", re.DOTALL)


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
