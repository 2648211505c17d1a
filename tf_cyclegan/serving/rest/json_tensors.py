"""JSON values to arrays: numbers, strings and base64 in nested lists, as TensorFlow Serving takes them."""

import base64
import contextlib
import itertools
import re

import ml_dtypes
import numpy as np

from tf_cyclegan.serving.errors import ServingError, invalid
from tf_cyclegan.serving.model_signatures import MAX_RANK
from tf_cyclegan.serving.rest.json_reply import TYPE_NAMES, show

_INTEGERS = {
    name: (np.iinfo(name).min, np.iinfo(name).max)
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")
}
_FLOATS = ("float32", "float64")
_TYPES = {"string", "bool", *_FLOATS, *_INTEGERS}
_BASE64 = re.compile(rb"(?:data:[^,]*,)?[A-Za-z0-9+/_\r\n-]{64,}+={0,2}")  # longer than any word


def read_tensor(value, dtype):
    """Reads a value, or nested lists of values that have one shape.

    Args:
        value: value that `json` has read.
        dtype: str, as in `TensorInfo`.

    Returns:
        Array of that type; strings are an object array of bytes.

    Raises:
        ServingError: if a value is not of the type, or the lists are ragged.
    """
    array = _plain_array(value, dtype) if isinstance(value, list) else None
    if array is not None:
        return array
    leaves, shape = [], _shape(value)
    _collect(value, shape, dtype, 0, leaves)
    return _array(leaves, shape, dtype)


def stack_tensors(values, dtype, key=""):
    """Reads the instances of an input, which must have one shape, as one tensor.

    Args:
        values: list of the instances' values.
        dtype: str, as in `TensorInfo`.
        key: str, words for the input in an error. Defaults to "".

    Returns:
        Array as `read_tensor` returns it, with one dimension more.

    Raises:
        ServingError: if an instance is wrong or differs in shape from the first.
    """
    array = _plain_array(values, dtype)
    if array is not None:
        return array
    leaves, first = [], None
    for index, value in enumerate(values):
        try:
            shape, before = _shape(value), len(leaves)
            _collect(value, shape, dtype, 0, leaves)
            first = first or (shape, len(leaves))
            _check_same(first, (shape, len(leaves) - before))
        except ServingError as error:
            reason = f"{error.code}: {error.message}"
            raise invalid(f"Failed to process element: {index}{key} of 'instances' list. Error: {reason}") from error
    return _array(leaves, (len(values), *first[0]), dtype)


def _check_same(expected, found):
    (shape, size), (found_shape, found_size) = expected, found
    if found_size != size:
        raise invalid(f"Expecting tensor size: {size} but got: {found_size}")
    if found_shape != shape:
        raise invalid(f"Expecting shape {_written(shape)} but got: {_written(found_shape)}")


def _written(shape):
    return f"[{','.join(map(str, shape))}]"


def _array(leaves, shape, dtype):
    """The leaves in one array; without leaves, the type may be one that JSON has no form for."""
    try:
        kind = np.dtype(object if dtype == "string" else getattr(ml_dtypes, dtype, dtype))
    except TypeError:
        raise _unimplemented([], dtype) from None
    with np.errstate(over="ignore"):  # numbers beyond the type are infinite
        return np.array(leaves, kind).reshape(shape)


# ---- the fast way, for lists of numbers without any doubt ----


def _plain_array(values, dtype):
    """An array, or None if the exact way is needed."""
    shape = [len(values)]
    while values and type(values[0]) is list:
        size = len(values[0])
        if set(map(type, values)) != {list} or set(map(len, values)) != {size} or len(shape) == MAX_RANK:
            return None
        shape.append(size)
        values = list(itertools.chain.from_iterable(values))
    numbers = _plain_numbers(values, set(map(type, values)), dtype)
    return None if numbers is None else numbers.reshape(shape)


def _plain_numbers(values, types, dtype):
    try:
        if dtype in _FLOATS and types <= {int, float}:
            with np.errstate(over="ignore"):
                return np.array(values, np.float64).astype(dtype)
        if dtype in _INTEGERS and types <= {int}:
            numbers = np.array(values, np.int64)
            low, high = _INTEGERS[dtype]
            return numbers.astype(dtype) if np.all((numbers >= low) & (numbers <= high)) else None
    except OverflowError:
        return None
    return np.array(values, bool) if dtype == "bool" and types <= {bool} else None


# ---- the exact way, value by value, which finds the first error ----


def _shape(value):
    """The shape by the first elements."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    if len(shape) > MAX_RANK:
        raise invalid(f"Lists are nested {len(shape)} deep. Expected at most: {MAX_RANK}")
    return tuple(shape)


def _collect(value, shape, dtype, level, leaves):
    """Appends the values of nested lists to `leaves`, and checks that the lists have this shape."""
    if not isinstance(value, list):
        if level != len(shape):
            where = f"incorrect level: {level + 1} in the JSON DOM. Expected at level: {len(shape)}"
            raise invalid(f"JSON Value: {show(value)} found at {where}")
        leaves.append(_leaf(value, dtype))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _collect(item, shape, dtype, level + 1, leaves)


def _leaf(value, dtype):
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if dtype == "string" and isinstance(value, dict):
        return _from_base64(value)
    if dtype == "string" and isinstance(value, str):
        return value.encode()
    if dtype == "bool" and isinstance(value, bool):
        return value
    if dtype in _FLOATS and number:
        return float(value)
    if dtype in _INTEGERS and type(value) is int and _INTEGERS[dtype][0] <= value <= _INTEGERS[dtype][1]:
        return value
    if dtype not in _TYPES:
        raise _unimplemented(value, dtype)
    wanted = TYPE_NAMES.get(dtype, dtype)
    raise invalid(f"JSON Value: {show(value)} Type: {_json_type(value)} is not of expected type: {wanted}")


def _unimplemented(value, dtype):
    wanted = TYPE_NAMES.get(dtype, dtype)
    return ServingError("UNIMPLEMENTED", f"Conversion of JSON Value: {show(value)} to type: {wanted}")


def _from_base64(value):
    if not is_base64(value):
        raise invalid(f"JSON Value: {show(value)} not formatted correctly for base64 data")
    text = b"".join(value["b64"].encode().split())
    digits = text.rstrip(b"=.")  # Abseil takes dots too, or no padding at all
    padding = -len(digits) % 4
    with contextlib.suppress(ValueError):
        if len(text) - len(digits) in (0, padding):
            return base64.b64decode(digits + b"=" * padding, validate=True)
    raise invalid("Unable to base64 decode")


def base64_hint(inputs):
    """Writes a hint for the error of a model if a string looks like base64 that was sent as plain text.

    Args:
        inputs: dict, name to array, as `read_inputs` returns it.

    Returns:
        str, "" if no string looks so.
    """
    for name, array in inputs.items():
        if array.dtype == object and any(_BASE64.fullmatch(text.strip()) for text in array.flat):
            return f'. If the text of {name} is base64, say {{"b64": "..."}} in the place of "..."'
    return ""


def is_base64(value):
    """Whether a value is `{"b64": "..."}`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _json_type(value):
    if value is None or isinstance(value, bool):
        return {None: "Null", True: "True", False: "False"}[value]
    return {dict: "Object", list: "Array", str: "String"}.get(type(value), "Number")
