"""Palettes: the colors of the classes in color-coded label maps."""

import dataclasses
from pathlib import Path

import numpy as np

from tf_cyclegan.data.images import to_uint8
from tf_cyclegan.settings.checks import one_line

IGNORED = 255  # the id of pixels that do not count
_SHOWN = 40  # characters of a line in an error


@dataclasses.dataclass(frozen=True)
class Palette:
    """The colors of a label map.

    Args:
        name: str, what reports call it.
        ids: int array `(colors,)`, the class of each color; 255 for the color of pixels that do not count.
        colors: int array `(colors, 3)`, red, green and blue in [0, 255].
    """

    name: str
    ids: np.ndarray
    colors: np.ndarray

    @property
    def classes(self):
        """Number of classes, from the largest id."""
        return int(self.ids[self.ids != IGNORED].max()) + 1

    def labels(self, image):
        """The id of the nearest color for each pixel, by squared distance in RGB.

        Args:
            image: float array `(height, width, 3)` in [-1, 1].

        Returns:
            Integer array `(height, width)`.
        """
        return self.ids[_nearest(image, self.colors)[0]]

    def predictions(self, image):
        """As `labels`, but only among the colors of classes: a prediction must name a class."""
        known = self.ids != IGNORED
        return self.ids[known][_nearest(image, self.colors[known])[0]]

    def distance(self, image):
        """Median distance of the pixels to their nearest colors, in levels of 255."""
        return float(np.sqrt(np.median(_nearest(image, self.colors)[1])))


def read_palette(path):
    """Reads a palette from a text file.

    Args:
        path: file of lines `R G B`, whose ids are 0, 1, ..., or `id R G B`, whole numbers from 0 to 255. The id 255 is
            of pixels that do not count. A `#` begins a comment.

    Returns:
        `Palette`.

    Raises:
        ValueError: if the file cannot be read, holds other lines, a color twice, or fewer than two classes.

    Example:
        >>> read_palette("facades.txt").classes  # doctest: +SKIP
        12
    """
    path = Path(path)
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"`palette` cannot be read: {one_line(error)}. Received: palette={str(path)!r}") from error
    rows = _rows(lines, path)
    ids = np.array([row[0] if len(row) == 4 else number for number, row in enumerate(rows)], np.int32)
    colors = np.array([row[-3:] for row in rows], np.int32)
    if len(set(ids[ids != IGNORED].tolist())) < 2 or ids.max() > IGNORED:
        raise ValueError(f"`palette` must have from 2 to 255 classes. Received: {len(rows)} colors in {str(path)!r}")
    _check_different(colors, path)
    return Palette(path.name, ids, colors)


def _rows(lines, path):
    """The numbers of each line that is not empty."""
    rows = []
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        row = [int(word) if word.isdecimal() else -1 for word in words]
        if len(row) not in (3, 4) or not all(0 <= value <= 255 for value in row) or len(row) != len((rows or [row])[0]):
            raise ValueError(
                "`palette` must have lines of one kind, R G B or id R G B, of whole numbers from 0 to 255. "
                f"Received: {line.strip()[:_SHOWN]!r} in line {number} of {str(path)!r}"
            )
        rows.append(row)
    return rows


def _check_different(colors, path):
    found, counts = np.unique(colors, axis=0, return_counts=True)
    if counts.max() > 1:
        color = " ".join(map(str, found[counts.argmax()]))
        raise ValueError(f"`palette` must have each color once. Received: {color} more than once in {str(path)!r}")


def _nearest(image, colors):
    """For each pixel the number of its nearest color, of equally near ones the first, and the squared distance."""
    levels = to_uint8(image).astype(np.int32)
    least = np.full(levels.shape[:2], np.iinfo(np.int32).max, np.int32)
    numbers = np.zeros(levels.shape[:2], np.int32)
    for number, color in enumerate(colors):  # an array of all distances would take as many times the memory
        squared = np.square(levels - color).sum(axis=-1, dtype=np.int32)
        nearer = squared < least
        least[nearer], numbers[nearer] = squared[nearer], number
    return numbers, least
