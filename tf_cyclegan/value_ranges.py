"""Ranges of values: which numbers of a file networks see as black and white, and the way back."""

import numpy as np

from tf_cyclegan.checks import check_range


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


def to_levels(array, value_range=None):
    """Maps a range of values to [0, 255].

    Args:
        array: array of numbers.
        value_range: as of `range_of`.

    Returns:
        Array of the same shape, float32 in [0, 255]; uint8 without `value_range` stays as it is.

    Raises:
        ValueError: as `range_of`, and for values that are not finite.
    """
    low, high = range_of(array.dtype, value_range)
    if array.dtype == np.uint8 and value_range is None:
        return array
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError("an array with values that are not finite")
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
    """Whether numbers of a type hold a range, at least as finely as 8 bits do; None for that of the type."""
    dtype = np.dtype(dtype)
    if value_range is None or dtype.kind == "f":
        return True
    low, high = value_range
    return np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max and high - low >= 255


def range_in(dtype, value_range=None):
    """The values that stand for a range in integers of a type: the same, or all that there are."""
    return value_range if value_range is not None and holds(dtype, value_range) else range_of(np.dtype(dtype))


def as_text(value_range):
    """A range for people: `-1000 to 2000`."""
    return " to ".join(f"{value:.10g}" for value in value_range)
