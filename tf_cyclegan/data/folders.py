"""Images in folders: the CycleGAN layout, or any two folders with a share held out for testing."""

import hashlib
import os
import pathlib
import re

from tf_cyclegan.images import EXTENSIONS

LAYOUTS = ("{split}{domain}", "{split}/{domain}")
Domain = tuple[list[str], list[pathlib.Path]]


def find(folder: str | os.PathLike, split: str, paired: bool = False) -> tuple[Domain, Domain]:
    """Finds both domains in `trainA`, `trainB`, `testA`, `testB`, or in `train/A`, `train/B`, `test/A`, `test/B`.

    Args:
        folder: folder that holds those folders.
        split: `"train"` or `"test"`.
        paired: whether both domains must have as many images. Defaults to `False`.

    Returns:
        `((names_a, paths_a), (names_b, paths_b))`, in natural order (2.png before 10.png) of the paths; the names are
        relative to `folder`.

    Raises:
        ValueError: if a domain has no images.
    """
    folder = pathlib.Path(folder)
    for layout in LAYOUTS:
        found = [folder / layout.format(split=split, domain=domain) for domain in "AB"]
        if all(path.is_dir() for path in found):
            domains = [_named(path, folder) for path in found]
            if all(names for names, _ in domains):
                _check_pairs(paired, *domains)
                return tuple(domains)
    raise ValueError(_nothing_found(folder, split))


def hold_out(
    folder_a: str | os.PathLike, folder_b: str | os.PathLike, split: str, test_share: float, paired: bool = False
) -> tuple[Domain, Domain]:
    """Takes one split of any two folders: a share of each, the same in every run, is held out for testing.

    Args:
        folder_a, folder_b: folders of images, searched recursively.
        split: `"train"` or `"test"`.
        test_share: share held out, in [0, 1).
        paired: whether image i of A belongs to image i of B. Defaults to `False`.

    Returns:
        As `find`; the names are relative to the folders.

    Raises:
        ValueError: if a folder is missing or has no images for the split.
    """
    if not 0 <= test_share < 1:
        raise ValueError(f"`test_share` must be in [0, 1). Received: test_share={test_share}")
    whole_a, whole_b = (_domain(folder, label) for folder, label in ((folder_a, "data_a"), (folder_b, "data_b")))
    _check_pairs(paired, whole_a, whole_b)
    domains = []
    for names, paths in (whole_a, whole_b):
        test = _test_indices(whole_a[0] if paired else names, test_share)
        chosen = [i for i in range(len(names)) if (i in test) == (split == "test")]
        domains.append(([names[i] for i in chosen], [paths[i] for i in chosen]))
    if not all(names for names, _ in domains):
        raise ValueError(
            f"`test_share` leaves no images for split={split!r}: data_a has {len(whole_a[0])} images, data_b "
            f"{len(whole_b[0])}. Received: test_share={test_share}"
        )
    return tuple(domains)


def list_images(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The image files below a folder, hidden ones left out, in natural order of their relative paths."""
    found, seen = [], set()
    for root, directories, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(root)) in seen:  # a link that leads round in a circle
            directories.clear()
            continue
        seen.add(real)
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        wanted = [name for name in files if not name.startswith(".") and name.lower().endswith(EXTENSIONS)]
        found += [pathlib.Path(root, name) for name in wanted]
    return sorted(found, key=lambda path: _natural(path.relative_to(folder).as_posix()))


def _natural(text):
    parts = [part for part in re.split(r"(\d+)", text) if part]
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], text


def _named(folder, base):
    paths = list_images(folder)
    return [path.relative_to(base).as_posix() for path in paths], paths


def _domain(folder, label):
    if not os.path.isdir(folder):
        raise ValueError(f"`{label}` must be a folder of images. Received: {label}={os.fspath(folder)!r}, not a folder")
    names, paths = _named(pathlib.Path(folder), folder)
    if not names:
        raise ValueError(f"`{label}` has no images ({_kinds()}). Received: {label}={os.fspath(folder)!r}")
    return names, paths


def _test_indices(names, share):
    """A share of the images by the hash of their names: new files move few of the old ones to the other split."""
    count = max(1, round(len(names) * share)) if share else 0
    order = sorted(range(len(names)), key=lambda i: hashlib.sha256(names[i].encode()).hexdigest())
    return set(order[:count])


def _check_pairs(paired, domain_a, domain_b):
    if paired and len(domain_a[0]) != len(domain_b[0]):
        raise ValueError(
            "`paired` needs as many images in A as in B, in the same order. "
            f"Received: {len(domain_a[0])} in A and {len(domain_b[0])} in B"
        )


def _nothing_found(folder, split):
    looked = [folder / layout.format(split=split, domain=domain) for layout in LAYOUTS for domain in "AB"]
    lines = "; ".join(f"{path}: {_describe(path)}" for path in looked)
    here = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return (
        f"`name` must be a folder with trainA, trainB, testA and testB (or train/A, ...) that hold images "
        f"({_kinds()}). For split={split!r} looked in {lines}. "
        f"Folders found in {folder}: {', '.join(here[:20]) or 'none'}. "
        "Any two folders of images can be given as `data_a` and `data_b`."
    )


def _describe(path):
    if not path.is_dir():
        return "missing"
    count = len(list_images(path))
    return f"{count} image{'s' * (count != 1)}" if count else "no images"


def _kinds():
    return ", ".join(extension[1:] for extension in EXTENSIONS)
