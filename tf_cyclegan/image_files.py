"""Image files as streams: what is opened at all, and what is said of files that are no images."""

import contextlib
import io
import os
import re
import stat
import struct

from PIL import Image

from tf_cyclegan.checks import one_line

# What is opened: formats PIL decodes but nobody trains on (PDF, EPS, video) stay closed.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM")
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
}


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
        start = stream.read(16)
    if not start:
        return "an empty file"
    known = (kind for pattern, kind in BEGINNINGS.items() if re.match(pattern, start, re.DOTALL))
    return next(known, f"a file that begins with {start!r}")


def _too_large(size):
    return f"{size} pixels, more than the {Image.MAX_IMAGE_PIXELS} that are safe to decode. Shrink or cut the image"
