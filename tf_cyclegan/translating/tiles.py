"""Images beyond memory, tile by tile, each with statistics of its own: simple, but no longer the same translation.

Neighbors overlap, and fade into each other where they do. A tile is normalized by what it shows itself, so that colors
and contrast drift from tile to tile: the seams are soft, not gone.
"""

import numpy as np

from tf_cyclegan.data.images import to_float


def translate_in_tiles(translate, image, size, overlap, multiple, progress=lambda pixels: None):
    """Translates an image tile by tile.

    Args:
        translate: callable, a float32 array `(height, width, channels)` in [-1, 1] to its translation.
        image: array `(height, width, channels)` in [0, 255].
        size: int, height and width of a tile, which are rounded up to a multiple that has room for the overlap; the
            last ones of a row and of a column may be up to `multiple` longer.
        overlap: int from 0 to half of `size`, pixels that neighbors have in common at least.
        multiple: int, tiles begin at multiples of it, so that all see the grid of the network's strides alike.
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
        if band is not None:  # what the rows before have left over
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
    """The share of each tile of one axis in its pixels: at each pixel those of all tiles sum to one."""
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
