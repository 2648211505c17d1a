"""What of the files is translated, and what of them is kept beside it: halves of pairs, transparency and the like."""

import collections

import numpy as np

from tf_cyclegan.data.domains import half
from tf_cyclegan.data.image_files import count_pages
from tf_cyclegan.data.images import stored_type
from tf_cyclegan.data.value_ranges import joined_use, notes_on, use_of
from tf_cyclegan.translating.depth import FORMATS, numbers_of
from tf_cyclegan.translating.extras import Extras, read_extras

# Files are cut to whole pixels: ratios differ a little from those of the run.
_TOLERANCE = 0.02
_UNKNOWN = "of 16 bits, of unknown range: 0 taken for black, 65535 for white. `{}` LOW HIGH tells another"


class Inputs:
    """Reads images to translate, and remembers what is to be said of them once.

    Args:
        read: callable, a path and what `images.read_image` takes as `seen` to the array in the file, `(height, width,
            channels)`.
        translator: `Translator`.
        ranges: `RangeSettings`, those that are given.
        side_by_side: optional bool, whether files hold A on the left and B on the right. Defaults to None: those that
            are shaped as the run's files, if those did.
        kind: optional str, the format that translations are written in. Defaults to None, that of the image.
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
        """The image of a file, and how its translation is written: `(array, Numbers, Extras)`.

        Args:
            source, target: paths of the image and of its translation.

        Raises:
            ValueError: if it cannot be read, or has several pages.
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
        """What is to be said of all of them."""
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
            yield f"Not carried over, for want of a place in the format or for other colors: {lost}."

    def _note_use(self, values, *how):
        taken = half(values, self._side) if self._holds_two(*values.shape[:2]) else values
        self._uses.append(use_of(taken, *how))

    def _numbers(self, source, target):
        # Ids say nothing of the depth of pictures.
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
