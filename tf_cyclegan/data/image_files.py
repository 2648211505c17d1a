"""Image files before they are decoded: kinds, sizes, pages, and the words for files that are no images."""

import collections
import contextlib
import io
import os
import re
import stat
import struct

import numpy as np
from PIL import Image

from tf_cyclegan.data import npy_files
from tf_cyclegan.settings.checks import one_line

EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".pgm", ".ppm", ".pnm", ".npy"),
)
# The formats that are opened. PIL decodes others (PDF, EPS, video), which nobody trains on.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM")
# The kinds of files that are read, in words.
KINDS = "PNG, JPEG, WebP, BMP, TIFF, PGM, PPM or .npy"
# Suffixes of files of medical scanners, whose numbers have a unit, and their formats.
SCANS = {".dcm": "DICOM", ".dicom": "DICOM", ".nii": "NIfTI", ".nii.gz": "NIfTI"}
FROM_SCAN = "save the numbers of each slice as .npy, and give --value-range"
# What PIL and NumPy raise for files that are broken (the warning only where warnings are errors).
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error, *BOMBS)
# First bytes of files that are no readable images, and what these files are.
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
# TIFF's tag that says what a page is, and two of its bits.
_SUBFILE_TYPE, _REDUCED, _MASK = 254, 1, 4


@contextlib.contextmanager
def open_stream(file):
    """Opens a path, or bytes, as a binary stream.

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
            if npy_files.is_npy(stream):
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


def header_of(image):
    """The size and the data type of an opened image file, as `images.read_header` returns them."""
    height, width = image.height, image.width
    # For a PNG without EXIF data PIL would decode the whole image to look for them at its end.
    orientation = image.getexif().get(0x0112) if image.format != "PNG" or "exif" in image.info else None
    if orientation in (5, 6, 7, 8):  # the orientations that swap the sides
        height, width = width, height
    return height, width, "float32" if is_deep(image) else "uint8"


def type_of(image):
    """NumPy's data type of the numbers in an opened image file."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return np.dtype("uint16")
    return np.dtype({"I": "int32", "F": "float32"}.get(image.mode, "uint8"))


def is_deep(image):
    """Whether an image of PIL's has more than 8 bits in a channel."""
    return image.mode == "F" or image.mode.startswith("I")


def level_step(image):
    """The factor by which PIL multiplies the numbers of a gray file that do not take the whole range of their type.

    Args:
        image: image of PIL's that is not decoded yet.
    """
    if image.tile and image.tile[0][0].startswith("ppm") and isinstance(image.tile[0][3], tuple):
        _, white = image.tile[0][3]
        return (65535 if image.mode == "I" else 255) / white
    return {"L;2": 85, "L;4": 17}.get(_raw_mode(image).removesuffix("I"), 1)


def is_inverted(image):
    """Whether 0 is white in a gray file that is not decoded yet; PIL's 0 is black."""
    return _raw_mode(image).endswith("I")


def _raw_mode(image):
    """How the numbers stand in a file that is not decoded yet, in PIL's words; WebP has none."""
    arguments = image.tile[0][3] if image.tile else ""
    mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return mode if isinstance(mode, str) and ";" in mode else ""


def without_step(levels, step):
    """The numbers of a file, of which PIL has made `levels` by multiplying with `step`."""
    return levels if step == 1 else np.rint(levels / step).astype(levels.dtype)


def unreadable(file, name, error, kind="image"):
    """The error of a file that cannot be read, in one line.

    Args:
        file: path, or the `bytes` of a file.
        name: what the error calls the file; `None` for its path.
        error: one of `UNREADABLE`.
        kind: what the file should be. Defaults to `"image"`.

    Returns:
        `ValueError`.
    """
    name = name or (os.fspath(file) if isinstance(file, (str, os.PathLike)) else f"{len(file)} bytes")
    return ValueError(f"Cannot read the {kind} {name}: {_reason(file, error)}")


def unreadable_in(error):
    """Finds the line of `unreadable` in an error of TensorFlow that wraps it.

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


def _too_large(size):
    return f"{size} pixels, more than the {Image.MAX_IMAGE_PIXELS} that are safe to decode. Shrink or cut the image"


def kind_of(name):
    """The suffix of a file that is no image, in small letters: `.nii.gz` is one; `"no suffix"` where there is none."""
    name = os.path.basename(name).lower()
    return next((suffix for suffix in SCANS if name.endswith(suffix)), os.path.splitext(name)[1] or "no suffix")


def left_out(names):
    """A line on files that are no images: their number, their suffixes, and what to do about files of scanners.

    Args:
        names: list of file names.
    """
    counts = collections.Counter(map(kind_of, names))
    kinds = ", ".join(f"{kind} ({count:,})" for kind, count in counts.most_common())
    scans = sorted({SCANS[kind] for kind in counts if kind in SCANS})
    advice = f". {' and '.join(scans)}: {FROM_SCAN}" if scans else ""
    verb = "files that are" if len(names) != 1 else "file that is"
    return f"left out {len(names):,} {verb} no {KINDS}: {kinds}{advice}"
