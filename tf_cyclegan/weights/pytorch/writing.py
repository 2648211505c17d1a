"""Writing checkpoint files that PyTorch reads, without PyTorch."""

import io
import os
import struct
import zipfile

import numpy as np

from tf_cyclegan.files import write_whole
from tf_cyclegan.weights.pytorch.pickles import PICKLE_BYTES
from tf_cyclegan.weights.pytorch.reading import NAME_LENGTH
from tf_cyclegan.weights.pytorch.safetensors import HEADER_BYTES, data_of
from tf_cyclegan.weights.pytorch.tensors import DTYPES, contiguous_strides

_ALIGNMENT = 64
_NAMES = 5000  # more would need more steps than reading allows a pickle
# bfloat16 arrays, which `ml_dtypes` gives NumPy, are written as they are.
_STORAGES = {
    "float16": "HalfStorage",
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "bfloat16": "BFloat16Storage",
    "int8": "CharStorage",
    "int16": "ShortStorage",
    "int32": "IntStorage",
    "int64": "LongStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


def write_checkpoint(path, state):
    """Writes weights as `torch.load(path, weights_only=True)` reads them, without PyTorch.

    The file is written aside and renamed: an earlier one stays until the new one is whole. A state read again is equal
    bit for bit, but `read_checkpoint` strips the prefixes `module.` and `_orig_mod.` and makes bfloat16 float32.

    Args:
        path: str or path; one that ends in `.safetensors` gets that format, any other the one of PyTorch since 1.6.
        state: dict, PyTorch's names to arrays in PyTorch's layout: float16, float32, float64, bfloat16, bool or
            integers (uint16, uint32 and uint64 need PyTorch 2.3 to be read). Dicts of them, as UNIT's `{"a": ...,
            "b": ...}`, stay dicts, or become dotted names in a safetensors file.

    Raises:
        ValueError: if `state` is empty, or a name or dtype in it cannot be written.
        OSError: if the file cannot be written; nothing is left behind.

    Example:
        >>> write_checkpoint("net.pth", {"model.1.bias": np.zeros(4, "float32")})
    """
    arrays = _checked(state)
    of_safetensors = os.fspath(path).endswith(".safetensors")
    write_whole(os.path.expanduser(path), _safetensors(arrays) if of_safetensors else _zip(arrays, state))


def _checked(state):
    """Dotted names to pairs of PyTorch's dtype and little-endian array."""
    items = list(_items(state)) if isinstance(state, dict) else []
    if not 0 < len(items) <= _NAMES:
        received = f"{len(items)} names" if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"`state` must be a dict of 1 to {_NAMES} names and arrays. Received: {received}")
    if len(dict(items)) < len(items):
        raise ValueError("`state` must have every dotted name once. Received: the same by a dict and by a dot")
    return {name: _checked_array(name, value) for name, value in items}


def _items(state, prefix=""):
    for name, value in state.items():
        dotted = prefix + _checked_name(name)
        yield from _items(value, f"{dotted}.") if isinstance(value, dict) else [(_checked_name(dotted), value)]


def _checked_name(name):
    if not isinstance(name, str) or len(name) > NAME_LENGTH or any(0xD800 <= ord(letter) < 0xE000 for letter in name):
        raise ValueError(f"`state` must have names of at most {NAME_LENGTH} letters. Received: {ascii(name)[:80]}")
    return name


def _checked_array(name, value):
    array = np.asarray(value)
    if array.dtype.name not in DTYPES:
        allowed = ", ".join(DTYPES)
        raise ValueError(f"`state` must have arrays of {allowed}. Received: {array.dtype} at {name!r}")
    dtype = array.dtype.name
    # NumPy itself cannot swap the bytes of bfloat16; it is taken as its bits.
    bits = array.view(np.uint16) if dtype == "bfloat16" else array
    return dtype, np.asarray(bits, DTYPES[dtype], order="C")


def _safetensors(arrays):
    data = data_of(arrays)
    _check_within(HEADER_BYTES, int.from_bytes(data[:8], "little"))
    return data


def _check_within(limit, size):
    """Raises `ValueError` where `read_checkpoint` would refuse what describes the arrays."""
    if size > limit:
        raise ValueError(f"`state` must have names and shapes of at most {limit} bytes. Received: {size}")


def _bytes(array):
    return array.reshape(-1).view(np.uint8).data


def _zip(arrays, state):
    file, pickled = io.BytesIO(), _pickled(arrays, state)
    _check_within(PICKLE_BYTES, len(pickled))
    with zipfile.ZipFile(file, "w") as archive:
        _write_record(archive, "data.pkl", pickled)
        _write_record(archive, "byteorder", b"little")
        for key, (_, array) in enumerate(arrays.values()):
            _write_record(archive, f"data/{key}", _bytes(array))
        _write_record(archive, "version", b"3\n")
    return file.getbuffer()


def _write_record(archive, name, data):
    """Writes a stored record. An extra field in its header moves its numbers to a multiple of 64 bytes."""
    record = zipfile.ZipInfo(f"archive/{name}")
    start = archive.fp.tell() + zipfile.sizeFileHeader + len(record.filename) + 4
    padding = -start % _ALIGNMENT
    record.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
    archive.writestr(record, data)
    record.extra = b""  # the directory at the end needs no padding


def _pickled(arrays, state):
    """A pickle of protocol 2: an ordered dict of calls that make the tensors, or of such dicts."""
    keys = {name: key for key, name in enumerate(arrays)}

    def pickled_dict(values, prefix=""):
        items = []
        for name, value in values.items():
            dotted = prefix + name
            nested = isinstance(value, dict)
            pickled = pickled_dict(value, f"{dotted}.") if nested else _tensor(keys[dotted], *arrays[dotted])
            items.append(_text(name) + pickled)
        return _EMPTY_DICT + b"(" + b"".join(items) + b"u"

    return b"\x80\x02" + pickled_dict(state) + b"."


def _text(text):
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _integer(value):
    if value < 2**31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + struct.pack("<q", value)


def _tuple(*parts):
    return b"(" + b"".join(parts) + b"t"


def _name(module, name):
    return f"c{module}\n{name}\n".encode()


_EMPTY_DICT = _name("collections", "OrderedDict") + b")R"


def _tensor(key, dtype, array):
    """Storage, offset, sizes, strides, no gradient, no hooks; newer dtypes, which no typed storage has, come last."""
    typed = dtype in _STORAGES
    kind = _name("torch", _STORAGES[dtype]) if typed else _name("torch.storage", "UntypedStorage")
    count = array.size if typed else array.nbytes
    storage = _tuple(_text("storage"), kind, _text(str(key)), _text("cpu"), _integer(count)) + b"Q"
    layout = [_tuple(*map(_integer, sizes)) for sizes in (array.shape, contiguous_strides(array.shape))]
    parts = [storage, _integer(0), *layout, b"\x89", _EMPTY_DICT] + ([] if typed else [_name("torch", dtype)])
    return _name("torch._utils", "_rebuild_tensor_v2" if typed else "_rebuild_tensor_v3") + _tuple(*parts) + b"R"
