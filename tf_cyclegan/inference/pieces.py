"""Translation of large images in pieces: strips with the statistics of the whole image, or tiles."""

import contextlib
import dataclasses
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tf_cyclegan.data.images import to_float
from tf_cyclegan.inference.outputs import writing
from tf_cyclegan.inference.strips import Walk, flattened
from tf_cyclegan.inference.translators import computing
from tf_cyclegan.models.any_size import mirrored
from tf_cyclegan.settings.checks import check_integer

_GIGABYTE = 10**9
# The settings that only strips use, and those that only tiles use, by `tile_statistics`.
_SETTINGS = {"image": {"tile_memory", "scratch_dir"}, "tile": {"tile_size", "tile_overlap"}}
_BAR = "{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
# For exported models, whose strides are not known. Only U-Nets have a larger multiple.
_ANY_MULTIPLE = 32


def check_use(tiles):
    """Raises `ValueError` for settings that have no use with the others.

    Args:
        tiles: `TileSettings`.
    """
    if not tiles.tile:
        names, case = _SETTINGS["image"] | _SETTINGS["tile"] | {"tile_statistics"}, "without `tile`"
    else:
        other = "tile" if tiles.tile_statistics == "image" else "image"
        names, case = _SETTINGS[other], f"with `tile_statistics` {tiles.tile_statistics!r}"
    for field in dataclasses.fields(tiles):
        value = getattr(tiles, field.name)
        if field.name in names and value != field.default:
            raise ValueError(f"`{field.name}` has no use {case}. Received: {field.name}={value}")


def check_pieces(tiles, translator, model):
    """Raises `ValueError` unless the settings for pieces make sense for a translator.

    Args:
        tiles: `TileSettings`.
        translator: `Translator`.
        model: path of the model, as the user gave it.
    """
    check_integer("tile_size", tiles.tile_size, 64)
    check_integer("tile_overlap", tiles.tile_overlap, 0)
    if 2 * tiles.tile_overlap > tiles.tile_size:
        raise ValueError(
            f"`tile_overlap` must be at most half of `tile_size`. Received: tile_overlap={tiles.tile_overlap}, "
            f"tile_size={tiles.tile_size}"
        )
    if not tiles.tile_memory > 0:
        raise ValueError(f"`tile_memory` must be above 0 GB. Received: tile_memory={tiles.tile_memory}")
    if tiles.tile_statistics == "image" and translator.network is None:
        raise ValueError(
            "`tile_statistics` must be 'tile' for an exported model, whose layers cannot be computed one by one: take "
            f"the run or the .keras file it was exported from. Received: model={str(model)!r}"
        )
    if tiles.tile_statistics == "image":
        flattened(translator.network)  # fails before the first image, not once for each of a thousand


def translate_in_pieces(translator, image, target, numbers, extras, tiles, report):
    """Translates an image and writes it; only a strip or a row of tiles is in memory as floats.

    Args:
        translator: `Translator`.
        image: array `(height, width, channels)` in [0, 255].
        target: path of the translation.
        numbers: the `Numbers` that it is written in.
        extras: its `Extras`.
        tiles: `TileSettings`.
        report: callable, takes a line of text: the work, memory and disk space that strips need.

    Raises:
        ValueError: if the network cannot be computed in strips, or the memory, the scratch folder or the format of
            `target` is too small.
        OSError: if the translation cannot be written.
    """
    find = _strips if tiles.tile_statistics == "image" else _tiles
    height, width = image.shape[:2]
    with (
        writing(target, (height, width, translator.output_channels), numbers, extras) as write,
        tqdm(bar_format=_BAR, leave=False, disable=None) as bar,
    ):
        # Closed also when a row cannot be written: the error would keep the scratch files as long as it exists.
        with contextlib.closing(find(translator, image, target, tiles, report, bar)) as pieces, computing():
            for first, rows in pieces:
                write(first, rows[: max(height - first, 0), :width])


def _strips(translator, image, target, tiles, report, bar):
    source = MirroredRows(image, translator.size_multiple)
    folder = tiles.scratch_dir or _existing(target.parent)
    walk = Walk(translator.network, source.size, int(tiles.tile_memory * _GIGABYTE), folder)
    plan = walk.plan
    report(
        f"{target.name}: {image.shape[1]}x{image.shape[0]} pixels in strips, {2 * plan.work / 1e12:,.1f} TFLOP, about "
        f"{plan.memory_bytes / _GIGABYTE:.1f} GB of memory besides TensorFlow's and the image's, "
        f"{plan.scratch_bytes / _GIGABYTE:.1f} GB of scratch files in {folder}"
    )
    bar.reset(plan.work)
    return walk.translate(source, bar.update)


def _tiles(translator, image, target, tiles, report, bar):
    multiple = translator.size_multiple or _ANY_MULTIPLE
    bar.reset(image.shape[0] * image.shape[1])
    return translate_in_tiles(translator, image, tiles.tile_size, tiles.tile_overlap, multiple, bar.update)


class MirroredRows:
    """Rows of `any_size.mirrored` of an image, made as they are asked for.

    Args:
        image: array `(height, width, channels)` in [0, 255].
        multiple: int, what height and width become multiples of.
    """

    def __init__(self, image, multiple):
        self.image, self.multiple = image, multiple
        self.size = tuple(-(-side // multiple) * multiple for side in image.shape[:2])

    def __call__(self, start, stop):
        """The rows from `start` to before `stop`, float32 `(1, rows, width, channels)` in [-1, 1]."""
        height = len(self.image)
        rows = self.image[start:stop]  # a slice is no copy
        if stop > height:
            rows = self.image[[min(row, 2 * height - 1 - row) for row in range(start, stop)]]
        return mirrored(to_float(rows)[None], self.multiple, axes=(2,))


def _existing(folder):
    """The folder, or the nearest folder above it that exists."""
    folder = Path(os.path.abspath(folder))
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def translate_in_tiles(translate, image, size, overlap, multiple, progress=lambda pixels: None):
    """Translates an image tile by tile.

    Args:
        translate: callable, a float32 array `(height, width, channels)` in [-1, 1] to its translation.
        image: array `(height, width, channels)` in [0, 255].
        size: int, height and width of a tile; they are rounded up to a multiple that has room for the overlap. The
            last tile of a row or column may be up to `multiple` longer.
        overlap: int from 0 to half of `size`, the least number of pixels that neighbors have in common.
        multiple: int, tiles begin at multiples of it, so that the strides of the network fall alike in all tiles.
        progress: callable that gets the pixels done since it was last called.

    Yields:
        `(first row, float32 array (rows, width, channels))` from the top down.

    Example:
        >>> for first, rows in translate_in_tiles(translator, image, 1024, 64, 4):  # doctest: +SKIP
        ...     output[first : first + len(rows)] = rows
    """
    height, width = image.shape[:2]
    rows, columns = (spans(side, size, overlap, multiple) for side in (height, width))
    shares = [fading(each, side, overlap) for each, side in ((rows, height), (columns, width))]
    band = None
    for number, (top, bottom) in enumerate(rows):
        strip = None
        for (left, right), share in zip(columns, shares[1], strict=True):
            tile = translate(to_float(image[top:bottom, left:right]))
            strip = np.zeros((bottom - top, width, tile.shape[2]), np.float32) if strip is None else strip
            strip[:, left:right] += tile * share[None, :, None]
            progress((bottom - top) * (right - left))
        strip *= shares[0][number][:, None, None]
        if band is not None:  # what the row of tiles above has left over
            strip[: len(band)] += band
        done = rows[number + 1][0] - top if number + 1 < len(rows) else bottom - top
        yield top, strip[:done]
        band = strip[done:]


def spans(side, size, overlap, multiple):
    """Where the tiles of one axis begin and end: a list of `(start, stop)`."""
    size = -(-max(size, overlap + multiple) // multiple) * multiple
    step = (size - overlap) // multiple * multiple
    last = max(side - size, 0) // multiple * multiple
    starts = [*range(0, last, step), last]
    return [(start, side if start == last else start + size) for start in starts]


def fading(spans, side, overlap):
    """The share of each tile of one axis in its pixels: at each pixel the shares of all tiles sum to one."""
    weights = []
    for start, stop in spans:
        place = np.arange(stop - start) + 0.5
        # The outermost tiles do not fade toward the border of the image.
        rise = place / overlap if start and overlap else np.ones_like(place)
        fall = place[::-1] / overlap if stop < side and overlap else np.ones_like(place)
        weights.append(np.minimum(np.minimum(rise, fall), 1))
    total = np.zeros(side)
    for (start, stop), weight in zip(spans, weights, strict=True):
        total[start:stop] += weight
    return [
        (weight / total[start:stop]).astype(np.float32) for (start, stop), weight in zip(spans, weights, strict=True)
    ]
