"""The images of one domain, not yet decoded: whole files, or halves of files that hold A and B side by side."""

import dataclasses
import functools
import hashlib
import json
import os
import threading
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from tf_cyclegan.data import images, value_ranges
from tf_cyclegan.data.image_files import count_pages

# Part of every fingerprint: raise it when reading or resizing gives other pixels, so that old caches are not used.
CACHE_VERSION = 2
# Bytes that a digest reads at the beginning, in the middle and at the end of a file: all would take minutes for large
# data sets.
SAMPLED = 2**14
# Files that may well have several pages or frames.
WITH_PAGES = (".tif", ".tiff", ".webp", ".png")
Content = os.PathLike | bytes | np.ndarray
Range = tuple[float, float] | None


@dataclasses.dataclass(frozen=True)
class Images:
    """The images of one domain, not yet decoded.

    Args:
        names: names of the images in messages and in `TranslationDataset.names()`.
        contents: for each a path, the bytes of an encoded file, or a uint8 array `(height, width, channels)`.
        channels: channels to read. Defaults to 3.
        value_range: `(low, high)` of 16-bit files and `.npy`, see `images.read_image`. Defaults to `None`.
        uses: the `Use` of the range by each image that was read, by index; reading fills it.
    """

    names: Sequence[str]
    contents: Sequence[Content]
    channels: int = 3
    value_range: Range = None
    # Whether each is a half of a file.
    halved: ClassVar[bool] = False
    # Filled by several threads, each image by one.
    uses: dict[int, value_ranges.Use] = dataclasses.field(default_factory=dict, compare=False, kw_only=True)

    def __len__(self) -> int:
        return len(self.names)

    def header(self, index: int) -> tuple[int, int, str]:
        """`(height, width, dtype)` of an image, without decoding it."""
        content = self.contents[index]
        if isinstance(content, np.ndarray):
            return content.shape[0], content.shape[1], str(content.dtype)
        return images.read_header(content, self.channels, self.value_range, self.names[index])

    def pages(self, index: int) -> int:
        """The pages or frames of a file, of which the first is read."""
        content = self.contents[index]
        many = isinstance(content, os.PathLike) and os.fspath(content).lower().endswith(WITH_PAGES)
        return count_pages(content) if many else 1

    def read(self, index: int) -> np.ndarray:
        """An image: `(height, width, channels)`, uint8 or float32, in [0, 255]."""
        content = self.contents[index]
        if isinstance(content, np.ndarray):
            return images.convert_channels(content, self.channels)
        seen = None if index in self.uses else functools.partial(self._note_use, index)
        return images.read_image(content, self.channels, self.value_range, self.names[index], seen)

    def _note_use(self, index, values, *how):
        self.uses[index] = value_ranges.use_of(values, *how)

    def resize(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """An image, resized to `(height, width)`."""
        return images.resize(image, size)

    def inspect(self, index: int, image: np.ndarray) -> None:
        """Takes note of an image that was read, for `check_inspected()`."""

    def check_inspected(self) -> None:
        """Raises `ValueError` if all images together are not what was expected."""

    def fingerprint(self) -> str:
        """A digest that changes with the files or with how they are read."""
        text = json.dumps([CACHE_VERSION, list(self.names), states(self.contents), self.channels, self.value_range])
        return hashlib.sha256(text.encode()).hexdigest()

    def digest(self, index: int) -> str:
        """A digest of the name and the contents of an image, wherever its file lies and whenever it was written."""
        return f"{self.names[index]} {digest_of(self.contents[index])}"


@dataclasses.dataclass(frozen=True)
class _Pairs(Images):
    """Files that hold A and B side by side; `uses` belongs to the left halves, `uses_b` to the right halves."""

    uses_b: dict[int, value_ranges.Use] = dataclasses.field(default_factory=dict, compare=False, kw_only=True)

    def _note_use(self, index, values, *how):
        for side, uses in enumerate((self.uses, self.uses_b)):
            uses[index] = value_ranges.use_of(half(values, side), *how)


class WholeFiles:
    """Files that hold A and B side by side, each decoded once for both halves.

    A thread reads both halves of a file one after the other: the last file of each thread is kept.

    Args:
        images: the `Images` of the whole files.
    """

    def __init__(self, images: Images):
        self.images = images
        self._last = threading.local()

    def read(self, index: int) -> np.ndarray:
        """A whole image; it is kept until it is read for the other half."""
        kept, self._last.entry = getattr(self._last, "entry", None), None
        if kept is not None and kept[0] == index:
            return kept[1]
        image = self.images.read(index)
        self._last.entry = index, image
        return image


@dataclasses.dataclass(frozen=True)
class Halves(Images):
    """The left or the right halves of image files.

    Args:
        side: 0 for the left, 1 for the right halves. Defaults to 0.
        whole: the `WholeFiles` shared by both sides, if they read the same channels. Defaults to `None`.
    """

    halved: ClassVar[bool] = True
    side: int = 0
    whole: WholeFiles | None = dataclasses.field(default=None, compare=False)

    def header(self, index):
        height, width, dtype = super().header(index)
        if width % 2:
            raise ValueError(
                f"The image {self.names[index]} is {width} pixels wide: an image of A and B side by side must have an "
                "even width"
            )
        return height, width // 2, dtype

    def read(self, index):
        image = self.whole.read(index) if self.whole else super().read(index)
        return half(image, self.side)

    def _note_use(self, index, values, *how):
        super()._note_use(index, half(values, self.side), *how)

    def fingerprint(self):
        return f"{super().fingerprint()} half {self.side}"


def half(image: np.ndarray, side: int) -> np.ndarray:
    """The left (0) or right (1) half of an image."""
    width = image.shape[1] // 2
    return image[:, side * width : (side + 1) * width]


def halves(
    names: Sequence[str], contents: Sequence[Content], channels: tuple[int, int], value_ranges: tuple[Range, Range]
) -> tuple[Halves, Halves]:
    """Both domains of files that hold A on the left and B on the right.

    Args:
        names, contents: as in `Images`.
        channels, value_ranges: as in `Images`, for A and for B.
    """
    read_a, read_b = zip(channels, value_ranges, strict=True)
    if read_a != read_b:
        return Halves(names, contents, *read_a, 0), Halves(names, contents, *read_b, 1)
    pairs = _Pairs(names, contents, *read_a)
    whole = WholeFiles(pairs)
    return tuple(
        Halves(names, contents, *read_a, side, whole, uses=uses) for side, uses in enumerate((pairs.uses, pairs.uses_b))
    )


def states(contents: Sequence[Content]) -> list:
    """Path, size and time of files, and digests of other contents: they change when the contents change."""
    return [_state(content) for content in contents]


def digest_of(content: Content) -> str:
    """A digest of the contents of an image; the digest of a file covers its size and three parts of it."""
    if isinstance(content, (np.ndarray, bytes)):
        return _state(content)
    size = os.path.getsize(content)
    digest = hashlib.sha256(str(size).encode())
    with open(content, "rb") as file:
        for place in (0, size // 2, max(0, size - SAMPLED)):
            file.seek(place)
            digest.update(file.read(SAMPLED))
    return digest.hexdigest()


def _state(content):
    if isinstance(content, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(content)).hexdigest()
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    try:
        status = os.stat(content)
    except OSError:  # a link to nowhere: reading it raises the error
        return [os.path.abspath(content)]
    return [os.path.abspath(content), status.st_size, status.st_mtime_ns]
