"""NumPy's `.npy` files: what their headers promise is held against the file before any memory is taken."""

import math
import os

import numpy as np

MAGIC = b"\x93NUMPY"


def is_npy(stream):
    """Whether a binary stream, which stays where it is, goes on with a `.npy` file."""
    start = stream.read(len(MAGIC))
    stream.seek(-len(start), os.SEEK_CUR)
    return start == MAGIC


def read_header(stream):
    """Reads the header of a `.npy` file.

    Args:
        stream: binary stream, at the beginning of the file; it is left at the beginning of the numbers.

    Returns:
        `(shape, dtype)`.

    Raises:
        ValueError: if it is no header, tells of Python objects, or of more than the file holds.
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


def read(stream):
    """Reads the array that follows the header of a `.npy` file, from the beginning of the file.

    Raises:
        ValueError: as `read_header`.
    """
    start = stream.tell()
    read_header(stream)
    stream.seek(start)
    return np.load(stream, allow_pickle=False)


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
