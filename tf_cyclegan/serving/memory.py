"""Memory of running requests: what images will take, and what there is."""

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
_SHARE = 0.8  # of what is free when the server starts; the rest is for documents, and for what is not foreseen
_MAX_VALUES = 2**25  # of what is measured; requests, too, have no more unless their limit is raised
_SIDE = 256  # of the image that is measured: networks that pad to a multiple have none larger
# Kernels take memory that TensorFlow's allocator does not see. In all, a ResNet generator takes 1.7 times what it sees,
# a U-Net 1.6 times.
_UNSEEN = 2
_GROUPS = Path("/proc/self/cgroup")
_FILES = {  # of version 2 and of version 1
    "": (Path("/sys/fs/cgroup"), ("memory.max", "memory.current", "memory.stat")),
    "memory": (Path("/sys/fs/cgroup/memory"), ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")),
}


class MemoryBudget:
    """What the requests that run may take together.

    Args:
        total_bytes: optional int. Defaults to 80 % of what is free now, in the container if there is one.
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
            ServingError: if there is not as much (RESOURCE_EXHAUSTED).
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
    """Memory that the server may still take: the machine's, or what is left of its container's limit."""
    free = psutil.virtual_memory().available
    for limit, used, cache in _group_files():
        with contextlib.suppress(OSError, ValueError):  # no limit is "max", or no file
            free = min(free, _number(limit) - _number(used) + _cached(cache))
    return max(free, 0)


def _group_files():
    """Files of the limit, the use, and what of that is cache, of the control groups that the process is in."""
    with contextlib.suppress(OSError):
        for line in _GROUPS.read_text().splitlines():
            _, controllers, place = line.split(":", 2)
            if controllers in ("", "memory"):
                folder, names = _FILES[controllers]
                group = folder / place.lstrip("/")
                for part in (group, *group.parents):  # a limit of the groups around it holds too
                    yield [part / name for name in names]


def _number(file):
    return int(file.read_text())


def _cached(file):
    fields = dict(line.split() for line in file.read_text().splitlines())
    return int(fields.get("total_inactive_file", fields.get("inactive_file", 0)))


# ---- what images take ----


def bytes_a_pixel(engine):
    """What the signatures of a model take for each pixel, by a run of each on a black image of 256 x 256.

    Those that would change the model or a file are not run, nor those of fixed large images that would not fit.

    Args:
        engine: `Engine`.

    Returns:
        dict, name of a signature to bytes; 0 for those that take no such image. Those that could not be measured have
        the most of the others.
    """
    shapes = {
        name: {input_name: _example_shape(info) for input_name, info in signature.inputs.items()}
        for name, signature in engine.signatures.items()
    }
    found, most = {}, 0
    for name in sorted(shapes, key=lambda name: _values(shapes[name])):  # what small ones take warns of large ones
        if most * _values(shapes[name]) < free_bytes() / 2:
            found[name] = _bytes_a_pixel(engine, name, shapes[name])
            most = max(most, found[name] or 0)
    return {name: most if found.get(name) is None else found[name] for name in shapes}


def _values(shapes):
    """How many values the examples have, files counting as one; images have fewer pixels."""
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
    except Exception as error:  # it takes something else; that is no reason not to serve it
        _log.debug("What a pixel takes in %s is not known: %s", name, error)
        return None


def _example_shape(info):
    """The shape that a signature gives, with sizes where any goes; channels may come first."""
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
