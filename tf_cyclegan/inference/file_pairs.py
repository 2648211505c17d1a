"""Which files are translated: pairs of an image and the file that its translation goes to."""

import collections
import glob
import itertools
import os
from pathlib import Path

from tf_cyclegan.data.folders import ARCHIVES, list_files
from tf_cyclegan.data.image_files import EXTENSIONS, FROM_SCAN, KINDS, SCANS, kind_of, left_out
from tf_cyclegan.inference.outputs import FORMATS

_SHOWN = 5


def plan(source, output, overwrite=False, kind=None, report=lambda line: None):
    """Pairs every image with the file its translation goes to, and changes nothing.

    The folders below a folder, or below the part of a pattern before its first wildcard, are made again below `output`:
    the same folders, names and formats. If `output` lies inside that folder, its files are no inputs, so that a second
    run does not translate the translations of the first. Hidden files are left out.

    Args:
        source: str, an image, a folder (with all folders inside) or a pattern as `"photos/**/*.jpg"`.
        output: path of a folder. For one image it may be a file, whose suffix decides the format; a path is a folder if
            the folder exists or the path has no suffix.
        overwrite: whether files that exist may be replaced; inputs are never replaced. Defaults to False.
        kind: optional name in `FORMATS`, the format of translations. Defaults to the format of each image.
        report: callable that gets a line about files that are no images. Defaults to nothing.

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
    """The folder that the names of images are relative to, for an input as `plan` takes it."""
    path = Path(source)
    if path.is_file():
        return path.parent
    return path if path.is_dir() else Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))


def missing(pairs):
    """The pairs of `plan` whose translation does not exist; a translation that exists is whole."""
    return [(image, target) for image, target in pairs if not target.is_file()]


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
    """The pairs, where translations with a suffix of another format get a suffix of this one."""
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
    """The folder that names are relative to, the images below it, and the other files below it."""
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
    """The entry in a folder that writing to `path` replaces: links to folders are followed, a link to a file is not."""
    return path.parent.resolve() / path.name


def _check_absent(pairs):
    present = [str(target) for _, target in pairs if os.path.lexists(target)]
    if present:
        more = f" and {len(present) - _SHOWN:,} more" if len(present) > _SHOWN else ""
        raise ValueError(
            f"`output` has {len(present):,} of {len(pairs):,} translations already. `skip_existing` goes on with the "
            f"others, `overwrite` replaces them: {', '.join(present[:_SHOWN])}{more}"
        )
