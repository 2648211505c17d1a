"""Which image files are translated, where each translation goes, and how it is written."""

import collections
import contextlib
import glob
import io
import itertools
import os
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from tf_cyclegan.data.folders import ARCHIVES, list_files
from tf_cyclegan.data.image_files import EXTENSIONS, FROM_SCAN, KINDS, SCANS, kind_of, left_out
from tf_cyclegan.files import replacing, write_whole
from tf_cyclegan.inference.image_depth import ARRAY, FORMATS, numbers_of
from tf_cyclegan.inference.inputs import Extras
from tf_cyclegan.settings.checks import one_line

NONE = Extras()
_SHOWN = 5
_JPEG, _TIFF, _PNM = {"format": "JPEG", "quality": 95}, {"format": "TIFF"}, {"format": "PPM"}
_ENCODINGS = {
    ".png": {"format": "PNG"},
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".jpe": _JPEG,
    ".jfif": _JPEG,
    ".webp": {"format": "WEBP", "lossless": True},
    ".bmp": {"format": "BMP"},
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".pgm": _PNM,
    ".ppm": _PNM,
    ".pnm": _PNM,
}
# The formats that hold gray or color alone.
_MODES = {".pgm": "L", ".ppm": "RGB"}
# The longest sides that formats can hold, of which one should hear before an hour's work, not after it.
_LONGEST = {".webp": 16383, **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), 65500)}
# What PIL raises of images that a format cannot hold. (It writes into memory: no disk can be full.)
_UNWRITABLE = (OSError, ValueError, OverflowError, struct.error)


def plan(source, output, overwrite=False, kind=None, report=lambda line: None):
    """Pairs every image with the file its translation goes to, and changes nothing.

    A folder, or the part of a pattern before its first wildcard, is laid out again below `output`: same folders, same
    names, same formats. What lies in an `output` inside that folder is no input, so that a second run does not
    translate the translations of the first. Hidden files are left out.

    Args:
        source: str, an image, a folder (with all folders inside) or a pattern as `"photos/**/*.jpg"`.
        output: path. For one image a file, whose suffix decides the format, or a folder: one that exists, or a path
            without a suffix. Otherwise a folder.
        overwrite: whether files that exist may be replaced; inputs never are. Defaults to False.
        kind: optional name in `FORMATS`, the format of translations. Defaults to that of the images.
        report: callable that gets a line on files that are no images. Defaults to nothing.

    Returns:
        List of `(image, translation)` paths.

    Raises:
        ValueError: if there are no images, files would be replaced, or two translations would be one file.

    Example:
        >>> plan("photos/trainA/1.jpg", "translated.png")  # doctest: +SKIP
        [(PosixPath('photos/trainA/1.jpg'), PosixPath('translated.png'))]
    """
    output = Path(output)
    pairs = _pair_one(Path(source), output) if os.path.isfile(source) else _pair_many(source, output, report)
    pairs = pairs if kind is None else _in_format(pairs, kind, output)
    _check_suffixes(pairs)
    _check_distinct(pairs)
    if not overwrite:
        _check_absent(pairs)
    return pairs


def root_of(source):
    """The folder that the names of images are relative to, of an input as `plan` takes it."""
    path = Path(source)
    if path.is_file():
        return path.parent
    return path if path.is_dir() else Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))


def missing(pairs):
    """The pairs of `plan` whose translation is not there: those that are were written whole."""
    return [(image, target) for image, target in pairs if not target.is_file()]


def save(path, image, numbers=None, extras=NONE):
    """Writes a translation in the format of its suffix, whole or not at all; missing folders are made.

    Args:
        path: where to write, with one of the suffixes of `image_files.EXTENSIONS`. JPEG has quality 95, WebP is
            lossless.
        image: float32 array `(height, width, channels)` in [-1, 1], for image files with 1 or 3 channels.
        numbers: optional `Numbers` to write. Defaults to 8 bits, to float32 in [-1, 1] for `.npy`.
        extras: `Extras` that the format can have. Defaults to nothing.

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
def writing(path, shape, numbers=None, extras=NONE):
    """Writes a translation that comes piece by piece, as `save` does: whole or not at all.

    Args:
        path, numbers, extras: as in `save`.
        shape: `(height, width, channels)`, of 1 or 3 channels for image files.

    Yields:
        Callable that takes the number of a row, and float rows `(rows, width, channels)` in [-1, 1] from it on, from
        the top down. What is to become an image file is kept as it is written, `.npy` is written as it comes.

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
    image, options = extras.applied(image)
    try:
        image.save(stream, **_ENCODINGS[suffix], **options)
    except _UNWRITABLE as error:
        raise ValueError(f"`output` must be another format than {suffix}: {one_line(error)}") from error
    return stream.getvalue()


# ---- pairs of inputs and outputs ----


def _pair_one(image, output):
    if (kind := kind_of(image.name)) in SCANS:
        raise ValueError(f"`input` must be {KINDS}. Received: {str(image)!r}, {SCANS[kind]}: {FROM_SCAN}")
    is_folder = output.is_dir() or not output.suffix
    if is_folder and image.suffix.lower() not in EXTENSIONS:
        is_archive = image.suffix.lower() in ARCHIVES
        kind = "an archive: unpack it and give the folder" if is_archive else "a file of another kind"
        raise ValueError(f"`input` must be {KINDS}, a folder or a pattern. Received: input={str(image)!r}, {kind}")
    return [(image, output / image.name if is_folder else output)]


def _in_format(pairs, kind, output):
    """The pairs with the suffix of a format where theirs is of another."""
    suffixes, _ = FORMATS[kind]
    if len(pairs) == 1 and pairs[0][1] == output and output.suffix.lower() not in suffixes:
        raise ValueError(f"`output` must end in {suffixes[0]} with `format` {kind}. Received: {str(output)!r}")
    return [
        (image, target if target.suffix.lower() in suffixes else target.with_suffix(suffixes[0]))
        for image, target in pairs
    ]


def _pair_many(source, output, report):
    if output.is_file() or (output.suffix.lower() in EXTENSIONS and not output.is_dir()):
        raise ValueError(f"`output` must be a folder when `input` is no single image. Received: output={str(output)!r}")
    root, images, others = _find(source)
    own = output.resolve()
    if root.resolve() in own.parents:
        images, others = ([file for file in files if own not in file.resolve().parents] for files in (images, others))
    line = left_out([file.name for file in others]) if others else ""
    if not images:
        kinds = ", ".join(extension[1:] for extension in EXTENSIONS)
        raise ValueError(f"`input` has no images ({kinds}). Received: input={source!r}{line and '; '}{line}")
    if others:
        report(f"{line[0].upper()}{line[1:]}.")
    return [(image, output / image.relative_to(root)) for image in images]


def _find(source):
    """The folder that names are relative to, the images below it, and other files."""
    root = root_of(source)
    if os.path.isdir(source):
        return root, *list_files(source)
    wild = Path(source).parts[len(root.parts) :]
    if not wild:
        raise ValueError(
            "`input` must be an image, a folder, or a pattern as 'photos/**/*.jpg'. "
            f"Received: input={source!r}, there is no such file or folder"
        )
    if ".." in wild:
        raise ValueError(f"`input` must have no '..' after a wildcard. Received: input={source!r}")
    found = {Path(name) for name in glob.iglob(str(Path(source)), recursive=True)}
    files = sorted(path for path in found if path.is_file())
    images = [path for path in files if path.suffix.lower() in EXTENSIONS]
    return root, images, [path for path in files if path.suffix.lower() not in EXTENSIONS]


def _check_suffixes(pairs):
    for _, target in pairs:
        if target.suffix.lower() not in EXTENSIONS:
            raise ValueError(
                f"`output` must be a folder that exists, or a file with one of the suffixes {', '.join(EXTENSIONS)}. "
                f"Received: {str(target)!r}"
            )


def _check_distinct(pairs):
    """Links in the output folder can make one file of two, or of a translation and an input."""
    inputs = {_place(image) for image, _ in pairs} | {image.resolve() for image, _ in pairs}
    counts = collections.Counter(_place(target) for _, target in pairs)
    for image, target in pairs:
        if _place(target) in inputs:
            raise ValueError(f"`output` must not replace an input: the translation of {image} would be {target}")
        if counts[_place(target)] > 1:
            raise ValueError(f"`output` must have a file for each image. Two of them would be {_place(target)}")


def _place(path):
    """The entry in a folder that writing to `path` replaces: links are followed to the folder, not from the file."""
    return path.parent.resolve() / path.name


def _check_absent(pairs):
    present = [str(target) for _, target in pairs if os.path.lexists(target)]
    if present:
        more = f" and {len(present) - _SHOWN:,} more" if len(present) > _SHOWN else ""
        raise ValueError(
            f"`output` has {len(present):,} of {len(pairs):,} translations already. `skip_existing` goes on with the "
            f"others, `overwrite` replaces them: {', '.join(present[:_SHOWN])}{more}"
        )
