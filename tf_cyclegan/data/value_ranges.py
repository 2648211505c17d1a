"""Ranges of values: the numbers in files that become black and white for networks, and the way back."""

from typing import NamedTuple

import numpy as np

from tf_cyclegan.settings.checks import check_range

# A note follows if less than this share of a range is used, or more than this share of the values is clipped.
LEAST_USED, MOST_CLIPPED = 0.1, 0.25


class Use(NamedTuple):
    """How images use the range that they are read by.

    Args:
        low, high: the range.
        integers: whether the values are whole numbers.
        fixed: whether another range cannot be given, as for image files of 8 bits.
        lowest, highest: the lowest and the highest value.
        clipped, count: the number of values beyond the range, and of all values.
        cut: the number of images with colors of 16 bits, which are read in 8.
    """

    low: float
    high: float
    integers: bool
    fixed: bool
    lowest: float
    highest: float
    clipped: int
    count: int
    cut: int = 0


def range_of(dtype, value_range=None):
    """The values that become black and white.

    Args:
        dtype: NumPy's data type of the values.
        value_range: optional `(low, high)`. Defaults to the range of the data type.

    Returns:
        `(low, high)`, floats.

    Raises:
        ValueError: if these are no numbers, or floating-point ones without `value_range`.
    """
    if dtype.kind not in "buif":
        raise ValueError(f"an array of kind {dtype}, expected numbers")
    if value_range is not None:
        check_range("value_range", value_range)
        return tuple(map(float, value_range))
    if dtype.kind == "f":
        raise ValueError(f"an array of {dtype} needs `value_range`, the values that become black and white")
    return (0.0, 1.0) if dtype.kind == "b" else (float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))


def to_levels(array, value_range=None, seen=None):
    """Maps a range of values to [0, 255].

    Args:
        array: array of numbers.
        value_range: as in `range_of`.
        seen: optional callable that gets what `use_of` takes. Defaults to None.

    Returns:
        Array of the same shape, float32 in [0, 255]; uint8 without `value_range` stays as it is.

    Raises:
        ValueError: as `range_of`, and for values that are not finite.
    """
    low, high = range_of(array.dtype, value_range)
    if not np.isfinite(array).all():
        raise ValueError("an array with values that are not finite")
    if seen:
        seen(array, (low, high))
    if array.dtype == np.uint8 and value_range is None:
        return array
    array = array.astype(np.float64)
    return np.clip((array - low) * (255.0 / (high - low)), 0, 255).astype(np.float32)


def from_unit(images, value_range, dtype):
    """Maps [-1, 1] to a range of values.

    Args:
        images: array of floats in [-1, 1].
        value_range: `(low, high)`.
        dtype: NumPy's data type of the values: floats, or integers, which are rounded to the nearest and clipped to
            the range.

    Returns:
        Array of the same shape.
    """
    low, high = value_range
    values = low + (np.asarray(images, np.float64) + 1) * ((high - low) / 2)
    if np.dtype(dtype).kind in "ui":
        values = np.clip(np.rint(values), low, high)
    return values.astype(dtype)


def holds(dtype, value_range):
    """Whether a data type holds a range of values at least as finely as 8 bits do; `None` is the range of the type."""
    dtype = np.dtype(dtype)
    if value_range is None or dtype.kind == "f":
        return True
    low, high = value_range
    return np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max and high - low >= 255


def range_in(dtype, value_range=None):
    """The values that stand for a range in integers of a type: the range if they hold it, else all integers."""
    return value_range if value_range is not None and holds(dtype, value_range) else range_of(np.dtype(dtype))


def as_text(value_range):
    """A range for people: `-1000 to 2000`."""
    return " to ".join(f"{value:.10g}" for value in value_range)


def use_of(array, value_range, fixed=False, cut=False):
    """The `Use` of a range by an array of values; `fixed` and `cut` as in `Use`."""
    low, high = value_range
    lowest, highest = float(array.min()), float(array.max())
    clipped = 0 if low <= lowest and highest <= high else int(np.count_nonzero((array < low) | (array > high)))
    return Use(low, high, array.dtype.kind in "bui", fixed, lowest, highest, clipped, array.size, int(cut))


def joined_use(uses):
    """The `Use` of several images together: of the most that are read by one range; None without images."""
    groups = {}
    for use in uses:
        groups.setdefault(use[:4], []).append(use)
    if not groups:
        return None
    key, uses = max(groups.items(), key=lambda item: len(item[1]))
    *_, lowest, highest, clipped, count, cut = zip(*uses, strict=True)
    return Use(*key, min(lowest), max(highest), sum(clipped), sum(count), sum(cut))


def notes_on(use, name="value_range"):
    """Notes on a `Use` that looks like a mistake, or loses information.

    Args:
        use: `Use`, or None.
        name: str, the argument that gives the range; None for the range of a training, which stays.

    Returns:
        List of str, to be read after "has".
    """
    if use is None:
        return []
    cut = [f"{use.cut:,} image{'s' * (use.cut != 1)} of 16-bit colors, read in 8 bits"] if use.cut else []
    return [*cut, *filter(None, [_misfit(use, name)])]


def _misfit(use, name):
    used = max(0, min(use.highest, use.high) - max(use.lowest, use.low)) / (use.high - use.low)
    clipped = use.clipped / use.count
    if used >= LEAST_USED and clipped <= MOST_CLIPPED:
        return None
    what = f"{clipped:.0%} are clipped" if clipped > MOST_CLIPPED else f"{used:.0%} is used"
    what = what.replace("%", " %")
    found = f"values from {use.lowest:.6g} to {use.highest:.6g}, read as {use.low:.6g} to {use.high:.6g}: {what}"
    return f"{found}. {_remedy(use, name)}"


def _remedy(use, name):
    low, high = use.lowest, use.highest
    if use.integers and low >= 0:  # of so many bits
        low, high = 0, 2 ** int(high).bit_length() - 1
    if use.fixed:
        return (
            "Image files of 8 bits have no other range: brighten them, or save them as .npy; label maps take "
            "`label_classes`"
        )
    if high <= low:
        return "They are all the same"
    return f"`{name}` {low:.6g} {high:.6g} takes them all" if name else "The training read its files so"
