"""How translations are written: in which numbers and formats, whole or strip by strip."""

import contextlib
import dataclasses
import io
import struct

import numpy as np
from PIL import Image

from tf_cyclegan.data.images import to_uint8
from tf_cyclegan.data.value_ranges import as_text, from_unit, holds, range_in, range_of
from tf_cyclegan.files import replacing, write_whole
from tf_cyclegan.settings.checks import one_line

ARRAY = ".npy"
JPEG, TIFF = (".jpg", ".jpeg", ".jpe", ".jfif"), (".tif", ".tiff")
# What --format can ask for: the suffixes of the format and the data type. A file with none of the suffixes gets the
# first of them.
FORMATS = {
    "png": ((".png",), "uint8"),
    "png16": ((".png",), "uint16"),
    "tif": (TIFF, "uint8"),
    "tif16": (TIFF, "uint16"),
    "tif32": (TIFF, "float32"),
    "jpg": (JPEG, "uint8"),
    "webp": ((".webp",), "uint8"),
    "bmp": ((".bmp",), "uint8"),
    "npy": ((ARRAY,), "float32"),
}
# The data types of more than 8 bits that gray image files can have.
_DEEP = {**dict.fromkeys((".png", ".pgm", ".pnm"), ("uint16",)), **dict.fromkeys(TIFF, ("uint16", "int32", "float32"))}
# What PIL's `save` takes for each suffix.
_ENCODINGS = {
    ".png": {"format": "PNG"},
    **dict.fromkeys(JPEG, {"format": "JPEG", "quality": 95}),
    ".webp": {"format": "WEBP", "lossless": True},
    ".bmp": {"format": "BMP"},
    **dict.fromkeys(TIFF, {"format": "TIFF"}),
    **dict.fromkeys((".pgm", ".ppm", ".pnm"), {"format": "PPM"}),
}
# The formats that hold only gray or only color.
_MODES = {".pgm": "L", ".ppm": "RGB"}
# The longest side that a format can hold: a user learns of it before an hour's work, not after it.
_LONGEST = {".webp": 16383, **dict.fromkeys(JPEG, 65500)}
# What PIL raises for images that a format cannot hold. It writes into memory: no disk can be full.
_UNWRITABLE = (OSError, ValueError, OverflowError, struct.error)


def save(path, image, numbers=None, extras=None):
    """Writes a translation in the format of its suffix, whole or not at all; missing folders are made.

    Args:
        path: where to write, with one of the suffixes of `data.image_files.EXTENSIONS`. JPEG has quality 95, WebP is
            lossless.
        image: float32 array `(height, width, channels)` in [-1, 1], for image files with 1 or 3 channels.
        numbers: optional `Numbers` to write. Defaults to 8 bits, and for `.npy` to float32 in [-1, 1].
        extras: optional `Extras` that the format can have. Defaults to None.

    Raises:
        ValueError: if the format cannot hold the image.
        OSError: if it cannot be written.
    """
    _check_sides(path, image.shape)
    numbers = numbers or numbers_of(path.suffix)
    data = _encoded(numbers(image), path.suffix.lower(), extras)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)


@contextlib.contextmanager
def writing(path, shape, numbers=None, extras=None):
    """Writes a translation that comes piece by piece, as `save` does: whole or not at all.

    Args:
        path, numbers, extras: as in `save`.
        shape: `(height, width, channels)`, of 1 or 3 channels for image files.

    Yields:
        Callable, the number of a row and float rows `(rows, width, channels)` in [-1, 1] from this row on; it is
        called from the top down. It writes rows of `.npy` at once, and keeps those of an image file until the end.

    Raises:
        ValueError: if the format cannot hold the image.
        OSError: if it cannot be written.
    """
    suffix = path.suffix.lower()
    _check_sides(path, shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = numbers or numbers_of(suffix)
    rows = _array_rows(path, shape, numbers) if suffix == ARRAY else _image_rows(path, shape, numbers, extras)
    with rows as write:
        yield write


def _check_sides(path, shape):
    suffix = path.suffix.lower()
    if max(shape[:2]) > _LONGEST.get(suffix, max(shape[:2])):
        raise ValueError(
            f"`output` must be another format than {suffix}, which ends at {_LONGEST[suffix]:,} pixels. Received: an "
            f"image of {shape[1]}x{shape[0]} pixels for {str(path)!r}"
        )


@contextlib.contextmanager
def _array_rows(path, shape, numbers):
    dtype = numbers.dtype.newbyteorder("<")
    header = {"descr": dtype.str, "fortran_order": False, "shape": tuple(shape)}
    with replacing(path) as aside:
        with open(aside, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            yield lambda first, rows: file.write(np.ascontiguousarray(numbers(rows), dtype).data)


@contextlib.contextmanager
def _image_rows(path, shape, numbers, extras):
    pixels = np.empty(shape, numbers.dtype)

    def write(first, rows):
        pixels[first : first + len(rows)] = numbers(rows)

    yield write
    write_whole(path, _encoded(pixels, path.suffix.lower(), extras))


def _encoded(pixels, suffix, extras):
    stream = io.BytesIO()
    if suffix == ARRAY:
        np.save(stream, pixels)
        return stream.getvalue()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if pixels.dtype == np.uint8:
        image = image.convert(_MODES.get(suffix, image.mode))
    image, options = extras.applied(image) if extras else (image, {})
    try:
        image.save(stream, **_ENCODINGS[suffix], **options)
    except _UNWRITABLE as error:
        raise ValueError(f"`output` must be another format than {suffix}: {one_line(error)}") from error
    return stream.getvalue()


# ---- the numbers of a translation ----


@dataclasses.dataclass(frozen=True)
class Numbers:
    """The numbers in which a file holds a translation.

    Args:
        dtype: NumPy's data type.
        value_range: `(low, high)`, what -1 and 1 become.
        note: optional str, what users should know of these files. Defaults to None.
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
        suffix: str, the suffix of its file.
        channels: int, its channels. Defaults to 1.
        stored: data type of the image, as `images.stored_type` reads it. Defaults to 8 bits.
        value_range: optional `(low, high)`, the units of the translation's domain. Defaults to None.
        depth: optional name of a data type, which replaces `stored`. Defaults to None.

    Returns:
        `Numbers`. Where integers cannot hold the units, they are floats if the format has floats; otherwise all values
        of the integers stand for the range, and the note says so.
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
    """Raises `ValueError` unless files of a format can have its data type for images of so many channels.

    Args:
        kind: name in `FORMATS`.
        channels: int, channels of the translations.
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
