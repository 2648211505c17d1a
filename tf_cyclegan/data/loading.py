"""`load_dataset` and `open_dataset`: a data set from its name and plain settings."""

import dataclasses
import os
import warnings
from collections.abc import Callable

import tensorflow as tf

from tf_cyclegan.data.cache import CACHES
from tf_cyclegan.data.pipelines import TranslationDataset
from tf_cyclegan.data.sources import Source, find_source
from tf_cyclegan.data.transforms import MULTIPLE, RESIZE_MODES, Sizing, as_size
from tf_cyclegan.settings.checks import check_choice, check_integer, check_range
from tf_cyclegan.settings.data import TRAINING, DataSettings, Labels, View, check_load_size, parse_size

PathOrText = str | os.PathLike
IMAGE_SIZE = 256
# The reference loads at 286 to crop 256.
JITTER = 286 / 256


def open_dataset(data: DataSettings, view: View = TRAINING) -> TranslationDataset:
    """Finds a data set and checks the headers of its files; nothing is decoded yet. See `load_dataset`.

    Args:
        data: `DataSettings`, with a data set and a batch size.
        view: `View`. Defaults to the images to train on.

    Returns:
        `TranslationDataset`.
    """
    channels, channels_b = data.channels_with(view.labels)
    data = dataclasses.replace(data, channels=channels, channels_b=channels_b)
    _check(data, view)
    source = find_source(data, view)
    make_sizing = _sizings(source, data, view.multiple)
    return TranslationDataset(source, make_sizing(view.split == "train"), make_sizing(False), data, view)


def _check(data, view):
    check_choice("split", view.split, ("train", "test"))
    check_choice("cache", data.cache, CACHES)
    check_choice("resize_mode", data.resize_mode, RESIZE_MODES)
    check_range("value_range", data.value_range)
    check_range("value_range_b", data.value_range_b)
    check_integer("batch_size", data.batch_size, 1)
    check_integer("multiple", view.multiple, 1)
    if view.labels.ignored is not None:
        check_integer("ignore_label", view.labels.ignored, view.labels.classes)
    check_integer("seed", data.seed)
    check_integer("start_epoch", view.start_epoch, 0)


def load_dataset(
    name: PathOrText = "emoji",
    split: str = "train",
    image_size: int | tuple[int, int] | None = None,
    load_size: int | tuple[int, int] | None = None,
    batch_size: int = 1,
    seed: int = 0,
    cache: str = "memory",
    *,
    data_a: PathOrText | None = None,
    data_b: PathOrText | None = None,
    test_share: float = 0.1,
    channels: int | tuple[int, int] = 3,
    value_range: tuple[float, float] | None = None,
    value_range_b: tuple[float, float] | None = None,
    resize_mode: str = "resize_and_crop",
    flip: bool = True,
    multiple: int = MULTIPLE,
    paired: bool | None = None,
    label_classes: int = 0,
    ignore_label: int | None = None,
    instance_maps: bool = False,
    skip_unreadable: bool = False,
    data_dir: PathOrText | None = None,
    mirror: str | None = None,
    cache_dir: PathOrText | None = None,
    start_epoch: int = 0,
) -> tf.data.Dataset:
    """Loads two domains of images.

    Args:
        name: `"emoji"` (bundled drawings, flat to shaded, unpaired), `"emoji/lines"` (line art to flat color, paired),
            `"cycle_gan/NAME"` (TensorFlow Datasets) or a folder in one of the layouts below. Defaults to `"emoji"`.
        split: `"train"`, shuffled and augmented, or `"test"`, in the order of the files; a folder without `test` may
            have `val` in its place. Defaults to `"train"`.
        image_size: side, or `(height, width)`, of the images in batches, in pixels. Defaults to 256, for emoji 64.
        load_size: side, or `(height, width)`, that training images are resized to before the random crop. Defaults to
            286/256 of `image_size`; to `image_size` for emoji and where nothing is cropped.
        batch_size: images of each domain in a batch. Defaults to 1.
        seed: of order, crop and flip. Defaults to 0.
        cache: where decoded images are kept, before augmentation: `"memory"`, `"disk"` (a memory-mapped file, used
            again by the next run) or `"none"` (decoded each time). Defaults to `"memory"`.
        data_a, data_b: two folders of images, instead of `name`.
        test_share: share of `data_a` and `data_b` held out for `split="test"`. Defaults to 0.1.
        channels: 3 (color), 1 (gray) or, for `.npy`, any number; or two of them for A and B. Where A holds label maps
            (1 channel, with instance maps 2), one number counts for B alone. Defaults to 3.
        value_range: `(low, high)`, the values of 16-bit and `.npy` files that become -1 and 1. Defaults to the range
            of the data type; floating-point data need it.
        value_range_b: the same for domain B. Defaults to `value_range`.
        resize_mode: `"resize_and_crop"`, `"crop"`, `"scale_width"`, `"scale_width_and_crop"` or `"none"`, as
            `preprocess` of the PyTorch implementation. Defaults to `"resize_and_crop"`.
        flip: whether training images are flipped left to right at random. Defaults to `True`.
        multiple: what the sides are rounded to in the modes that crop nothing (`"scale_width"` and `"none"`), in
            pixels: a U-Net of n downsamplings needs 2^n. Defaults to 4.
        paired: whether image i of A belongs to image i of B, and shares its crop and flip. `True` matches the files of
            `trainA` and `trainB`, or of `data_a` and `data_b`, by their names without suffix (`test_share` then holds
            out pairs); `False` shuffles the domains by themselves, also those of a folder of pairs; `None` is `True`
            where the layout says what belongs together, else `False`. `"emoji/lines"` is always paired, the other
            names never. Defaults to `None`.
        label_classes: number of classes where A holds label maps, 0 for images. Label maps are gray or palette files
            with a class id in each pixel, resized to the nearest; an id becomes `id / 127.5 - 1` in the batch.
            Defaults to 0.
        ignore_label: id of the pixels that are of no class, as 255, at least `label_classes`. Defaults to `None`: all
            other ids are refused.
        instance_maps: whether a second channel of A has the ids of instances, in the same way. Defaults to `False`.
        skip_unreadable: whether files that cannot be read are left out instead of an error. Defaults to `False`.
        data_dir: where TensorFlow Datasets keeps its data. Defaults to its own `~/tensorflow_datasets`.
        mirror: address of a folder with `NAME.zip`, to download `cycle_gan/NAME` from. Defaults to the authors'.
        cache_dir: folder for `cache="disk"`. Defaults to `tf_cyclegan` in the user's cache directory.
        start_epoch: number of the epoch that the first iteration gives. Defaults to 0.

    Returns:
        `tf.data.Dataset` of `(images_a, images_b)`, float32 in [-1, 1], `(batch, height, width, channels)`. One epoch
        long, reshuffled at each iteration.

    Raises:
        ValueError: if an argument is not one of the above, a file cannot be read or has no partner, or a label map
            has ids that are no classes.

    The layouts of a folder, for `train` (for `test` they are the same), in the order in which they are looked for:

    - `trainA` and `trainB`, or `train/A` and `train/B`, or `train_A` and `train_B`: a folder for each domain.
    - `train`, with image files directly in it: A is the left half of each, B the right one.
    - `train_label`, `train_img` and, with `instance_maps`, `train_inst`: label maps and photographs of the same names
      (without suffix and without Cityscapes' `_gtFine_labelIds`, `_gtFine_instanceIds` and `_leftImg8bit`). With
      `label_classes` this is looked for first, and the files of `trainA` are read as label maps, too.

    Example:

    >>> images_a, images_b = next(iter(load_dataset("emoji", batch_size=4)))
    >>> images_a.shape
    TensorShape([4, 64, 64, 3])
    """
    data = open_dataset(*as_groups(locals())).load()
    for note in data.range_notes():
        warnings.warn(note, stacklevel=2)
    return data.epoch()


def as_groups(arguments: dict) -> tuple[DataSettings, View]:
    """All arguments of `load_dataset`, as `open_dataset` takes them."""
    given = dict(arguments)
    label_classes = given.pop("label_classes")
    check_integer("label_classes", label_classes, 0)
    labels = Labels(label_classes, given.pop("ignore_label"), given.pop("instance_maps"))
    of_view = {name: given.pop(name) for name in View._fields if name in given}
    channels = dict(zip(("channels", "channels_b"), _as_channels(given["channels"], labels), strict=True))
    return DataSettings(dataset=given.pop("name"), **given | channels), View(labels=labels, **of_view)


def _sizings(source: Source, data: DataSettings, multiple: int) -> Callable[[bool], Sizing]:
    """Fills in the default sizes and checks that they fit."""
    native, mode, load_size = source.native_size, data.resize_mode, data.load_size
    image_size = as_size(native or IMAGE_SIZE if data.image_size is None else data.image_size, "image_size")
    jitter = JITTER if mode.endswith("_and_crop") and native is None else 1
    default = tuple(round(side * jitter) for side in image_size)
    size = default if load_size is None else as_size(load_size, "load_size")
    if load_size is not None:
        check_load_size(size, image_size, mode)
    return lambda augment: Sizing(mode, image_size, size, augment, multiple)


def _as_channels(channels, labels):
    """The channels of A and B."""
    if labels.instances and not labels.classes:
        raise ValueError(f"`instance_maps` needs `label_classes`. Received: label_classes={labels.classes}")
    of_labels = 1 + bool(labels.instances)
    if isinstance(channels, int):
        channels = (of_labels if labels.classes else channels, channels)
    pair = tuple(channels)
    if len(pair) != 2 or not all(isinstance(count, int) and count >= 1 for count in pair):
        raise ValueError(f"`channels` must be a positive integer, or two for A and B. Received: channels={channels}")
    if labels.classes and pair[0] != of_labels:
        raise ValueError(
            f"`channels` of A must be {of_labels} with `label_classes`={labels.classes}, `instance_maps`="
            f"{labels.instances}: one for labels, one for instances. Received: channels={channels}"
        )
    return pair


def open_data(data, view, augment=True):
    """The data set of a run.

    Args:
        data: resolved `DataSettings`.
        view: `View`.
        augment: bool, whether a model trains on it; otherwise images come one by one, are not flipped, and are not
            resized for a crop. Defaults to True.

    Returns:
        `TranslationDataset`.

    Raises:
        ValueError: if the data set is not found, or does not fit the settings.
    """
    image_size = parse_size(data.image_size, "image_size")
    load_size = data.load_size and parse_size(data.load_size, "load_size")
    changes = {}
    if not augment:
        load_size = image_size if data.resize_mode == "resize_and_crop" else load_size
        changes = {"batch_size": 1, "flip": False}
    return open_dataset(dataclasses.replace(data, image_size=image_size, load_size=load_size, **changes), view)
