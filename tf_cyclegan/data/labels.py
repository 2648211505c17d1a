"""Label maps: a class for each pixel and, if wanted, the number of an object; and whether the classes are in range."""

import collections
import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tf_cyclegan.data import images
from tf_cyclegan.data.domains import Images, digest_of, states

# What the table of ids shows at most.
SHOWN, SHOWN_WRONG, PER_LINE = 256, 20, 8


@dataclasses.dataclass(frozen=True)
class LabelMaps(Images):
    """The label maps of a domain: one channel of class ids, or a second one of instance ids.

    Args:
        names, contents: as of `Images`; the files of the label maps.
        classes: how many classes there are; ids are in [0, classes).
        instances: for each the path of its instance map, or `None` for none. Defaults to `None`.
        instance_names: what the instance maps are called in messages. Defaults to nothing.
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
        height, width, dtype = images.read_ids_header(self.contents[index], self.names[index])
        if self.instances is None:
            return height, width, dtype
        name = self.instance_names[index]
        size_and_type = images.read_ids_header(self.instances[index], name)
        if size_and_type[:2] != (height, width):
            raise ValueError(
                f"The instance map {name} must be as large as {self.names[index]}: {size_and_type[0]}x"
                f"{size_and_type[1]} and {height}x{width} pixels (height x width)"
            )
        return height, width, "float32" if "float32" in (dtype, size_and_type[2]) else dtype

    def read(self, index):
        labels = images.read_ids(self.contents[index], self.names[index])
        if self.instances is None:
            return labels
        instances = images.read_ids(self.instances[index], self.instance_names[index])
        return np.concatenate([labels, instances], axis=-1)

    def resize(self, image, size):
        """The nearest pixel: between two ids there is nothing. PIL's, as in the reference."""
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
    """Raises `ValueError` unless the ids of a label map are those of classes, or the one that is ignored.

    Args:
        ids: array `(height, width, channels)`, whose first channel counts.
        classes, ignore_label: as of `LabelMaps`.
        name: what the error calls the label map.
    """
    found, counts = np.unique(ids[..., 0].astype(np.int64), return_counts=True)
    wrong = (found >= classes) & (found != ignore_label)
    if wrong.any():
        others = f" and {wrong.sum() - 1} more" if wrong.sum() > 1 else ""
        share = 100 * counts[wrong].sum() / counts.sum()
        expected = images.expected_ids(classes, ignore_label)
        raise ValueError(f"{name}: id {found[wrong][0]}{others} in {share:.2g} % of the pixels, expected {expected}")


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
