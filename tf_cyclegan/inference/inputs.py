"""The images that `translate` reads, and what else their files hold."""

import collections
import dataclasses
import math

import numpy as np
from PIL import Image, ImageOps

from tf_cyclegan.data import npy_files
from tf_cyclegan.data.domains import half
from tf_cyclegan.data.image_files import UNREADABLE, count_pages, open_image, open_stream
from tf_cyclegan.data.images import STRIP, stored_type
from tf_cyclegan.data.value_ranges import joined_use, notes_on, use_of
from tf_cyclegan.inference.outputs import FORMATS, JPEG, TIFF, numbers_of

# Files have whole pixels: their ratios of width to height differ a little from those in the training.
_TOLERANCE = 0.02
_UNKNOWN = "of 16 bits, of unknown range: 0 taken for black, 65535 for white. `{}` LOW HIGH tells another"
# The fewest and the most dots per inch: PNG and BMP have dots per meter in 31 bits, TIFF has quotients of 32 bits,
# JPEG has dots per inch in 16 bits.
_DPI = {
    **dict.fromkeys((".png", ".bmp"), (0.0254, 0.0254 * (2**31 - 1))),
    **dict.fromkeys(TIFF, (2**-31, 2**31)),
    **dict.fromkeys(JPEG, (1, 65535)),
}
# The suffixes of files that have a place for each of the extras.
_PLACES = {
    "transparency": (".png", ".webp", *TIFF),
    "color profile": (".png", ".webp", *TIFF, *JPEG),
    "resolution": tuple(_DPI),
}
# Where the header of a profile names its color space, and the channels of the color spaces.
_SPACE, _SPACES = slice(16, 20), {b"GRAY": 1, b"RGB ": 3}
_ORIENTATION, _ON_THEIR_SIDE = 0x0112, (5, 6, 7, 8)


class Inputs:
    """Reads images to translate, and collects what users should know of all of them.

    Args:
        read: callable, a path and the `seen` of `images.read_image` to the array in the file, `(height, width,
            channels)`.
        translator: `Translator`.
        ranges: `RangeSettings`, the ranges that the user gives.
        side_by_side: optional bool, whether files hold A on the left and B on the right. Defaults to None: files whose
            ratio of width to height occurred in the training do, if the files of the training did.
        kind: optional str, a name in `FORMATS`, the format of translations. Defaults to the format of the image.
    """

    def __init__(self, read, translator, ranges, side_by_side=None, kind=None):
        self._translator, self._side_by_side, self._read_file = translator, side_by_side, read
        self._side = "ab".index(translator.domain)
        self._depth = FORMATS[kind][1] if kind else None
        of_training = translator.ranges.a and not (ranges.value_range or ranges.value_range_b)
        self._range_name = None if of_training else translator.range_name
        self._halved, self._uses = 0, []
        self._notes, self._lost = collections.Counter(), collections.Counter()

    def read(self, source, target):
        """The image of a file, and the numbers and extras of its translation: `(array, Numbers, Extras)`.

        Args:
            source, target: paths of the image and of its translation.

        Raises:
            ValueError: if the image cannot be read, or has several pages.
        """
        if (pages := count_pages(source)) > 1:
            raise ValueError(
                f"Cannot translate the image {source}: page 1 of {pages} alone would be translated. Save each page as "
                "a file"
            )
        image = self._read_file(source, self._note_use)
        extras = Extras() if self._translator.takes_ids else read_extras(source)
        if self._holds_two(*image.shape[:2]):
            _check_even(source, image.shape[1])
            image, extras = half(image, self._side), extras.half(self._side)
            self._halved += 1
        numbers = self._numbers(source, target)
        extras, lost = extras.fitting(
            target.suffix.lower(), self._translator.output_channels, numbers.dtype == np.uint8
        )
        self._lost.update(lost)
        return image, numbers, extras

    def lines(self):
        """Yields lines about the images that were read."""
        if self._halved:
            side = {"a": "left half, A,", "b": "right half, B,"}[self._translator.domain]
            yield (
                f"Took the {side} of {_images(self._halved)} with A and B side by side, as in the files of the "
                "training; --side-by-side=False takes images whole."
            )
        for note, count in self._notes.items():
            yield f"{_images(count)} {note}."
        for note in notes_on(joined_use(self._uses), self._range_name):
            yield f"The input has {note}."
        if self._lost:
            lost = ", ".join(f"{name} of {_images(count)}" for name, count in self._lost.items())
            yield f"Not kept, because the format has no place for it or translations have other colors: {lost}."

    def _note_use(self, values, *how):
        taken = half(values, self._side) if self._holds_two(*values.shape[:2]) else values
        self._uses.append(use_of(taken, *how))

    def _numbers(self, source, target):
        # The depth of ids does not tell the depth of pictures.
        stored = None if self._translator.takes_ids else stored_type(source)
        ranges, channels = self._translator.ranges, self._translator.output_channels
        numbers = numbers_of(target.suffix, channels, stored, ranges.b, self._depth)
        unknown = ranges.a is None and stored == np.uint16
        self._notes.update(
            note for note in (unknown and _UNKNOWN.format(self._translator.range_name), numbers.note) if note
        )
        return numbers

    def _holds_two(self, height, width):
        known = self._translator.side_by_side
        if self._side_by_side is None:
            alike = known and known[0] * (1 - _TOLERANCE) <= width / height <= known[1] * (1 + _TOLERANCE)
            return bool(alike) and width % 2 == 0
        return self._side_by_side


def _check_even(source, width):
    if width % 2:
        raise ValueError(
            f"Cannot translate the image {source}: it is {width} pixels wide, and A and B side by side have an even "
            "width"
        )


def _images(count):
    return f"{count:,} image{'s' * (count != 1)}"


# ---- what image files hold besides their colors ----


@dataclasses.dataclass(frozen=True)
class Extras:
    """What an image file holds besides its colors.

    Args:
        alpha: optional uint8 array `(height, width)`, 0 where the image is transparent. Defaults to None.
        profile: optional bytes, the ICC profile of its colors. Defaults to None.
        dpi: optional `(horizontal, vertical)`, dots per inch. Defaults to None.
    """

    alpha: np.ndarray | None = None
    profile: bytes | None = None
    dpi: tuple | None = None

    def half(self, side):
        """The extras of the left (0) or right (1) half of the image."""
        if self.alpha is None:
            return self
        return dataclasses.replace(self, alpha=half(self.alpha, side))

    def fitting(self, suffix, channels, eight_bits=True):
        """The extras that a file can have.

        Args:
            suffix: str, the suffix of the file.
            channels: int, the channels of its image.
            eight_bits: bool, whether its numbers have 8 bits. Defaults to True.

        Returns:
            `(Extras, list of the names of what is left out)`.
        """
        space = _SPACES.get(self.profile[_SPACE]) if self.profile else None
        kept = {
            "transparency": ("alpha", eight_bits),
            "color profile": ("profile", space == channels),
            "resolution": ("dpi", _has_room(self.dpi, suffix)),
        }
        lost = {
            name: field
            for name, (field, fits) in kept.items()
            if getattr(self, field) is not None and not (fits and suffix in _PLACES[name])
        }
        return dataclasses.replace(self, **dict.fromkeys(lost.values())), list(lost)

    def applied(self, image):
        """A `PIL.Image.Image` with the transparency, and the options for saving it with the other extras."""
        if self.alpha is not None:
            image.putalpha(Image.fromarray(self.alpha))
        options = {"icc_profile": self.profile, "dpi": self.dpi}
        return image, {name: value for name, value in options.items() if value is not None}


def read_extras(path):
    """The `Extras` of a file, upright as the EXIF orientation says; a file that is no image has none."""
    try:
        with open_stream(path) as stream:
            if npy_files.is_npy(stream):
                return Extras()
            with open_image(stream) as image:
                profile = image.info.get("icc_profile")
                dpi = _dpi(image)
                return Extras(_alpha(image), profile if isinstance(profile, bytes) else None, dpi)
    except UNREADABLE:  # whoever reads its colors learns why
        return Extras()


def _dpi(image):
    """The resolution of an image, or None: some programs write 0 or 0/0."""
    try:
        horizontal, vertical = map(float, image.info["dpi"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    if not (0 < horizontal < math.inf and 0 < vertical < math.inf):
        return None
    on_its_side = image.getexif().get(_ORIENTATION) in _ON_THEIR_SIDE
    return (vertical, horizontal) if on_its_side else (horizontal, vertical)


def _has_room(dpi, suffix):
    """Whether files with a suffix can hold a resolution."""
    least, most = _DPI.get(suffix, (0, 0))
    return dpi is not None and least <= min(dpi) and max(dpi) <= most


def _alpha(image):
    """The transparency of an image, or None where the whole image is opaque.

    No other array is as large as the image: with `--tile` images may be larger than memory allows twice.
    """
    if not image.has_transparency_data:
        return None
    image.load()  # turns TIFF upright
    alpha = np.empty((image.height, image.width), np.uint8)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        alpha[top : top + rows] = np.asarray(strip.convert("RGBA").getchannel("A"))
    if alpha.min() == 255:
        return None
    upright = Image.fromarray(alpha)
    upright.getexif()[_ORIENTATION] = image.getexif().get(_ORIENTATION, 1)
    ImageOps.exif_transpose(upright, in_place=True)
    return np.asarray(upright)
