"""The safetensors format, by the library of its authors.

Reference:
    [Safetensors, format](https://huggingface.co/docs/safetensors/index#format)
"""

import json
import math

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tf_cyclegan.weights.pytorch.tensors import (
    DTYPES,
    SAVE_AGAIN,
    Region,
    Storage,
    checked_tensor,
    contiguous_strides,
    itemsize,
)
from tf_cyclegan.weights.unreadable import refuse, shown

HEADER_BYTES = 2**20  # about 10,000 tensors
# By the format's names, as F16 and BF16.
_DTYPES = {name.replace("float", "f").replace("uint", "u").replace("int", "i").upper(): name for name in DTYPES}


def read_header(file):
    """Reads the header of a safetensors file.

    Args:
        file: binary file, opened by its path.

    Returns:
        Dict of names to `Tensor`, and dict of the keys of their storages to `Region`.

    Raises:
        Unreadable: if the header is no such header, or does not cover the rest of the file exactly once.
    """
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > HEADER_BYTES:
        refuse(f"a header of at most {HEADER_BYTES} bytes", f"{length}")
    _check_names(file.read(length))
    tensors, regions, position = {}, {}, 8 + length
    for name, code, shape in _described(file.name):
        if code not in _DTYPES:
            refuse(f"one of {', '.join(_DTYPES)} as dtype of {shown(name)}", code, SAVE_AGAIN)
        dtype, count = _DTYPES[code], math.prod(shape)
        tensors[name] = checked_tensor(
            Storage(name, dtype, 0, count, count), dtype, 0, shape, contiguous_strides(shape)
        )
        regions[name] = Region(position, count * itemsize(dtype))
        position += regions[name].size
    return tensors, regions


def _check_names(header):
    """Raises `Unreadable` if a name stands twice: the library would take the last tensor of this name."""
    try:
        json.loads(header, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):
        refuse("a header in JSON, every name once", shown(header))


def _without_repetition(pairs):
    if len(pairs) != len(dict(pairs)):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _described(path):
    """Names, dtypes and shapes in the order of the numbers, between which the library allows no gap."""
    try:
        with safe_open(path, "np") as file:
            views = {name: file.get_slice(name) for name in file.offset_keys()}
            return [(name, view.get_dtype(), tuple(view.get_shape())) for name, view in views.items()]
    except SafetensorError as error:
        return refuse(
            "tensors one behind the other to the end of the file", shown(str(error).rpartition("header: ")[2])
        )


def data_of(arrays):
    """The bytes of a safetensors file.

    Args:
        arrays: dict, names to pairs of PyTorch's dtype and array, in memory as in the file; bfloat16 as its bits.

    Returns:
        Bytes; all numbers stand aligned.
    """
    return save({name: array.view(dtype) if dtype == "bfloat16" else array for name, (dtype, array) in arrays.items()})
