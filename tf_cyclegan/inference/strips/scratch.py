"""Maps of a network in files of the scratch folder; the files vanish when the process ends."""

import contextlib
import errno
import math
import shutil
import tempfile

import numpy as np
import tensorflow as tf

_GIGABYTE = 10**9


class Map:
    """A map `(1, height, width, channels)` in a file without a name.

    The file is read and written, not mapped into memory: mapped pages would count as memory of the process.

    Args:
        folder: path of the folder that holds the file.
        height, width, channels: int.
        dtype: str, as `"float32"`.

    Raises:
        ValueError: if the file cannot be made; from `write`, if the disk is full.
    """

    def __init__(self, folder, height, width, channels, dtype):
        self.folder = folder
        self.dtype = tf.as_dtype(dtype).as_numpy_dtype
        self.shape = (1, height, width, channels)
        self.row_bytes = width * channels * np.dtype(self.dtype).itemsize
        with _explained(folder):
            self.file = tempfile.TemporaryFile(dir=folder, buffering=0)

    def write(self, start, rows):
        """Writes a tensor `(1, rows, width, channels)` from the row `start` on."""
        with _explained(self.folder):
            self.file.seek(start * self.row_bytes)
            left = memoryview(np.asarray(rows).reshape(-1).view(np.uint8))
            while left:
                left = left[self.file.write(left) :]

    def read(self, start, stop):
        """The rows from `start` to before `stop`, as an array `(1, rows, width, channels)`."""
        rows = np.empty((1, stop - start, *self.shape[2:]), self.dtype)
        left = memoryview(rows.reshape(-1).view(np.uint8))
        self.file.seek(start * self.row_bytes)
        while left:
            count = self.file.readinto(left)
            if not count:
                raise ValueError(f"`scratch_dir` has lost a file of the translation. Received: {str(self.folder)!r}")
            left = left[count:]
        return rows

    def close(self):
        """Deletes the file."""
        self.file.close()


def check_space(folder, size):
    """Raises `ValueError` unless `size` bytes are free in a folder."""
    with _explained(folder):
        free = shutil.disk_usage(folder).free
    if free < size:
        raise ValueError(
            f"`scratch_dir` must have {size / _GIGABYTE:,.1f} GB free for the maps of this image, or take "
            f"`tile_statistics` 'tile'. Received: {str(folder)!r} with {free / _GIGABYTE:,.1f} GB"
        )


def map_bytes(size, channels, dtype):
    """The bytes of a map whose size is `(height, width)`."""
    return math.prod(size) * channels * tf.as_dtype(dtype).size


@contextlib.contextmanager
def _explained(folder):
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ValueError(f"`scratch_dir` must have more space: {str(folder)!r} is full") from error
        raise ValueError(f"`scratch_dir` must be a folder to write to. Received: {str(folder)!r}: {error}") from error
