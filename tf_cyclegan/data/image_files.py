"""Image files, read with bounded memory; and headers of `.npy` checked against the file."""

import collections
import contextlib
import io
import math
import os
import re
import stat
import struct

import numpy as np
from PIL import Image

from tf_cyclegan.settings.checks import one_line

# What is opened: formats PIL decodes but nobody trains on (PDF, EPS, video) stay closed.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM")
# What is read, in words.
KINDS = "PNG, JPEG, WebP, BMP, TIFF, PGM, PPM or .npy"
# Of medicine, which has numbers with a unit: suffixes, and what they are.
SCANS = {".dcm": "DICOM", ".dicom": "DICOM", ".nii": "NIfTI", ".nii.gz": "NIfTI"}
FROM_SCAN = "save the numbers of each slice as .npy, and give --value-range"
# What PIL and NumPy raise for files that are broken (the warning only where warnings are errors).
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error, *BOMBS)
# How files begin, by what they are: to tell what was found where it is no image that can be read.
BEGINNINGS = {
    rb"GIF8": "a GIF; save it as PNG",
    rb"....ftyp": "a HEIF, AVIF or video file; save it as PNG",
    rb"%PDF": "a PDF; save its picture as PNG",
    rb"\s*<": "text, such as HTML or SVG",
    rb"\xff\xd8\xff": "a damaged JPEG",
    rb"\x89PNG": "a damaged PNG",
    rb"RIFF....WEBP": "a damaged WebP",
    rb"BM": "a damaged BMP",
    rb"II[*+]\x00|MM\x00[*+]": "a damaged TIFF",
    rb"P[2356]\s": "a damaged PGM or PPM",
    rb".{128}DICM": f"DICOM; {FROM_SCAN}",
    rb".{344}(n\+1|ni1)\x00": f"NIfTI; {FROM_SCAN}",
    rb"\x1f\x8b": f"a gzip file; unpack it. If it holds NIfTI, {FROM_SCAN}",
    rb"PK\x03\x04": "a zip file; unpack it",
}
_BEGINNING = 352  # bytes
# TIFF's tag of what a page is, and its bits.
_SUBFILE_TYPE, _REDUCED, _MASK = 254, 1, 4
MAGIC = b"\x93NUMPY"


@contextlib.contextmanager
def open_stream(file):
    """What a path or bytes hold, as a binary stream.

    Args:
        file: path of a regular file, or the `bytes` of one.

    Raises:
        ValueError: if the path leads to something else.
        OSError: if the file cannot be opened.
    """
    if isinstance(file, (bytes, bytearray, memoryview)):
        yield io.BytesIO(file)
        return
    if not stat.S_ISREG(os.stat(file).st_mode):  # to open a pipe would wait for its writer
        raise ValueError("a folder, pipe or device where a file was expected")
    with open(file, "rb") as stream:
        yield stream


def open_image(stream):
    """Opens an image file, refusing what PIL would only warn of.

    Args:
        stream: binary stream, at the beginning of the file.

    Returns:
        `PIL.Image.Image`, not yet decoded.

    Raises:
        ValueError: if it has more pixels than `PIL.Image.MAX_IMAGE_PIXELS`. Others of `UNREADABLE` if it is no image.
    """
    image = Image.open(stream, formats=FORMATS)
    limit = Image.MAX_IMAGE_PIXELS
    if limit and image.width * image.height > limit:
        raise ValueError(_too_large(f"{image.width}x{image.height}"))
    return image


def count_pages(file):
    """How many pages or frames a TIFF, PNG or WebP has, of which the first is read; 1 for other files.

    Smaller copies of a page and its mask, which TIFF keeps as pages as well, are not counted.
    """
    try:
        with open_stream(file) as stream:
            if is_npy(stream):
                return 1
            with open_image(stream) as image:
                pages = getattr(image, "n_frames", 1) if image.format in ("TIFF", "PNG", "WEBP") else 1
                return pages if image.format != "TIFF" else sum(_is_page(image, page) for page in range(pages))
    except UNREADABLE:  # reading it says why
        return 1


def _is_page(image, page):
    image.seek(page)
    kind = image.tag_v2.get(_SUBFILE_TYPE)
    return page == 0 or not (isinstance(kind, int) and kind & (_REDUCED | _MASK))


def unreadable(file, name, error, kind="image"):
    """What is raised of a file that cannot be read, in one line.

    Args:
        file: path, or the `bytes` of a file.
        name: what the file is called; `None` for its path.
        error: one of `UNREADABLE`.
        kind: what was to be read. Defaults to `"image"`.

    Returns:
        `ValueError`.
    """
    name = name or (os.fspath(file) if isinstance(file, (str, os.PathLike)) else f"{len(file)} bytes")
    return ValueError(f"Cannot read the {kind} {name}: {_reason(file, error)}")


def unreadable_in(error):
    """The words of `unreadable`, out of an error in which TensorFlow has wrapped them.

    Args:
        error: exception, such as reading a `tf.data.Dataset` raises.

    Returns:
        A line of text, or None if it is another error.
    """
    found = re.search(r"Cannot read the (image|label map) .*", str(error))
    return found and found[0]


def _reason(file, error):
    if isinstance(error, Image.UnidentifiedImageError):
        return f"not an image of a known kind ({', '.join(FORMATS)} or npy), but {_beginning(file)}"
    if isinstance(error, BOMBS):  # of twice the limit, which PIL refuses before it tells the size
        return _too_large(re.search(r"\d+", str(error))[0])
    if isinstance(error, MemoryError):
        return f"not enough memory. {one_line(error)}"
    if isinstance(error, ValueError) or getattr(error, "errno", None):
        return one_line(error)
    return f"damaged or cut short ({one_line(error)})"


def _beginning(file):
    with open_stream(file) as stream:
        start = stream.read(_BEGINNING)
    if not start:
        return "an empty file"
    known = (kind for pattern, kind in BEGINNINGS.items() if re.match(pattern, start, re.DOTALL))
    return next(known, f"a file that begins with {start[:16]!r}")


def kind_of(name):
    """The suffix of a file that is no image, in small letters: `.nii.gz` is one; `"no suffix"` where there is none."""
    name = os.path.basename(name).lower()
    return next((suffix for suffix in SCANS if name.endswith(suffix)), os.path.splitext(name)[1] or "no suffix")


def left_out(names):
    """How many files are no images, by their suffixes, in a line; and what is to be done about those of scanners.

    Args:
        names: list of file names.
    """
    counts = collections.Counter(map(kind_of, names))
    kinds = ", ".join(f"{kind} ({count:,})" for kind, count in counts.most_common())
    scans = sorted({SCANS[kind] for kind in counts if kind in SCANS})
    advice = f". {' and '.join(scans)}: {FROM_SCAN}" if scans else ""
    verb = "files that are" if len(names) != 1 else "file that is"
    return f"left out {len(names):,} {verb} no {KINDS}: {kinds}{advice}"


def _too_large(size):
    return f"{size} pixels, more than the {Image.MAX_IMAGE_PIXELS} that are safe to decode. Shrink or cut the image"


def is_npy(stream):
    """Whether a binary stream, which stays where it is, goes on with a `.npy` file."""
    start = stream.read(len(MAGIC))
    stream.seek(-len(start), os.SEEK_CUR)
    return start == MAGIC


def read_header(stream):
    """Reads the header of a `.npy` file.

    Args:
        stream: binary stream, at the beginning of the file; it is left at the beginning of the numbers.

    Returns:
        `(shape, dtype)`.

    Raises:
        ValueError: if it is no header, tells of Python objects, or of more than the file holds.
    """
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, _, dtype = read(stream)
    except Exception as error:  # NumPy takes the text for a Python expression, which fails in many ways
        raise ValueError("a .npy whose header is damaged") from error
    if dtype.hasobject:
        raise ValueError("a .npy of Python objects, which is never unpickled; expected numbers")
    if any(isinstance(side, bool) or side < 0 for side in shape):
        raise ValueError(f"a .npy whose header is damaged: shape {shape}")
    _check_length(stream, shape, dtype)
    return shape, dtype


def read(stream):
    """Reads the array that follows the header of a `.npy` file, from the beginning of the file.

    Raises:
        ValueError: as `read_header`.
    """
    start = stream.tell()
    read_header(stream)
    stream.seek(start)
    return np.load(stream, allow_pickle=False)


def _check_length(stream, shape, dtype):
    here = stream.tell()
    there = stream.seek(0, os.SEEK_END) - here
    stream.seek(here)
    needed = math.prod(shape) * dtype.itemsize
    if there < needed:
        raise ValueError(
            f"a .npy cut short: by its header of shape {shape} in {dtype}, which takes {needed:,} bytes, of which "
            f"{there:,} are there"
        )
