"""Tensors of weight files: storages, views of them, and their numbers as NumPy arrays in bounded memory."""

import dataclasses
import math
import zlib

import numpy as np

from tf_cyclegan.weights.unreadable import refuse

SAVE_AGAIN = "Where it was made, save it again by `torch.save(network.state_dict(), path)`."
# PyTorch's name of a dtype -> how its elements stand in a file. NumPy has no bfloat16: it is read as its 16 bits.
DTYPES = {
    "float16": "<f2",
    "float32": "<f4",
    "float64": "<f8",
    "bfloat16": "<u2",
    "int8": "<i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "uint8": "<u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
    "bool": "|b1",
}
DIMENSIONS = 32  # what every NumPy can hold
ELEMENTS = 2**48  # keeps the products of sizes far from overflow
CHUNK = 2**20
# Memory is promised to stay below twice the file plus 64 MiB; the rest of the 64 is for pickles, names and objects.
SLACK = 16 * 2**20


@dataclasses.dataclass(frozen=True, slots=True)
class Storage:
    """A run of elements: `count` from `first` on, of the `whole` that the file keeps under `key`."""

    key: str
    dtype: str
    first: int
    count: int
    whole: int


@dataclasses.dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage, in elements; made by `checked_tensor` only."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple
    strides: tuple


@dataclasses.dataclass(frozen=True, slots=True)
class Region:
    """Where the bytes of a storage stand in the file, and their checksum where the format has one."""

    start: int
    size: int
    checksum: int | None = None


def itemsize(dtype):
    return np.dtype(DTYPES[dtype]).itemsize


def checked_tensor(storage, dtype, offset, shape, strides):
    """A tensor none of whose elements lies outside its storage.

    Args:
        storage: `Storage`.
        dtype: str, a key of `DTYPES`.
        offset: int, the first element.
        shape: tuple of int.
        strides: tuple of int, in elements.

    Raises:
        Unreadable: if sizes, strides and offset do not fit together or into the storage.
    """
    if not (_are_sizes((offset,)) and _are_sizes(shape) and _are_sizes(strides) and len(shape) == len(strides)):
        refuse(f"sizes, strides and an offset of at least 0, in at most {DIMENSIONS} dimensions", "others", SAVE_AGAIN)
    if math.prod(max(1, size) for size in shape) > ELEMENTS:
        refuse(f"a tensor of at most {ELEMENTS} elements", "a larger one", SAVE_AGAIN)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    held = storage.count * itemsize(storage.dtype) // itemsize(dtype)
    if 0 not in shape and last >= held:
        refuse(f"a tensor inside the {held} elements of its storage", "one that ends outside")
    # Strides of axes with one element, and the offset of an empty tensor, may be any number. As 0, they compare equal.
    empty = 0 in shape
    walked = tuple(stride if size > 1 and not empty else 0 for size, stride in zip(shape, strides, strict=True))
    return Tensor(storage, dtype, 0 if empty else offset, shape, walked)


def _are_sizes(values):
    return len(values) <= DIMENSIONS and all(type(value) is int and value >= 0 for value in values)


def contiguous_strides(shape):
    """Strides of an array without gaps, in elements."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def read_arrays(file, tensors, regions, big_endian=False):
    """Reads every tensor into an array of its own; equal tensors share one.

    A tensor without gaps is read straight into its array. The storage of the others is held once, for all of them.

    Args:
        file: binary file.
        tensors: dict, names to `Tensor`.
        regions: dict, keys of storages to `Region` inside the file.
        big_endian: bool.

    Returns:
        Dict of names to arrays.

    Raises:
        Unreadable: if more memory would be needed than is promised, or a checksum is wrong.
    """
    by_storage = {}
    for tensor in tensors.values():
        by_storage.setdefault(tensor.storage.key, {})[tensor] = None
    _check_budget(file, by_storage, regions)
    arrays = {}
    for key, group in by_storage.items():
        region = regions[key]
        check_checksum(file, region)
        arrays |= _read_group(file, region, group, big_endian)
    return {name: arrays[tensor] for name, tensor in tensors.items()}


def _check_budget(file, by_storage, regions):
    size = file.seek(0, 2)
    needed = sum(_array_bytes(tensor) for group in by_storage.values() for tensor in group)
    strided = [key for key, group in by_storage.items() if any(_order(tensor) is None for tensor in group)]
    needed += max((regions[key].size for key in strided), default=0)
    if needed > 2 * size + SLACK:
        found = (
            f"tensors that need {needed} bytes of memory in a file of {size} bytes: views that repeat their elements"
        )
        refuse("tensors of about the size of the file", found, "Save them after `tensor.clone()`.")


def _array_bytes(tensor):
    return math.prod(tensor.shape) * (4 if tensor.dtype == "bfloat16" else itemsize(tensor.dtype))


def _order(tensor):
    """The axes from the outermost in memory to the innermost; None if the elements have gaps or repeat.

    Without gaps, a transposed tensor can be read straight into its array too.
    """
    axes = sorted(range(len(tensor.shape)), key=lambda axis: (-tensor.strides[axis], tensor.shape[axis] == 1))
    shape = [tensor.shape[axis] for axis in axes]
    expected = contiguous_strides(shape)
    walked = [
        (tensor.strides[axis], stride) for axis, stride in zip(axes, expected, strict=True) if tensor.shape[axis] > 1
    ]
    return axes if 0 in shape or all(stride == dense for stride, dense in walked) else None


def check_checksum(file, region):
    """Raises `Unreadable` if the file gives a checksum for a region and its bytes have another."""
    if region.checksum is None:
        return
    checksum = 0
    file.seek(region.start)
    for position in range(0, region.size, CHUNK):
        checksum = zlib.crc32(_exactly(file, min(CHUNK, region.size - position)), checksum)
    if checksum != region.checksum:
        refuse(f"numbers with the checksum {region.checksum:#010x}", f"{checksum:#010x}")


def _exactly(file, count):
    data = file.read(count)
    if len(data) != count:
        refuse(f"{count} bytes more", f"{len(data)}")
    return data


def _read_group(file, region, tensors, big_endian):
    """The arrays of the tensors in one storage."""
    raw, arrays = None, {}
    for tensor in tensors:
        if (axes := _order(tensor)) is not None:
            array = _read_dense(file, region, tensor, axes, big_endian)
        else:
            if raw is None:
                raw = _read_into(file, region.start, np.empty(region.size, np.uint8))
            array = _gathered(raw, tensor, big_endian)
        arrays[tensor] = _normalized(array, tensor.dtype)
    return arrays


def _read_dense(file, region, tensor, axes, big_endian):
    start, shape = region.start + _first_byte(tensor), [tensor.shape[axis] for axis in axes]
    if tensor.dtype == "bfloat16":
        array = _read_bfloat16(file, start, shape, big_endian)
    else:
        array = _read_into(file, start, np.empty(shape, DTYPES[tensor.dtype]))
        array = array.byteswap(inplace=True) if big_endian else array
    return array.transpose(np.argsort(axes))


def _first_byte(tensor):
    return tensor.storage.first * itemsize(tensor.storage.dtype) + tensor.offset * itemsize(tensor.dtype)


def _read_into(file, start, array):
    file.seek(start)
    read = file.readinto(memoryview(array.reshape(-1).view(np.uint8))) if array.size else 0
    if read != array.nbytes:
        refuse(f"{array.nbytes} bytes more", f"{read}")
    return array


def _read_bfloat16(file, start, shape, big_endian):
    """Reads in pieces: at once, the 16 bits and the 32 bits would take three times the file together."""
    bits = np.empty(math.prod(shape), np.uint32)
    for position in range(0, bits.size, CHUNK):
        piece = bits[position : position + CHUNK]
        half = _read_into(file, start + 2 * position, np.empty(piece.size, ">u2" if big_endian else "<u2"))
        np.left_shift(half, 16, out=piece, dtype=np.uint32)
    return bits.reshape(shape)


def _gathered(raw, tensor, big_endian):
    dtype = np.dtype(DTYPES[tensor.dtype]).newbyteorder(">" if big_endian else "<")
    first = _first_byte(tensor)
    elements = raw[first : first + (raw.size - first) // dtype.itemsize * dtype.itemsize].view(dtype)
    strides = [stride * dtype.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(elements, tensor.shape, strides, writeable=False)
    array = np.empty(tensor.shape, np.uint32 if tensor.dtype == "bfloat16" else DTYPES[tensor.dtype])
    if tensor.dtype == "bfloat16":
        return np.left_shift(view, 16, out=array, dtype=np.uint32)
    array[...] = view
    return array


def _normalized(array, dtype):
    if dtype == "bfloat16":
        return array.view(np.float32)
    if dtype == "bool":
        np.not_equal(array.view(np.uint8), 0, out=array)  # any other byte would be neither true nor false
    return array
