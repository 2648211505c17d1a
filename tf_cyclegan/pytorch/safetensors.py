"""The safetensors format: the length of a JSON header, the header, the numbers.

Reference:
    [Safetensors, format](https://huggingface.co/docs/safetensors/index#format)
"""

import json
import math
import struct

from tf_cyclegan.pytorch.refusal import SAVE_AGAIN, refuse, shown
from tf_cyclegan.pytorch.tensors import (
    DIMENSIONS,
    ELEMENTS,
    Region,
    Storage,
    checked_tensor,
    contiguous_strides,
    itemsize,
)

HEADER_BYTES = 2**20  # about 10,000 tensors
_CODES = {
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "BF16": "bfloat16",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "BOOL": "bool",
}


def read_header(file, size):
    """Reads what a safetensors file says about its tensors.

    Args:
        file: binary file.
        size: int, its size in bytes.

    Returns:
        Dict of names to `Tensor`, and dict of the keys of their storages to `Region`.

    Raises:
        Unreadable: if the header is no such header, or does not cover the rest of the file exactly once.
    """
    file.seek(0)
    (length,) = struct.unpack("<Q", file.read(8))
    if length > min(HEADER_BYTES, size - 8):
        refuse(f"a header of at most {min(HEADER_BYTES, size - 8)} bytes", f"{length}")
    entries = _parse(file.read(length))
    entries.pop("__metadata__", None)
    tensors, regions = {}, {}
    for name, entry in entries.items():
        tensors[name], regions[name] = _described(name, entry, 8 + length)
    _check_cover(regions.values(), 8 + length, size)
    return tensors, regions


def _parse(header):
    try:
        entries = json.loads(header.decode("utf-8"), object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):
        return refuse("a header in JSON, every name once", shown(header))
    if type(entries) is not dict:
        refuse("a header of names and tensors", f"a {type(entries).__name__}")
    return entries


def _without_repetition(pairs):
    if len(pairs) != len(dict(pairs)):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _described(name, entry, start):
    fields = [entry.get(key) for key in ("dtype", "shape", "data_offsets")] if type(entry) is dict else [None] * 3
    code, shape, offsets = fields
    if type(code) is not str or code not in _CODES:
        refuse(f"one of {', '.join(_CODES)} as dtype of {shown(name)}", "another", SAVE_AGAIN)
    if not _are_sizes(shape, DIMENSIONS) or not _are_sizes(offsets, 2) or len(offsets) != 2:
        refuse(f"a shape and two offsets of at least 0 for {shown(name)}", "something else")
    dtype, shape = _CODES[code], tuple(shape)
    count, size = math.prod(shape), offsets[1] - offsets[0]
    if count * itemsize(dtype) != size:
        refuse(f"{count * itemsize(dtype)} bytes for {shown(name)}", f"{size}")
    tensor = checked_tensor(Storage(name, dtype, 0, count, count), dtype, 0, shape, contiguous_strides(shape))
    return tensor, Region(start + offsets[0], size)


def _are_sizes(values, most):
    return (
        type(values) is list
        and len(values) <= most
        and all(type(value) is int and 0 <= value <= ELEMENTS for value in values)
    )


def _check_cover(regions, position, size):
    for region in sorted(regions, key=lambda region: (region.start, region.size)):
        if region.start != position:
            refuse(f"the next tensor at byte {position}", f"it at {region.start}")
        position += region.size
    if position != size:
        refuse(f"a file of {position} bytes", f"{size}")


def header_of(arrays):
    """The header of a safetensors file, with its length before it.

    Args:
        arrays: dict, names to pairs of PyTorch's dtype and array, in the order they will be written in.

    Returns:
        Bytes; their number is a multiple of 8, so that all numbers stand aligned when the widest come first.
    """
    codes, position, entries = {dtype: code for code, dtype in _CODES.items()}, 0, {}
    for name, (dtype, array) in arrays.items():
        end = position + array.nbytes
        entries[name] = {"dtype": codes[dtype], "shape": list(array.shape), "data_offsets": [position, end]}
        position = end
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header
