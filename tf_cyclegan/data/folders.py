"""Images in folders: the layouts of the data sets, or any two folders with a share held out for testing."""

import dataclasses
import difflib
import functools
import hashlib
import os
import pathlib
import re

from tf_cyclegan.data.image_files import EXTENSIONS, left_out
from tf_cyclegan.data.pairing import Files, match
from tf_cyclegan.settings.checks import check_share

# Layouts with a folder for each domain; their files can be paired by name.
TWO_FOLDERS = ("{split}{domain}", "{split}/{domain}", "{split}_{domain}")
# pix2pixHD's layout: label maps, photographs, and instance maps.
LABELS, PHOTOS, INSTANCES = "{split}_label", "{split}_img", "{split}_inst"
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
# Some data sets have no folder for "test".
FALLBACK = {"test": "val"}


@dataclasses.dataclass(frozen=True)
class Found:
    """The files of a split in a folder.

    Args:
        layout: `"folders"` (a folder for each domain), `"labels"` (label maps and photographs) or `"halves"` (A and B
            side by side in each file).
        split: `"train"`, `"test"` or, where there is no test folder, `"val"`.
        a, b: the `Files` of the domains; of halves both are the same.
        instances: the `Files` of the instance maps, or `None`.
    """

    layout: str
    split: str
    a: Files
    b: Files
    instances: Files | None = None

    @property
    def others(self) -> list[str]:
        """The names of the files that are no images."""
        parts = {files.folder: files for files in (self.a, self.b, self.instances) if files is not None}
        return [name for files in parts.values() for name in files.others]


def find(
    folder: str | os.PathLike, split: str, paired: bool = False, labels: bool = False, instances: bool = False
) -> Found:
    """Finds both domains of a split in a folder.

    The layouts are `trainA`, `trainB` (or `train/A`, ..., or `train_A`, ...), `train_label`, `train_img` (with
    `train_inst`), and images directly in `train`, each with A on the left and B on the right.

    Args:
        folder: folder that holds those folders.
        split: `"train"` or `"test"`; where nothing is found for `"test"`, `val` is looked for.
        paired: whether the files of `trainA` and `trainB` are matched by name. Defaults to `False`.
        labels: whether domain A holds label maps: `train_label` is then looked for first. Defaults to `False`.
        instances: whether `train_label` needs instance maps. Defaults to `False`.

    Returns:
        `Found`, in natural order (2.png before 10.png) of the paths; the names are relative to `folder`.

    Raises:
        ValueError: if the split is not there, or a file has no partner.
    """
    folder = pathlib.Path(folder)
    for found_split in filter(None, (split, FALLBACK.get(split))):
        finders = [functools.partial(_find_folders, paired=paired), _find_halves]
        finders.insert(0 if labels else 2, functools.partial(_find_labels, instances=instances))
        for finder in finders:
            if (found := finder(folder, found_split)) is not None:
                return found
    raise ValueError(_no_split(folder, split, finders) or _nothing_found(folder, split))


def hold_out(
    folder_a: str | os.PathLike, folder_b: str | os.PathLike, split: str, test_share: float, paired: bool = False
) -> Found:
    """Takes one split of any two folders: a share of each, the same in every run, is held out for testing.

    Args:
        folder_a, folder_b: folders of images, searched recursively.
        split: `"train"` or `"test"`.
        test_share: share held out, in [0, 1).
        paired: whether the files are matched by name, and held out in pairs. Defaults to `False`.

    Returns:
        `Found`; the names are relative to the folders.

    Raises:
        ValueError: if a folder is missing or has no images for the split, or a file has no partner.
    """
    check_share("test_share", test_share)
    whole = [_whole_folder(folder, label) for folder, label in ((folder_a, "data_a"), (folder_b, "data_b"))]
    _check_apart(folder_a, folder_b)
    if paired:
        whole = match(*whole)
    parts = []
    for files in whole:
        test = _test_indices((whole[0] if paired else files).names, test_share)
        parts.append(files.pick([i for i in range(len(files)) if (i in test) == (split == "test")]))
    if not all(parts):
        raise ValueError(
            f"`test_share` leaves no images for split={split!r}: data_a has {len(whole[0])} images, data_b "
            f"{len(whole[1])}. Received: test_share={test_share}"
        )
    return Found("folders", split, *parts)


def list_images(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The image files below a folder, hidden ones left out, in natural order of their relative paths."""
    return list_files(folder)[0]


def list_files(folder: str | os.PathLike) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """The files below a folder, hidden ones left out: images, in natural order of their relative paths, and others."""
    found, others, seen = [], [], set()
    for root, directories, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(root)) in seen:  # a link that leads round in a circle
            directories.clear()
            continue
        seen.add(real)
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in files:
            if not name.startswith("."):
                (found if _is_image(name) else others).append(pathlib.Path(root, name))
    return _sorted(found, folder), others


def why_no_folder(path: str | os.PathLike) -> str:
    """Why a path is no folder, in words."""
    path = pathlib.Path(path)
    if path.exists():
        archive = path.suffix.lower() in ARCHIVES
        return "which is an archive: unpack it and give the folder" if archive else "which is a file, not a folder"
    parent = next(folder for folder in path.absolute().parents if folder.is_dir())
    if parent != path.absolute().parent:
        return f"there is no such folder, not even {path.parent}"
    names = [entry.name for entry in parent.iterdir() if entry.is_dir()]
    close = difflib.get_close_matches(path.name, names, n=1)
    return "there is no such folder" + (f". Did you mean {str(path.with_name(close[0]))!r}?" if close else "")


def _find_folders(folder, split, paired):
    for layout in TWO_FOLDERS:
        domains = [_files(folder / layout.format(split=split, domain=domain), folder) for domain in "AB"]
        if all(domains):
            _check_apart(*(files.folder for files in domains))
            return Found("folders", split, *(match(*domains) if paired else domains))
    return None


def _find_labels(folder, split, instances):
    layouts = (LABELS, PHOTOS, INSTANCES)[: 3 if instances else 2]
    found = [_files(folder / layout.format(split=split), folder) for layout in layouts]
    return Found("labels", split, *match(*found)) if all(found) else None


def _find_halves(folder, split):
    """Only files directly in the folder: deeper ones may well be of another layout that is not whole."""
    found, others = _direct_files(folder / split)
    paths = _sorted(found, folder)
    files = Files(folder / split, [path.relative_to(folder).as_posix() for path in paths], paths, others)
    return Found("halves", split, files, files) if paths else None


def _files(path, base):
    """The files below `path`, none if it is no folder; named relative to `base`."""
    paths, others = list_files(path)
    return Files(path, [found.relative_to(base).as_posix() for found in paths], paths, [other.name for other in others])


def _direct_files(folder):
    """Images directly in a folder, and the names of other files."""
    entries = folder.iterdir() if folder.is_dir() else ()
    shown = [entry for entry in entries if not entry.name.startswith(".") and entry.is_file()]
    images = [entry for entry in shown if _is_image(entry.name)]
    return images, [entry.name for entry in shown if not _is_image(entry.name)]


def _is_image(name):
    return name.lower().endswith(EXTENSIONS)


def _sorted(paths, folder):
    return sorted(paths, key=lambda path: _natural(path.relative_to(folder).as_posix()))


def _natural(text):
    parts = [part for part in re.split(r"(\d+)", text) if part]
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], text


def _whole_folder(folder, label):
    if not os.path.isdir(folder):
        raise ValueError(
            f"`{label}` must be a folder of images. Received: {label}={os.fspath(folder)!r}, {why_no_folder(folder)}"
        )
    files = _files(pathlib.Path(folder), folder)
    if not files:
        raise ValueError(
            f"`{label}` has no images ({_kinds()}). Received: {label}={os.fspath(folder)!r}{_but(files.others)}"
        )
    return files


def _check_apart(folder_a, folder_b):
    """Raises `ValueError` if two folders are the same, or one lies in the other, also by links."""
    real_a, real_b = (pathlib.Path(os.path.realpath(folder)) for folder in (folder_a, folder_b))
    if real_a == real_b or real_a in real_b.parents or real_b in real_a.parents:
        what = "the same folder" if real_a == real_b else "one inside the other"
        raise ValueError(
            f"Domains A and B must be apart, in folders of their own (`data_a` and `data_b`, or trainA and trainB). "
            f"Received: {os.fspath(folder_a)} and {os.fspath(folder_b)}, which are {what}"
        )


def _test_indices(names, share):
    """A share of the images by the hash of their names: new files move few of the old ones to the other split."""
    count = max(1, round(len(names) * share)) if share else 0
    order = sorted(range(len(names)), key=lambda i: hashlib.sha256(os.fsencode(names[i])).hexdigest())
    return set(order[:count])


def _no_split(folder, split, finders):
    """The error of a folder that has training images only; None for other folders."""
    if split == "train" or any((folder / layout).exists() for layout in (split, *_layouts(split))):
        return None
    train = next(filter(None, (finder(folder, "train") for finder in finders)), None)
    if train is None:
        return None
    places = dict.fromkeys(files.folder.relative_to(folder).as_posix() for files in (train.a, train.b))
    missing = " and ".join(place.replace("train", split, 1) for place in places)
    return f"`name` has no {split} split: add {missing}. Received: name={os.fspath(folder)!r}"


def _layouts(split):
    two = [layout.format(split=split, domain=domain) for layout in TWO_FOLDERS for domain in "AB"]
    return two + [layout.format(split=split) for layout in (LABELS, PHOTOS, INSTANCES)]


def _nothing_found(folder, split):
    layouts = _layouts(split)
    lines = [f"{layout}: {_describe(list_files, folder / layout)}" for layout in layouts]
    lines.append(f"directly in {split}: {_describe(_direct_files, folder / split)}")
    here = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    also = f"; and for {FALLBACK[split]} in its place" if split in FALLBACK else ""
    return (
        "`name` must be a folder with trainA, trainB, testA and testB (or train/A, ..., or train_A, ...), with "
        "train_label and train_img, or with train and test for images that have A on the left and B on the right "
        f"({_kinds()}). For split={split!r} looked in {folder} for {'; '.join(lines)}{also}. "
        f"Folders found in {folder}: {', '.join(here[:20]) or 'none'}. "
        "Any two folders of images can be given as `data_a` and `data_b`."
    )


def _describe(find_files, path):
    if not path.is_dir():
        return "missing"
    images, others = find_files(path)
    count = len(images)
    return f"{count} image{'s' * (count != 1)}" if count else f"no images{_but(others)}"


def _but(others):
    """The files in a folder without images, which may be images of a kind that is not read."""
    return f"; {left_out([os.fspath(name) for name in others])}" if others else ""


def _kinds():
    return ", ".join(extension[1:] for extension in EXTENSIONS)
