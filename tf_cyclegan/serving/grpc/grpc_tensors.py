"""Tensors in protos to arrays and back. The size that a proto claims is checked before it takes memory."""

import math

import ml_dtypes
import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.tensor_pb2 import TensorProto

from tf_cyclegan.serving.errors import ServingError, invalid
from tf_cyclegan.serving.model_signatures import MAX_RANK

# By type: the field with the values, the type in which the field keeps them, and the type of the array.
_TYPES = {
    "DT_FLOAT": ("float_val", "float32", np.float32),
    "DT_DOUBLE": ("double_val", "float64", np.float64),
    "DT_HALF": ("half_val", "int32", np.float16),
    "DT_BFLOAT16": ("half_val", "int32", ml_dtypes.bfloat16),
    "DT_INT8": ("int_val", "int32", np.int8),
    "DT_INT16": ("int_val", "int32", np.int16),
    "DT_INT32": ("int_val", "int32", np.int32),
    "DT_INT64": ("int64_val", "int64", np.int64),
    "DT_UINT8": ("int_val", "int32", np.uint8),
    "DT_UINT16": ("int_val", "int32", np.uint16),
    "DT_UINT32": ("uint32_val", "uint32", np.uint32),
    "DT_UINT64": ("uint64_val", "uint64", np.uint64),
    "DT_BOOL": ("bool_val", "bool", np.bool_),
    "DT_COMPLEX64": ("scomplex_val", "float32", np.complex64),
    "DT_COMPLEX128": ("dcomplex_val", "float64", np.complex128),
    "DT_STRING": ("string_val", "object", np.object_),
}
_READ = {types_pb2.DataType.Value(name): (field, kept, np.dtype(own)) for name, (field, kept, own) in _TYPES.items()}
_WRITE = {own: (number, field, kept) for number, (field, kept, own) in _READ.items()}
_CHUNK = 2**14  # values that are copied in one go, while no other thread of Python can run


def read_tensor(proto, name, max_bytes):
    """Reads a tensor's proto, also in the short form, whose last value stands for all that follow.

    Args:
        proto: `TensorProto`, from anybody.
        name: str, its name in an error.
        max_bytes: int, the most bytes of values.

    Returns:
        Array; strings are an object array of bytes.

    Raises:
        ServingError: if the type is not supported, the shape is missing or too large, or the values do not fit it.
    """
    if proto.dtype not in _READ:
        kind = types_pb2.DataType.Name(proto.dtype) if proto.dtype in types_pb2.DataType.values() else proto.dtype
        raise ServingError("UNIMPLEMENTED", f"Input {name} is of type {kind}, which is not taken")
    field, kept, dtype = _READ[proto.dtype]
    shape = _shape(proto.tensor_shape, name)
    # With a side of 0 there are no values, yet operations look at the other sides.
    claimed = math.prod(max(side, 1) for side in shape) * dtype.itemsize
    if claimed > max_bytes:
        raise invalid(f"Input {name} of shape {list(shape)} has {claimed} bytes. Expected at most: {max_bytes}")
    size = math.prod(shape)
    if proto.tensor_content:
        return _from_content(proto.tensor_content, name, dtype, size).reshape(shape)
    found = getattr(proto, field)
    most = size * (2 if dtype.kind == "c" else 1)
    if len(found) > most:
        raise invalid(f"Input {name} has {len(found)} values in {field}. Expected by its shape at most: {most}")
    values = _own(_kept(found, kept), name, dtype)
    _check_strings(values, name, size, max_bytes)
    return _filled(values, size).reshape(shape)


def write_tensor(array):
    """Writes an array to a proto, its values in the fields that TensorFlow Serving uses: clients read `float_val`.

    Args:
        array: array; strings are an object array of bytes.

    Returns:
        `TensorProto`.

    Raises:
        ServingError: if protos have no field for its type.
    """
    if array.dtype not in _WRITE:
        raise ServingError("UNIMPLEMENTED", f"An output is of type {array.dtype.name}, which is not given")
    number, field, kept = _WRITE[array.dtype]
    proto = TensorProto(dtype=number)
    for side in array.shape:
        proto.tensor_shape.dim.add(size=side)
    values = np.ravel(array)
    if kept in ("float32", "float64"):
        proto.MergeFromString(_packed(field, values.view(kept)))
        return proto
    values = values.view(np.uint16) if field == "half_val" else values
    for start in range(0, len(values), _CHUNK):
        getattr(proto, field).extend(values[start : start + _CHUNK].tolist())
    return proto


def _packed(field, values):
    """A field of floats as it is sent; NumPy keeps floats in the same form."""
    data = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    number, size = TensorProto.DESCRIPTOR.fields_by_name[field].number, len(data)
    head = bytearray([number << 3 | 2])
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*head, size]) + data


def _shape(proto, name):
    shape = tuple(dim.size for dim in proto.dim)
    if proto.unknown_rank or any(side < 0 for side in shape) or len(shape) > MAX_RANK:
        found = "no shape" if proto.unknown_rank else f"the shape {list(shape)}"
        raise invalid(f"Input {name} has {found}. Expected: at most {MAX_RANK} sides of 0 or more")
    return shape


def _from_content(content, name, dtype, size):
    if dtype.kind == "O":
        raise invalid(f"Input {name} has strings in tensor_content. Expected them in: string_val")
    if len(content) != size * dtype.itemsize:
        expected = f"Expected by its shape and type: {size * dtype.itemsize}"
        raise invalid(f"Input {name} has {len(content)} bytes of tensor_content. {expected}")
    if dtype.kind == "b":  # a byte may be more than 1, and operations would see that
        return np.frombuffer(content, np.uint8) != 0
    return np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype, copy=False)


def _kept(values, kept):
    pieces = [np.array(values[start : start + _CHUNK], kept) for start in range(0, len(values), _CHUNK)]
    return np.concatenate(pieces) if pieces else np.zeros(0, kept)


def _own(values, name, dtype):
    """Values in the array's type: fields keep small integers and halves in larger ones, and complex numbers in two."""
    if dtype.kind == "c":
        if len(values) % 2:
            raise invalid(f"Input {name} has {len(values)} halves of complex numbers. Expected: two of each")
        return values.view(dtype)
    bits = np.dtype(np.uint16) if values.dtype == np.int32 and dtype.kind not in "iu" else dtype
    own = values.astype(bits, copy=False)
    if values.dtype.kind in "iu" and not np.array_equal(own, values):
        raise invalid(f"Input {name} has values that are none of {dtype.name}")
    return own.view(dtype) if bits != dtype else own


def _check_strings(values, name, size, max_bytes):
    """Counts a string as often as it stands in the array: it is one object here, and many copies in TensorFlow."""
    if values.dtype.kind == "O" and len(values):
        total = sum(map(len, values)) + (size - len(values)) * len(values[-1])
        if total > max_bytes:
            raise invalid(f"Input {name} has strings of {total} bytes. Expected at most: {max_bytes}")


def _filled(values, size):
    if len(values) == size:
        return values
    filled = np.empty(size, values.dtype)
    filled.fill(values[-1] if len(values) else (b"" if values.dtype.kind == "O" else 0))  # `full` cuts zeros off bytes
    filled[: len(values)] = values
    return filled
