"""Memory of running requests: how much is free, and how much the images of a request will take."""

import contextlib
import io
import logging
import math
import threading
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from tf_cyclegan.serving.errors import ServingError
from tf_cyclegan.serving.limits import array_pixels

_log = logging.getLogger(__name__)
_SHARE = 0.8  # of the memory that is free when the server starts; the rest is for documents and surprises
_MAX_VALUES = 2**25  # of the example that is measured; by default a request has no more either
_SIDE = 256  # of the example image; no network pads to a larger multiple
# Kernels take memory that TensorFlow's allocator does not see: in all, a ResNet generator takes 1.7 times the memory
# that the allocator sees, a U-Net 1.6 times.
_UNSEEN = 2
_GROUPS = Path("/proc/self/cgroup")
_FILES = {  # of version 2 and of version 1
    "": (Path("/sys/fs/cgroup"), ("memory.max", "memory.current", "memory.stat")),
    "memory": (Path("/sys/fs/cgroup/memory"), ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")),
}


class MemoryBudget:
    """The memory that running requests may take together.

    Args:
        total_bytes: optional int. Defaults to 80 % of the memory that is free now, in the container if there is one.
    """

    def __init__(self, total_bytes=None):
        self.total = total_bytes or int(_SHARE * free_bytes())
        self._lock = threading.Lock()
        self.reserved = 0

    @contextlib.contextmanager
    def reserve(self, needed):
        """Keeps memory for a request while it runs.

        Args:
            needed: int, bytes.

        Raises:
            ServingError: if less is left (RESOURCE_EXHAUSTED).
        """
        with self._lock:
            left = self.total - self.reserved
            if needed > left:
                raise ServingError(
                    "RESOURCE_EXHAUSTED",
                    f"The images take about {_gigabytes(needed)} of memory. Free for images: {_gigabytes(left)} now, "
                    f"{_gigabytes(self.total)} in all. Send smaller images, fewer at a time, or try again later.",
                )
            self.reserved += needed
        try:
            yield
        finally:
            with self._lock:
                self.reserved -= needed


def _gigabytes(size):
    return f"{size / 1e9:.2f} GB"


def free_bytes():
    """The free memory of the machine, or the rest of the container's limit if that is less."""
    free = psutil.virtual_memory().available
    for limit, used, cache in _group_files():
        with contextlib.suppress(OSError, ValueError):  # without a limit the file says "max", or is missing
            free = min(free, _number(limit) - _number(used) + _cached(cache))
    return max(free, 0)


def _group_files():
    """Files with the limit, the use, and the cache within the use, of each control group of the process."""
    with contextlib.suppress(OSError):
        for line in _GROUPS.read_text().splitlines():
            _, controllers, place = line.split(":", 2)
            if controllers in ("", "memory"):
                folder, names = _FILES[controllers]
                group = folder / place.lstrip("/")
                for part in (group, *group.parents):  # the limits of the groups around it hold too
                    yield [part / name for name in names]


def _number(file):
    return int(file.read_text())


def _cached(file):
    fields = dict(line.split() for line in file.read_text().splitlines())
    return int(fields.get("total_inactive_file", fields.get("inactive_file", 0)))


# ---- the memory that images take ----


def bytes_a_pixel(engine):
    """Measures the memory that each signature takes for a pixel, by a run on a black image of 256 x 256.

    A signature that would change the model or a file is not run, nor one whose fixed image size would not fit.

    Args:
        engine: `Engine`.

    Returns:
        dict, name of a signature to bytes; 0 for a signature without images. A signature that could not be measured
        gets the highest number of the others.
    """
    shapes = {
        name: {input_name: _example_shape(info) for input_name, info in signature.inputs.items()}
        for name, signature in engine.signatures.items()
    }
    found, most = {}, 0
    for name in sorted(shapes, key=lambda name: _values(shapes[name])):  # small ones first: they warn of large ones
        if most * _values(shapes[name]) < free_bytes() / 2:
            found[name] = _bytes_a_pixel(engine, name, shapes[name])
            most = max(most, found[name] or 0)
    return {name: most if found.get(name) is None else found[name] for name in shapes}


def _values(shapes):
    """The number of values in the examples, each file counted as one; images have fewer pixels than values."""
    return sum(map(math.prod, shapes.values()))


def _bytes_a_pixel(engine, name, shapes):
    if _values(shapes) > _MAX_VALUES:
        return None
    try:
        tensors = engine.signatures[name].inputs
        inputs = {input_name: _example(tensors[input_name].dtype, shape) for input_name, shape in shapes.items()}
        pixels = sum(
            _SIDE**2 * array.size if array.dtype == object else array_pixels(array) for array in inputs.values()
        )
        return math.ceil(_UNSEEN * engine.peak_bytes(name, inputs) / pixels) if pixels else 0
    except Exception as error:  # it takes no image; the model is served nevertheless
        _log.debug("The memory for a pixel in %s is unknown: %s", name, error)
        return None


def _example_shape(info):
    """The shape of an example: sides that the signature leaves open get usual sizes; channels may come first."""
    rank = 1 if info.shape is None else len(info.shape)
    usual = (1,) * rank
    if rank == 4 and info.dtype != "string":
        first = info.shape[1] in range(1, 5) and info.shape[3] not in range(1, 5)
        usual = (1, 3, _SIDE, _SIDE) if first else (1, _SIDE, _SIDE, 3)
    return [given or size for given, size in zip(info.shape or usual, usual, strict=True)]


def _example(dtype, shape):
    if dtype != "string":
        return np.zeros(shape, dtype)
    file = io.BytesIO()
    Image.new("L", (_SIDE, _SIDE)).save(file, "PNG")
    return np.full(shape, file.getvalue(), object)
