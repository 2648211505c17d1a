"""Where images come from: the names `load_dataset` knows, and the images of a domain before they are decoded."""

import dataclasses
import difflib
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_cyclegan import images
from tf_cyclegan.data import bundled, folders, tfds

# Part of every fingerprint: raise it when reading or resizing gives other pixels, so that old caches are not used.
CACHE_VERSION = 1
Range = tuple[float, float] | None


@dataclasses.dataclass(frozen=True)
class Images:
    """The images of one domain, not yet decoded.

    Args:
        names: what each is called in messages and by `names()`.
        contents: for each a path, the bytes of an encoded file, or a uint8 array `(height, width, channels)`.
        channels: channels to read. Defaults to 3.
        value_range: `(low, high)` of 16-bit files and `.npy`, see `tf_cyclegan.images.read_image`. Defaults to `None`.
    """

    names: Sequence[str]
    contents: Sequence[os.PathLike | bytes | np.ndarray]
    channels: int = 3
    value_range: Range = None

    def __len__(self) -> int:
        return len(self.names)

    def header(self, index: int) -> tuple[int, int, str]:
        """`(height, width, dtype)` of an image, without decoding it."""
        content = self.contents[index]
        if isinstance(content, np.ndarray):
            return content.shape[0], content.shape[1], str(content.dtype)
        return images.read_header(content, self.channels, self.value_range, self.names[index])

    def read(self, index: int) -> np.ndarray:
        """An image: `(height, width, channels)`, uint8 or float32, in [0, 255]."""
        content = self.contents[index]
        if isinstance(content, np.ndarray):
            return images.convert_channels(content, self.channels)
        return images.read_image(content, self.channels, self.value_range, self.names[index])

    def fingerprint(self) -> str:
        """A digest that changes with the files or with how they are read."""
        state = [_state(content) for content in self.contents]
        text = json.dumps([CACHE_VERSION, list(self.names), state, self.channels, self.value_range])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Source:
    """Two domains of one split.

    Args:
        name: what the data set is called.
        images_a, images_b: the `Images` of the domains.
        paired: whether image i of one domain belongs to image i of the other in training.
        native_size: side of drawings made for one size, in pixels; `None` for photographs.
    """

    name: str
    images_a: Images
    images_b: Images
    paired: bool = False
    native_size: int | None = None


def find_source(
    name: str,
    split: str,
    *,
    data_a: str | os.PathLike | None = None,
    data_b: str | os.PathLike | None = None,
    test_share: float = 0.1,
    channels: tuple[int, int] = (3, 3),
    value_range: Range = None,
    paired: bool = False,
    data_dir: str | os.PathLike | None = None,
    mirror: str | None = None,
) -> Source:
    """Finds the images of a data set. See `load_dataset` for the arguments.

    Raises:
        ValueError: if the data set is unknown, or a domain of it has no images.
    """
    as_a, as_b = (functools.partial(Images, channels=count, value_range=value_range) for count in channels)
    if data_a is not None or data_b is not None:
        _check_two_folders(name, data_a, data_b)
        found = folders.hold_out(data_a, data_b, split, test_share, paired)
        label = f"{pathlib.Path(data_a).name}+{pathlib.Path(data_b).name}"
        return Source(label, as_a(*found[0]), as_b(*found[1]), paired)
    if name in bundled.STYLES:
        return _bundled_source(name, split, paired, as_a, as_b)
    if name in tfds.NAMES:
        if paired:
            raise ValueError(f"`paired` is not possible with {name!r}: TFDS stores each domain in an order of its own.")
        found = tfds.find(name, split, data_dir, mirror)
    elif os.path.isdir(name):
        found = folders.find(name, split, paired)
    else:
        raise ValueError(_unknown(name))
    return Source(os.fspath(name), as_a(*found[0]), as_b(*found[1]), paired)


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
    known = [*bundled.STYLES, *tfds.NAMES]
    text = str(name)
    close = difflib.get_close_matches(text, known, n=1) or difflib.get_close_matches("cycle_gan/" + text, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return (
        f"`name` must be {', '.join(map(repr, bundled.STYLES))}, 'cycle_gan/NAME' with NAME one of "
        f"{', '.join(n.partition('/')[2] for n in tfds.NAMES)}, or an existing folder with trainA, trainB, testA and "
        f"testB. Received: name={text!r}, which is none of these.{hint}"
    )


def _state(content):
    if isinstance(content, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(content)).hexdigest()
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    status = os.stat(content)
    return [os.path.abspath(content), status.st_size, status.st_mtime_ns]
