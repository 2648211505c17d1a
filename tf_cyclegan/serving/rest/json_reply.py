"""Arrays to the JSON of a reply, in the layout and with the numbers of TensorFlow Serving."""

import base64
import itertools
import math

import numpy as np

from tf_cyclegan.serving.errors import invalid

TYPE_NAMES = {"float32": "float", "float64": "double", "float16": "half"}  # the others are NumPy's
_INTEGERS = {"int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"}
_DIGITS = {"float32": 9, "float64": 17}
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_ESCAPES = {code: f"\\u{code:04X}" for code in range(32)}
_ESCAPES |= {ord(char): f"\\{letter}" for char, letter in zip('"\\\b\f\n\r\t', '"\\bfnrt', strict=True)}
_CHUNK = 4096  # values that are formatted in one go, while no other thread of Python can run
_SHOWN = 1000  # letters of a value in an error


def write_reply(outputs, rows):
    """Writes the reply to a predict request.

    Args:
        outputs: dict, name to array; arrays of strings hold bytes.
        rows: bool, True for "predictions", a list with a value for each instance; False for "outputs".

    Returns:
        bytes, JSON. Strings are `{"b64": ...}` if the name of their output ends in `_bytes`.

    Raises:
        ServingError: if JSON has no form for a type, outputs in rows differ in length, or a string of an output whose
            name does not end in `_bytes` is not UTF-8.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    key, value = ("predictions", _rows(outputs)) if rows else ("outputs", _columns(outputs))
    return _object({key: value}, level=0).encode()


def write_error(message):
    """Writes the body of a reply with an error."""
    return _object({"error": _string(message)}, level=0).encode("utf-8", "replace")


def show(value):
    """Writes a value that `json` has read as error messages quote it; a long one is cut."""
    text = ""
    for piece in _pieces(value, level=0):
        text += piece
        if len(text) > _SHOWN:
            return text[:_SHOWN] + "..."
    return text


def decimals(values):
    """Writes numbers with 6 digits if these give the number back, else with all digits that can matter.

    Args:
        values: float32 or float64 array of rank 1.

    Returns:
        list of str.
    """
    chunks = (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))
    return list(itertools.chain.from_iterable(map(_decimals, chunks)))


def _decimals(values):
    texts = _format(values, "%g ")
    back = np.array([float(text) for text in texts], values.dtype)
    long = np.flatnonzero(back != values)
    for index, text in zip(long.tolist(), _format(values[long], f"%.{_DIGITS[values.dtype.name]}g "), strict=True):
        texts[index] = text
    # Whole numbers get ".0", so that a list has numbers of one type.
    with np.errstate(invalid="ignore"):  # NaN that signals
        special = (values == np.trunc(values)) | np.isnan(values)
    for index in np.flatnonzero(special).tolist():
        text = texts[index]
        texts[index] = _NOT_FINITE.get(text) or (text if "." in text or "e" in text else f"{text}.0")
    return texts


def _format(values, pattern):
    return (pattern * len(values) % tuple(values.tolist())).split()


# ---- layout of values that are strings already; each level of nesting is four spaces ----


def _rows(outputs):
    count = _row_count(outputs)
    if count == 0:
        return "[]"
    named = len(outputs) > 1
    columns = {
        name: _lists(_leaves(name, array, array.ndim + 1 + named), array.shape, 1, level=2 + named, one_line=True)
        for name, array in outputs.items()
    }
    if not named:  # the rows stand on one line, and the closing bracket on another
        (column,) = columns.values()
        return f"[{', '.join(column)}\n{_indent(1)}]"
    items = [_object({name: column[row] for name, column in columns.items()}, level=2) for row in range(count)]
    return _list(items, level=1)


def _row_count(outputs):
    count = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if count not in (None, len(array)):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {count}")
        count = len(array)
    return count


def _columns(outputs):
    level = 1 + (len(outputs) > 1)
    values = {
        name: _lists(_leaves(name, array, level + array.ndim), array.shape, 0, level, one_line=False)[0]
        for name, array in outputs.items()
    }
    return _object(values, level=1) if len(values) > 1 else next(iter(values.values()))


def _lists(leaves, shape, first, level, one_line):
    """Nests the leaves in lists for the dimensions from `first` on."""
    for dimension in range(len(shape) - 1, first - 1, -1):
        size, count = shape[dimension], math.prod(shape[:dimension])
        groups = (leaves[index * size : (index + 1) * size] for index in range(count))
        if one_line:
            leaves = [f"[{', '.join(group)}]" for group in groups]
        else:
            leaves = [_list(group, level + dimension - first) for group in groups]
    return leaves


def _list(items, level):
    if not items:
        return "[]"
    separator = f",\n{_indent(level + 1)}"
    return f"[\n{_indent(level + 1)}{separator.join(items)}\n{_indent(level)}]"


def _object(members, level):
    separator = f",\n{_indent(level + 1)}"
    lines = separator.join(f"{_string(name)}: {value}" for name, value in members.items())
    return f"{{\n{_indent(level + 1)}{lines}\n{_indent(level)}}}"


def _indent(level):
    return " " * (4 * level)


# ---- leaves ----


def _leaves(name, array, level):
    """The values of an array in one list of strings."""
    values, kind = array.ravel(), array.dtype.name
    if kind in _DIGITS:
        return decimals(values)
    if kind in _INTEGERS:
        return list(map(str, values.tolist()))
    if kind == "bool":
        return ["true" if value else "false" for value in values.tolist()]
    if kind == "object":
        return [_base64(value, level) if name.endswith("_bytes") else _text(name, value) for value in values]
    if values.size:
        raise invalid(f"Failed to write JSON value for tensor type: {TYPE_NAMES.get(kind, kind)}")
    return []


def _base64(value, level):
    return _object({"b64": f'"{base64.b64encode(value).decode()}"'}, level)


def _text(name, value):
    try:
        return _string(value.decode())
    except UnicodeDecodeError as error:  # TensorFlow Serving writes these bytes, which is no JSON
        raise invalid(f"Output {name} is not UTF-8 text; a name that ends in _bytes gets base64") from error


def _string(text):
    return f'"{text.translate(_ESCAPES)}"'


# ---- values in error messages ----


def _pieces(value, level):
    """A JSON value as strings, piece by piece, so that only the part that is shown is made."""
    if isinstance(value, dict | list) and value:
        named = isinstance(value, dict)
        opening, closing = "{}" if named else "[]"
        for index, item in enumerate(value):
            yield f"{',' if index else opening}\n{_indent(level + 1)}"
            if named:
                yield f"{_string(item)}: "
            yield from _pieces(value[item] if named else item, level + 1)
        yield f"\n{_indent(level)}{closing}"
    else:
        yield _scalar(value)


def _scalar(value):
    if isinstance(value, str):
        return _string(value[: _SHOWN + 1])
    if isinstance(value, float):
        single = not math.isfinite(value) or abs(value) <= float(np.finfo(np.float32).max)
        return decimals(np.array([value], np.float32 if single else np.float64))[0]
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
