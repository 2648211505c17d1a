"""Label maps that `translate` reads, with their instance maps where the model takes them."""

import os
from pathlib import Path

from tf_cyclegan.data import npy_files
from tf_cyclegan.data.folders import list_images, why_no_folder
from tf_cyclegan.data.image_files import UNREADABLE, open_stream
from tf_cyclegan.data.labels import LabelMaps, check_ids, read_ids
from tf_cyclegan.data.pairing import Files

# pix2pixHD's folders, as `data.folders` finds them: test_label with test_inst.
_LABELS, _INSTANCES = "_label", "_inst"
_SHOWN = 3


class MapReader:
    """Reads label maps, with the ids of instances in a second channel where the model takes them.

    Args:
        paths: list of paths, the label maps.
        root: the folder that their names are relative to, unless they lie in a folder `test_label`.
        channels: int, 1, or 2 with instance maps.
        encoding: `LabelEncoding` of the network; None for an exported model, whose graph checks the ids itself.
        folder: optional folder of the instance maps. Defaults to the `test_inst` next to `test_label`.

    Raises:
        ValueError: if a label map has no instance map or several, or shares one with another label map.
    """

    def __init__(self, paths, root, channels, encoding, folder=None):
        self._channels, self._encoding = channels, encoding
        alone = [path for path in paths if channels > 1 and not _holds_both(path, channels)]
        self._instances = _partners(alone, root, folder) if alone else {}

    def __call__(self, path):
        """The ids in a label map, `(height, width, channels)`.

        Raises:
            ValueError: if the file cannot be read, or has ids that are no classes.
        """
        if path in self._instances:
            instances = self._instances[path]
            maps = LabelMaps([str(path)], [path], instances=[instances], instance_names=[str(instances)])
            maps.header(0)  # compares the sizes
            ids = maps.read(0)
        else:
            ids = read_ids(path, channels=self._channels)
        if self._encoding is not None:
            check_ids(ids, self._encoding.classes, self._encoding.ignore_label, path)
        return ids


def _holds_both(path, channels):
    try:
        with open_stream(path) as stream:
            return npy_files.is_npy(stream) and npy_files.read_npy_header(stream)[0][2:] == (channels,)
    except UNREADABLE:  # whoever reads the file learns why
        return False


def _partners(paths, root, folder):
    """Dict of each label map to its instance map."""
    found, places = {}, {}
    for path in paths:
        bases, instances = _folders(path, root, folder)
        if instances not in places:
            places[instances] = _by_key(instances, list_images(instances))
        keys = [key for base in bases for key in _by_key(base, [path])]
        found[path] = next((places[instances][key] for key in keys if key in places[instances]), [])
    _check_found(found, places)
    _check_own(found)
    return {path: maps[0] for path, maps in found.items()}


def _by_key(folder, paths):
    """Dict of the key that both files of a pair have in common to the files of a folder."""
    files = {}
    for key, path in zip(Files(folder, paths, paths).keys(), paths, strict=True):
        files.setdefault(key, []).append(path)
    return files


def _check_found(found, folders):
    lonely = [path for path, maps in found.items() if not maps]
    if lonely:
        more = f" and {len(lonely) - _SHOWN:,} more" if len(lonely) > _SHOWN else ""
        raise ValueError(
            f"`instances` must have an instance map for each label map, of the same name. Found none in "
            f"{', '.join(map(str, folders))} for {', '.join(map(str, lonely[:_SHOWN]))}{more}"
        )


def _check_own(found):
    owners = {}
    for path, maps in found.items():
        other = owners.setdefault(maps[0], path)
        if len(maps) > 1 or other != path:
            which = f"{maps[0]} and {maps[1]} for {path}" if len(maps) > 1 else f"{maps[0]} for {other} and {path}"
            raise ValueError(
                "`instances` must have one instance map of its own for each label map, and no other file of that name. "
                f"Found {which}"
            )


def _folders(path, root, folder):
    """The folders that the name of a label map may be relative to, and the folder of its instance map."""
    labels = next((parent for parent in path.parents if parent.name.endswith(_LABELS)), None)
    if folder is not None:
        if not os.path.isdir(folder):
            raise ValueError(
                f"`instances` must be a folder. Received: instances={str(folder)!r}, {why_no_folder(folder)}"
            )
        return [labels, root] if labels else [root], Path(folder)
    neighbor = labels and labels.with_name(labels.name.removesuffix(_LABELS) + _INSTANCES)
    if neighbor is None or not os.path.isdir(neighbor):
        missing = "is in no folder test_label with test_inst next to it" if neighbor is None else f"has no {neighbor}"
        raise ValueError(
            f"`instances` must be given: the model takes instance maps with label maps, and {path} {missing}. Or give "
            ".npy files with both as two channels"
        )
    return [labels], neighbor
