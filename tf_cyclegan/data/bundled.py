"""The emoji that come with the package: real drawings in three styles, so that nothing needs to be downloaded."""

import functools
import importlib.resources
import io
import json

import numpy as np
from PIL import Image

TILE = 64
# Data set: (style of A, style of B).
STYLES = {"emoji": ("flat", "modern"), "emoji/lines": ("lines", "flat")}
Found = tuple[tuple[list[str], list[np.ndarray]], tuple[list[str], list[np.ndarray]]]


def is_paired(name: str) -> bool:
    """Whether A[i] and B[i] are the same emoji in training (in the test split they always are)."""
    return name == "emoji/lines"


def find(name: str, split: str) -> Found:
    """The emoji of a split.

    Args:
        name: `"emoji"` (flat to modern, unpaired: no emoji is in both training domains) or `"emoji/lines"` (line art
            to flat color, paired).
        split: `"train"` or `"test"`.

    Returns:
        `((names_a, tiles_a), (names_b, tiles_b))`; the tiles are uint8 arrays `(64, 64, 3)`.
    """
    if split == "test":
        domains = ({"test"}, {"test"})
    elif is_paired(name):
        domains = ({"train_a", "train_b"}, {"train_a", "train_b"})
    else:
        domains = ({"train_a"}, {"train_b"})
    return tuple(_pick(style, splits) for style, splits in zip(STYLES[name], domains, strict=True))


def _pick(style, splits):
    tiles = read_sheet(style)
    chosen = [i for i, entry in enumerate(read_names()) if entry["split"] in splits]
    return [read_names()[i]["name"] for i in chosen], [tiles[i] for i in chosen]


@functools.cache
def read_names() -> list[dict[str, str]]:
    """The emoji in the order of the tiles, each with `name`, `group` (near-copies share one) and `split`."""
    return json.loads(_resource("names.json"))


def read_sheet(style: str) -> np.ndarray:
    """All tiles of a style: uint8 `(emoji, 64, 64, 3)`."""
    with Image.open(io.BytesIO(_resource(f"{style}.webp")), formats=("WEBP",)) as image:
        sheet = np.asarray(image.convert("RGB"))
    rows, columns = sheet.shape[0] // TILE, sheet.shape[1] // TILE
    tiles = sheet.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2).reshape(-1, TILE, TILE, 3)
    return tiles[: len(read_names())]


def _resource(name):
    # Named from the parent package: `emoji` holds data and is no package itself.
    return (importlib.resources.files("tf_cyclegan.data") / "emoji" / name).read_bytes()
