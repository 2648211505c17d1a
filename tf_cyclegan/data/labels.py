"""Label maps: files with the id of a class, and perhaps of an object, in each pixel; reading and checking them."""

import collections
import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from tf_cyclegan.data import npy_files
from tf_cyclegan.data.domains import Images, digest_of, states
from tf_cyclegan.data.image_files import (
    UNREADABLE,
    header_of,
    is_inverted,
    level_step,
    open_image,
    open_stream,
    unreadable,
    without_step,
)

# The most ids that the table of ids shows, the most wrong ids, and ids in a line.
SHOWN, SHOWN_WRONG, PER_LINE = 256, 20, 8
# The modes of PIL's images that hold numbers, apart from 16 bits; the largest number that survives in [-1, 1].
ID_MODES = ("1", "L", "P", "I")
MAX_ID = 2**20


def read_ids(file, name=None, channels=1):
    """Reads one label map: the number in each pixel, not its color in a palette.

    Args:
        file: path, or the `bytes` of an encoded file: a gray or palette image, not JPEG, or a `.npy` of whole numbers.
        name: what errors call it. Defaults to the path.
        channels: 1, or 2 for a label map with instance ids, which only a `.npy` can hold. Defaults to 1.

    Returns:
        Array `(height, width, channels)`: uint8 for files of at most 8 bits, otherwise float32, of whole
        numbers from 0 to `MAX_ID`.

    Raises:
        ValueError: if the file cannot be read, or holds no ids.
    """
    try:
        with open_stream(file) as stream:
            if npy_files.is_npy(stream):
                return _ids(npy_files.read_npy(stream, channels))
            with open_image(stream) as image:
                _check_ids_image(image, channels)
                step, inverted = level_step(image), is_inverted(image)
                image.load()
                levels = np.asarray(ImageOps.exif_transpose(image))[..., None]
                if inverted:  # 0 is white in the file, and black here
                    levels = ~levels
                return _ids(without_step(levels, step))
    except UNREADABLE as error:
        raise unreadable(file, name, error, "label map") from error


def read_ids_header(file, name=None):
    """Reads the size and the data type of a label map without decoding it.

    Args:
        file, name: as in `read_ids`.

    Returns:
        `(height, width, dtype)` as `read_ids` would return them; dtype is `"uint8"` or `"float32"`.

    Raises:
        ValueError: if the file is not a label map.
    """
    try:
        with open_stream(file) as stream:
            if npy_files.is_npy(stream):
                shape, dtype = npy_files.npy_image_header(stream, 1)
                return shape[0], shape[1], _ids(np.zeros((), dtype)).dtype.name
            with open_image(stream) as image:
                _check_ids_image(image)
                return header_of(image)
    except UNREADABLE as error:
        raise unreadable(file, name, error, "label map") from error


@dataclasses.dataclass(frozen=True)
class LabelMaps(Images):
    """The label maps of a domain: one channel of class ids, or a second one of instance ids.

    Args:
        names, contents: as in `Images`; the files of the label maps.
        classes: how many classes there are; ids are in [0, classes).
        instances: paths of the instance maps, one for each label map, or `None`. Defaults to `None`.
        instance_names: names of the instance maps in messages. Defaults to nothing.
        ignore_label: id of pixels that are of no class. Defaults to `None`.
    """

    classes: int = 0
    instances: Sequence[os.PathLike] | None = None
    instance_names: Sequence[str] = ()
    ignore_label: int | None = None
    # Image: its ids and the pixels of each. (Filled by several threads, each image by one.)
    _found: dict[int, tuple[np.ndarray, np.ndarray]] = dataclasses.field(
        default_factory=dict, init=False, compare=False
    )

    def header(self, index):
        height, width, dtype = read_ids_header(self.contents[index], self.names[index])
        if self.instances is None:
            return height, width, dtype
        name = self.instance_names[index]
        size_and_type = read_ids_header(self.instances[index], name)
        if size_and_type[:2] != (height, width):
            raise ValueError(
                f"The instance map {name} must be as large as {self.names[index]}: {size_and_type[0]}x"
                f"{size_and_type[1]} and {height}x{width} pixels (height x width)"
            )
        return height, width, "float32" if "float32" in (dtype, size_and_type[2]) else dtype

    def read(self, index):
        labels = read_ids(self.contents[index], self.names[index])
        if self.instances is None:
            return labels
        instances = read_ids(self.instances[index], self.instance_names[index])
        return np.concatenate([labels, instances], axis=-1)

    def resize(self, image, size):
        """Takes the nearest pixels, by PIL as the reference does: there is no id between two ids."""
        height, width = size
        planes = [Image.fromarray(np.ascontiguousarray(image[..., i])) for i in range(image.shape[2])]
        resized = [np.asarray(plane.resize((width, height), Image.Resampling.NEAREST)) for plane in planes]
        return np.stack(resized, axis=-1)

    def inspect(self, index, image):
        labels = image[..., 0].astype(np.int64).ravel()
        if labels.max() < 2**16:  # sorting takes longer
            counts = np.bincount(labels)
            self._found[index] = np.flatnonzero(counts), counts[counts > 0]
        else:
            self._found[index] = np.unique(labels, return_counts=True)

    def check_inspected(self):
        """Raises `ValueError` with a table of all ids if there is one that is no class."""
        pixels, wrong = collections.Counter(), {}
        for index, (ids, counts) in sorted(self._found.items()):
            pixels.update(dict(zip(ids.tolist(), counts.tolist(), strict=True)))
            for label in ids[(ids >= self.classes) & (ids != self.ignore_label)].tolist():
                wrong.setdefault(label, self.names[index])
        self._found.clear()
        if wrong:
            raise ValueError(_out_of_range(self.classes, pixels, dict(sorted(wrong.items()))))

    def fingerprint(self):
        more = [list(self.instance_names), None if self.instances is None else states(self.instances)]
        text = json.dumps([super().fingerprint(), self.classes, self.ignore_label, *more])
        return hashlib.sha256(text.encode()).hexdigest()

    def digest(self, index):
        more = "" if self.instances is None else f" {digest_of(self.instances[index])}"
        return super().digest(index) + more


def check_ids(ids, classes, ignore_label, name):
    """Raises `ValueError` unless all ids of a label map are ids of classes or `ignore_label`.

    Args:
        ids: array `(height, width, channels)`, whose first channel counts.
        classes, ignore_label: as in `LabelMaps`.
        name: what the error calls the label map.
    """
    found, counts = np.unique(ids[..., 0].astype(np.int64), return_counts=True)
    wrong = (found >= classes) & (found != ignore_label)
    if wrong.any():
        others = f" and {wrong.sum() - 1} more" if wrong.sum() > 1 else ""
        share = 100 * counts[wrong].sum() / counts.sum()
        expected = expected_ids(classes, ignore_label)
        raise ValueError(f"{name}: id {found[wrong][0]}{others} in {share:.2g} % of the pixels, expected {expected}")


def expected_ids(classes, ignore_label=None):
    """The ids that label maps may have, in words."""
    return f"ids from 0 to {classes - 1}" + ("" if ignore_label is None else f" or {ignore_label}, which is ignored")


def _out_of_range(classes, pixels, wrong):
    total = sum(pixels.values())
    shares = {label: _percent(count / total) for label, count in sorted(pixels.items())}
    first = next(iter(wrong))
    lines = [
        f"Label maps must have ids in [0, {classes}), from `label_classes`={classes}. "
        f"Received: {len(wrong)} other ids, such as {first} in {wrong[first]}.",
        "Ids in all label maps, with their share of the pixels:",
        *_table([f"{label}: {share}" for label, share in shares.items()]),
        "Out of range:",
        *(f"  {label}: {shares[label]}, first in {name}" for label, name in list(wrong.items())[:SHOWN_WRONG]),
    ]
    if len(wrong) > SHOWN_WRONG:
        lines.append(f"  and {len(wrong) - SHOWN_WRONG} more, to {max(wrong)}")
    advice = f"Make `label_classes` {max(wrong) + 1}, or write other ids into the files"
    if len(wrong) == 1:
        advice += f", or say with `ignore_label` {first} that these pixels are of no class"
    lines.append(f"{advice}.")
    return "\n".join(lines)


def _table(cells):
    rest = [f"  and {len(cells) - SHOWN} more"] if len(cells) > SHOWN else []
    cells = cells[:SHOWN]
    width = max(map(len, cells)) + 2
    rows = [cells[i : i + PER_LINE] for i in range(0, len(cells), PER_LINE)]
    return ["  " + "".join(cell.ljust(width) for cell in row).rstrip() for row in rows] + rest


def _percent(share):
    return f"{share:.2%}" if share >= 0.0001 else "<0.01%"


def _check_ids_image(image, channels=1):
    if channels != 1:
        raise ValueError(f"an image, expected a .npy of whole numbers (height, width, {channels}): classes, instances")
    if image.format == "JPEG":
        raise ValueError("JPEG changes values, which a label map cannot stand. Use PNG")
    if image.mode not in ID_MODES and not image.mode.startswith("I;16"):
        raise ValueError(
            f"colors (mode {image.mode}) where one id a pixel was expected. Use gray or palette images, in which the "
            "value is the number of the class"
        )


def _ids(array):
    """The ids of a decoded label map, as `read_ids` returns them."""
    if array.dtype.kind not in "bui":
        raise ValueError(f"an array of {array.dtype} where whole numbers were expected")
    if array.dtype.itemsize == 1 and array.dtype.kind in "bu":
        return array.astype(np.uint8)
    if array.min() < 0 or array.max() > MAX_ID:
        raise ValueError(f"ids from {array.min()} to {array.max()}, expected from 0 to {MAX_ID}")
    return array.astype(np.float32)
