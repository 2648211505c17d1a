"""Arrays in `.npy` files: headers are checked against the length of the file before anything is read."""

import math
import os

import numpy as np

MAGIC = b"\x93NUMPY"


def is_npy(stream):
    """Whether a `.npy` file begins where a binary stream stands; the stream stays there."""
    start = stream.read(len(MAGIC))
    stream.seek(-len(start), os.SEEK_CUR)
    return start == MAGIC


def read_npy_header(stream):
    """Reads the header of a `.npy` file.

    Args:
        stream: binary stream, at the beginning of the file; it is left at the beginning of the numbers.

    Returns:
        `(shape, dtype)`.

    Raises:
        ValueError: if it is no header, or describes Python objects or more numbers than the file holds.
    """
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, _, dtype = read(stream)
    except Exception as error:  # NumPy takes the text for a Python expression, which fails in many ways
        raise ValueError("a .npy whose header is damaged") from error
    if dtype.hasobject:
        raise ValueError("a .npy of Python objects, which is never unpickled; expected numbers")
    if any(isinstance(side, bool) or side < 0 for side in shape):
        raise ValueError(f"a .npy whose header is damaged: shape {shape}")
    _check_length(stream, shape, dtype)
    return shape, dtype


def read_npy(stream, channels):
    """Reads the image in a `.npy` file.

    Args:
        stream: binary stream, at the beginning of the file.
        channels: int, the channels that it must have; a 2-D array has one.

    Returns:
        Array `(height, width, channels)`.

    Raises:
        ValueError: as `read_npy_header`, or if the array has another shape.
    """
    start = stream.tell()
    read_npy_header(stream)
    stream.seek(start)
    return _with_channels(np.load(stream, allow_pickle=False), channels)


def _check_length(stream, shape, dtype):
    here = stream.tell()
    there = stream.seek(0, os.SEEK_END) - here
    stream.seek(here)
    needed = math.prod(shape) * dtype.itemsize
    if there < needed:
        raise ValueError(
            f"a .npy cut short: by its header of shape {shape} in {dtype}, which takes {needed:,} bytes, of which "
            f"{there:,} are there"
        )


def npy_image_header(stream, channels):
    """The shape and the dtype of the array that `read_npy` would return."""
    shape, dtype = read_npy_header(stream)
    # An array of this shape that takes no memory is checked as the real one will be.
    return _with_channels(np.broadcast_to(np.zeros((), dtype), shape), channels).shape, dtype


def _with_channels(array, channels):
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] != channels or 0 in array.shape:
        raise ValueError(f"an array of shape {array.shape}, expected (height, width, {channels}) from `channels`")
    return array
