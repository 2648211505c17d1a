"""The settings of a data set: where its images are, and how they become batches."""

from pathlib import Path
from typing import Literal, NamedTuple

from tf_cyclegan.settings.checks import check_integer, check_range, check_share
from tf_cyclegan.settings.fields import FIXED, FREE, PLACE, SHAPE, USE, derived, setting, settings


@settings
class PlaceSettings:
    """Where the images are."""

    dataset: str = derived(shown="emoji; emoji/lines for models of pairs", metavar="NAME|FOLDER", resume=PLACE)
    """emoji, emoji/lines, cycle_gan/NAME (horse2zebra, monet2photo, ...: TensorFlow Datasets downloads it), or a folder
    with trainA, trainB, testA, testB; pairs may also stand side by side in the files of train and test."""
    data_a: Path = derived(shown="none", metavar="FOLDER", resume=PLACE)
    """Folder with the images of domain A; together with --data-b, it replaces --dataset."""
    data_b: Path = derived(shown="none", metavar="FOLDER", resume=PLACE)
    """Folder with the images of domain B."""
    data_dir: Path = derived(shown="the folder of TensorFlow Datasets", metavar="FOLDER", resume=FREE)
    """Folder for downloaded data sets."""


@settings
class DataSettings(PlaceSettings):
    """Where the images are, and how they become batches."""

    test_share: float = setting(0.1, resume=PLACE)
    """Share of the images in --data-a and --data-b that is held out for testing."""
    mirror: str = derived(shown="the authors' server", metavar="URL", resume=FREE)
    """Address from which NAME.zip of cycle_gan/NAME is downloaded."""
    image_size: str = derived(
        "256", emoji="64", shown="64 for emoji, 512 for pix2pixhd, else 256", metavar="PIXELS", resume=FIXED
    )
    """Size of the training images: one side or HEIGHTxWIDTH. Sides are multiples of 4; for U-Nets and pix2pixhd,
    multiples of 2^--downsamplings."""
    load_size: str = derived(shown="286/256 of --image-size; for emoji the same", metavar="PIXELS", resume=FIXED)
    """Size to which images are resized before the random crop to --image-size."""
    resize_mode: Literal["resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none"] = setting(
        "resize_and_crop", resume=FIXED
    )
    """How images get their size: crop does not resize, scale_width keeps the aspect ratio."""
    flip: bool = setting(True, resume=FIXED)
    """Mirror images at random."""
    channels: int = derived(shown="3; for label maps 1, with instance maps 2", networks=SHAPE, resume=FIXED)
    """Channels of the images of domain A: 1 for gray, 3 for color, any number for .npy files."""
    channels_b: int = derived(shown="--channels; 3 with label maps", networks=SHAPE, resume=FIXED)
    """Channels of the images of domain B."""
    value_range: tuple[float, float] = derived(
        shown="the range of the integer type", metavar="LOW HIGH", networks=USE, resume=FIXED
    )
    """Values that are black and white in .npy and 16-bit files of domain A; files of floats need this setting."""
    value_range_b: tuple[float, float] = derived(shown="--value-range", metavar="LOW HIGH", networks=USE, resume=FIXED)
    """Values that are black and white in .npy and 16-bit files of domain B."""
    skip_unreadable: bool = setting(False, resume=PLACE)
    """Leave out files that cannot be read, and list them."""
    cache: Literal["memory", "disk", "none"] = setting("memory", resume=FREE)
    """Where decoded images are kept."""
    batch_size: int = derived(1, emoji=4, shown="1; 4 for most models on emoji", resume=FIXED)
    """Images of each domain in a training step."""
    seed: int = setting(0, resume=FIXED)
    """Seed of the initial weights, the order of images, crops and flips, and the pools."""

    def check_folders(self):
        """Raises `ValueError` if only one of two folders is given."""
        if (self.data_a is None) != (self.data_b is None):
            raise ValueError("`data_a` and `data_b` must be given together: --data-a=FOLDER --data-b=FOLDER")

    def check(self):
        """Raises `ValueError` if a setting is out of its range; the data set checks the others."""
        for name in ("batch_size", "channels", "channels_b"):
            check_integer(name, getattr(self, name), 1)
        check_range("value_range", self.value_range)
        check_range("value_range_b", self.value_range_b)
        check_share("test_share", self.test_share)
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"`seed` must be from 0 to {2**32 - 1}. Received: seed={self.seed}")
        if self.load_size is not None:
            load_size, image_size = parse_size(self.load_size, "load_size"), parse_size(self.image_size, "image_size")
            check_load_size(load_size, image_size, self.resize_mode)

    @property
    def is_emoji(self):
        """Whether the data set is the bundled drawings."""
        return self.dataset.split("/")[0] == "emoji" and self.data_a is None

    @property
    def fixed_size(self):
        """Whether every training image has the size `image_size`; otherwise images keep sizes of their own."""
        return self.resize_mode not in ("scale_width", "none")

    def channels_with(self, labels):
        """The channels of A and of B: the given ones, or those that the `Labels` in A imply."""
        channels = self.channels or (1 + labels.instances if labels.classes else 3)
        return channels, self.channels_b or (3 if labels.classes else channels)

    @property
    def value_ranges(self):
        """The pair of `value_range` and `value_range_b`."""
        return self.value_range, self.value_range_b or self.value_range

    @property
    def name(self):
        """The name of the data set in the name of the run folder."""
        if self.data_a is not None:
            return f"{Path(self.data_a).name}-{Path(self.data_b).name}"
        if Path(self.dataset).is_dir():
            return Path(self.dataset).resolve().name
        return self.dataset.replace("cycle_gan/", "").replace("/", "-")


class Labels(NamedTuple):
    """The label maps in domain A.

    Args:
        classes: int, number of classes; 0 where A holds images. Defaults to 0.
        ignored: optional int, id of the pixels without a class. Defaults to None.
        instances: bool, whether A holds instance maps too. Defaults to False.
    """

    classes: int = 0
    ignored: int | None = None
    instances: bool = False


class View(NamedTuple):
    """How a data set is read for one use: the arguments that no flag sets.

    Args:
        split, multiple, paired, cache_dir, start_epoch: as in `load_dataset`.
        labels: `Labels`. Defaults to images without label maps.
    """

    split: str = "train"
    multiple: int = 4
    paired: bool | None = None
    labels: Labels = Labels()
    cache_dir: Path | None = None
    start_epoch: int = 0


TRAINING = View()


class Situation(NamedTuple):
    """The facts about the data on which the defaults of a model depend."""

    emoji: bool
    small: bool
    fixed_size: bool
    channels: tuple[int, int]


def parse_size(text, name):
    """Pixels from `"256"` or `"HEIGHTxWIDTH"`.

    Returns:
        `(height, width)`.

    Raises:
        ValueError: if `text` is neither; the error names the setting `name`.
    """
    try:
        sides = [int(side) for side in str(text).lower().split("x")]
        height, width = sides * 2 if len(sides) == 1 else sides
    except ValueError:
        height = width = 0
    if min(height, width) < 1:
        raise ValueError(
            f"`{name}` must be a number of pixels or HEIGHTxWIDTH, such as 256 or 192x256. Received: {text!r}"
        )
    return height, width


def check_load_size(load_size, image_size, mode):
    """Raises `ValueError` if `load_size` is too small for crops of `image_size`, or has no use with the `resize_mode`.

    Args:
        load_size, image_size: pairs `(height, width)`.
        mode: str, the `resize_mode`.
    """
    received = f"Received: load_size={load_size[0]}x{load_size[1]}"
    if mode in ("crop", "none"):
        raise ValueError(f"`load_size` has no use with `resize_mode`={mode!r}. {received}")
    # With `scale_width` and `scale_width_and_crop` the image decides the height.
    too_low = mode == "resize_and_crop" and load_size[0] < image_size[0]
    if mode != "scale_width" and (too_low or load_size[1] < image_size[1]):
        raise ValueError(
            f"`load_size` must not be smaller than `image_size`, {image_size[0]}x{image_size[1]}. {received}"
        )
