"""`find_source`: the two domains of images that the name of a data set, or folders, stand for."""

import dataclasses
import difflib
import functools
import os
import pathlib

from tf_cyclegan.data import bundled, folders, tfds
from tf_cyclegan.data.domains import Images, halves
from tf_cyclegan.data.image_files import left_out
from tf_cyclegan.data.labels import LabelMaps
from tf_cyclegan.settings.data import DataSettings, View

# From this likeness on, of 0 to 1, the name of a data set is offered for an unknown word.
_ALIKE = 0.75


@dataclasses.dataclass(frozen=True)
class Source:
    """Two domains of one split.

    Args:
        name: name of the data set.
        images_a, images_b: the `Images` of the domains.
        paired: whether image i of one domain belongs to image i of the other in training.
        native_size: side of drawings made for one size, in pixels; `None` for photographs. Defaults to `None`.
        notes: what else people should know of it, in a few words each. Defaults to nothing.
    """

    name: str
    images_a: Images
    images_b: Images
    paired: bool = False
    native_size: int | None = None
    notes: tuple[str, ...] = ()


def find_source(data: DataSettings, view: View) -> Source:
    """Finds the images of a data set. See `open_dataset` for the arguments.

    Raises:
        ValueError: if the data set is unknown, or a domain of it has no images.
    """
    name, data_a, data_b = (path and os.path.expanduser(path) for path in (data.dataset, data.data_a, data.data_b))
    channels, split, paired, labels = (data.channels, data.channels_b), view.split, view.paired, view.labels
    make = functools.partial(_folder_source, paired, channels, data.value_ranges, labels)
    if data_a is not None or data_b is not None:
        _check_two_folders(name, data_a, data_b)
        found = folders.hold_out(data_a, data_b, split, data.test_share, bool(paired))
        return make(f"{pathlib.Path(data_a).name}+{pathlib.Path(data_b).name}", split, found)
    known = name in bundled.STYLES or name in tfds.NAMES
    if not known and os.path.isdir(name):
        return make(
            os.fspath(name), split, folders.find(name, split, bool(paired), labels.classes > 0, labels.instances)
        )
    if not known:
        raise ValueError(_unknown(name))
    if labels.classes:
        raise ValueError(f"`label_classes` is not possible with {name!r}, which has no label maps. Give a folder.")
    as_a, as_b = (
        functools.partial(Images, channels=count, value_range=value_range)
        for count, value_range in zip(channels, data.value_ranges, strict=True)
    )
    if name in bundled.STYLES:
        return _bundled_source(name, split, paired, as_a, as_b)
    if paired:
        raise ValueError(
            f"`paired` is not possible with {name!r}: TFDS stores each domain in an order of its own. Use a folder of "
            "pairs, or 'emoji/lines'."
        )
    found = tfds.find(name, split, data.data_dir, data.mirror)
    return Source(name, as_a(*found[0]), as_b(*found[1]))


def _folder_source(paired, channels, value_ranges, labels, name, split, found):
    """The `Source` of files that were `Found` in folders."""
    _check_labels(name, found, labels)
    by_nature = found.layout != "folders"
    notes = [] if found.split == split else [f"from {found.split!r}, as there is no {split!r}"]
    if others := found.others:
        notes.append(left_out(others))
    if found.layout == "halves":
        notes.append("A and B side by side in each file")
        domains = halves(found.a.names, found.a.paths, channels, value_ranges)
    else:
        domains = [
            Images(domain.names, domain.paths, *read)
            for domain, *read in zip((found.a, found.b), channels, value_ranges, strict=True)
        ]
    if labels.classes:
        notes.append(f"A has labels of {labels.classes} classes" + " and instances" * labels.instances)
        maps = found.instances if labels.instances else None
        instances = {"instances": maps.paths, "instance_names": maps.names} if maps else {}
        ids = {"classes": labels.classes, "ignore_label": labels.ignored}
        domains[0] = LabelMaps(found.a.names, found.a.paths, channels[0], **ids, **instances)
    return Source(name, *domains, by_nature if paired is None else paired, notes=tuple(notes))


def _check_labels(name, found, labels):
    if found.layout == "labels" and not labels.classes:
        raise ValueError(
            f"`label_classes` is needed for {name!r}, which has label maps in {found.a.folder.name}: the number of "
            "classes. (Labels drawn in colors belong in trainA, with the photographs in trainB.)"
        )
    if found.layout == "halves" and labels.classes:
        raise ValueError(
            f"`label_classes` is not possible with {name!r}, whose images have A and B side by side: label maps need "
            f"files of their own, in train_label and train_img. Received: label_classes={labels.classes}"
        )
    if found.layout == "folders" and labels.instances:
        raise ValueError(
            f"`instance_maps` needs folders train_label, train_inst and train_img. Received: {name!r}, with "
            f"{found.a.folder} and {found.b.folder}"
        )


def _bundled_source(name, split, paired, as_a, as_b):
    if paired and not bundled.is_paired(name):
        raise ValueError(f"`paired` is not possible with {name!r}: it is unpaired by design. Use 'emoji/lines'.")
    found = bundled.find(name, split)
    return Source(name, as_a(*found[0]), as_b(*found[1]), bundled.is_paired(name), bundled.TILE)


def _check_two_folders(name, data_a, data_b):
    if data_a is None or data_b is None:
        raise ValueError(f"`data_a` and `data_b` must be given together. Received: data_a={data_a}, data_b={data_b}")
    if name not in (None, "", "emoji"):
        raise ValueError(f"Give either `name` or `data_a` and `data_b`, not both. Received: name={name!r}")


def _unknown(name):
    text = str(name)
    if _is_path(text):
        return (
            f"`name` must be a data set or a folder of images. Received: name={text!r}, {folders.why_no_folder(text)}"
        )
    names = {key.rpartition("/")[2] if "/" not in text else key: key for key in (*bundled.STYLES, *tfds.NAMES)}
    close = difflib.get_close_matches(text, names, n=1, cutoff=_ALIKE)
    hint = f" Did you mean {names[close[0]]!r}?" if close else ""
    return (
        f"`name` must be {', '.join(map(repr, bundled.STYLES))}, 'cycle_gan/NAME' with NAME one of "
        f"{', '.join(n.partition('/')[2] for n in tfds.NAMES)}, or an existing folder (with trainA, trainB, testA and "
        "testB, with train and test for pairs side by side, or with train_label and train_img). "
        f"Received: name={text!r}, which is none of these; there is no folder of that name.{hint}"
    )


def _is_path(text):
    """Whether a text means a path: the path exists, or the text does not look like the name of a data set."""
    family = text.partition("/")[0] if text.count("/") == 1 else ""
    of_known = family in {known.partition("/")[0] for known in (*bundled.STYLES, *tfds.NAMES)}
    looks = os.sep in text or text.startswith((".", "~")) or os.path.splitext(text)[1]
    return os.path.exists(text) or (bool(looks) and not of_known)
