"""Which numbers a translation is written in: as deep as its image, in the units of its domain, as the format allows."""

import dataclasses

import numpy as np

from tf_cyclegan.data.images import to_uint8
from tf_cyclegan.data.value_ranges import as_text, from_unit, holds, range_in, range_of

ARRAY = ".npy"
_TIFF = (".tif", ".tiff")
# What --format can ask for: suffixes, the first of which is given to files that have none of them, and the depth.
FORMATS = {
    "png": ((".png",), "uint8"),
    "png16": ((".png",), "uint16"),
    "tif": (_TIFF, "uint8"),
    "tif16": (_TIFF, "uint16"),
    "tif32": (_TIFF, "float32"),
    "jpg": ((".jpg", ".jpeg", ".jpe", ".jfif"), "uint8"),
    "webp": ((".webp",), "uint8"),
    "bmp": ((".bmp",), "uint8"),
    "npy": ((ARRAY,), "float32"),
}
# What gray image files hold beside 8 bits.
_DEEP = {**dict.fromkeys((".png", ".pgm", ".pnm"), ("uint16",)), **dict.fromkeys(_TIFF, ("uint16", "int32", "float32"))}


@dataclasses.dataclass(frozen=True)
class Numbers:
    """How a file holds a translation.

    Args:
        dtype: NumPy's data type.
        value_range: `(low, high)`, what -1 and 1 become.
        note: optional str, what is to be said of such images. Defaults to None.
    """

    dtype: np.dtype
    value_range: tuple
    note: str | None = None

    def __call__(self, images):
        """The numbers of a float array in [-1, 1]."""
        return to_uint8(images) if self.dtype == np.uint8 else from_unit(images, self.value_range, self.dtype)


def numbers_of(suffix, channels=1, stored=None, value_range=None, depth=None):
    """The `Numbers` of a translation.

    Args:
        suffix: str, that of its file.
        channels: int, those of the translation.
        stored: data type of the image, as `images.stored_type` reads it. Defaults to 8 bits.
        value_range: optional `(low, high)`, the units of the translation's domain.
        depth: optional name of a data type, in the place of that of the image.

    Returns:
        `Numbers`. Where integers cannot hold the units they are floats, if the format has those; else all values that
        the integers have stand for the range, which the note says.
    """
    suffix, stored = suffix.lower(), np.dtype(stored or "uint8")
    wanted = np.dtype(depth or stored)
    if suffix == ARRAY:
        keeps = wanted.kind in "iu" and wanted.itemsize in (2, 4) and holds(wanted, value_range)
        return _exact(wanted if keeps else np.dtype("float32"), value_range)
    deep = [np.dtype(name) for name in _DEEP.get(suffix, ()) if channels == 1]
    if wanted.itemsize == 1 or not deep:
        return Numbers(np.dtype("uint8"), (0, 255), _in_eight_bits(stored, value_range))
    dtype = wanted if wanted in deep else deep[0]
    return _exact(dtype if depth or holds(dtype, value_range) else deep[-1], value_range)


def check_depth(kind, channels):
    """Raises `ValueError` unless a format has its depth for images of so many channels.

    Args:
        kind: name in `FORMATS`.
        channels: int, those of the translations.
    """
    suffixes, depth = FORMATS[kind]
    if numbers_of(suffixes[0], channels, depth=depth).dtype != np.dtype(depth):
        raise ValueError(
            f"`format` must be npy, or one of 8 bits, as png: {kind} holds gray alone, and the model gives images of "
            f"{channels} channels. Received: format={kind!r}"
        )


def _exact(dtype, value_range):
    if dtype.kind == "f":
        return Numbers(dtype, value_range or (-1, 1))
    found = range_in(dtype, value_range)
    if value_range in (None, found):
        return Numbers(dtype, found)
    return Numbers(
        dtype,
        found,
        f"whose values the format cannot hold: {as_text(found)} stands for {as_text(value_range)}. --format=tif32 or "
        "npy holds them",
    )


def _in_eight_bits(stored, value_range):
    if stored.itemsize == 1:
        return None
    low, high = value_range or ((-1, 1) if stored.kind == "f" else range_of(stored))
    return f"of more than 8 bits, written in 8: {low:.10g} is black, {high:.10g} white. --format=npy holds more"
