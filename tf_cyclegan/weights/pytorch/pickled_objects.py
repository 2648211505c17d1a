"""Objects of PyTorch in a pickle: a fixed table of names and what they make; nothing is imported."""

import dataclasses

from tf_cyclegan.weights.pytorch.tensors import (
    DTYPES,
    ELEMENTS,
    SAVE_AGAIN,
    Storage,
    Tensor,
    checked_tensor,
)
from tf_cyclegan.weights.unreadable import refuse, shown


@dataclasses.dataclass(frozen=True, slots=True)
class Name:
    """A known name: what it makes and, for storages and dtypes, the dtype."""

    part: str
    dtype: str | None = None


_STORAGES = {
    "HalfStorage": "float16",
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "BFloat16Storage": "bfloat16",
    "CharStorage": "int8",
    "ShortStorage": "int16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
}
_KNOWN = {
    "collections OrderedDict": Name("dict"),
    "torch._utils _rebuild_tensor": Name("tensor"),
    "torch._utils _rebuild_tensor_v2": Name("tensor"),
    "torch._utils _rebuild_tensor_v3": Name("typed tensor"),
    "torch._utils _rebuild_parameter": Name("parameter"),
    "torch._utils _rebuild_parameter_with_state": Name("parameter"),
    "torch Size": Name("size"),
    "torch device": Name("device"),
    "torch.storage UntypedStorage": Name("storage", "uint8"),
}
_KNOWN |= {f"torch {name}": Name("storage", dtype) for name, dtype in _STORAGES.items()}
_KNOWN |= {f"torch.cuda {name}": Name("storage", dtype) for name, dtype in _STORAGES.items()}
_KNOWN |= {f"torch {dtype}": Name("dtype", dtype) for dtype in DTYPES}


def known_name(module, name):
    """What a name in a pickle stands for.

    Raises:
        Unreadable: if it is none of PyTorch's for tensors; nothing is imported.
    """
    full = f"{module.decode('latin-1')} {name.decode('latin-1')}"
    if full not in _KNOWN:
        refuse("tensors, dicts and numbers only", f"the Python object {shown(full.replace(' ', '.'))}", SAVE_AGAIN)
    return _KNOWN[full]


def call(function, arguments):
    """What PyTorch would make of a known name and its arguments.

    Args:
        function: `Name`; anything else is refused.
        arguments: tuple from the pickle.

    Returns:
        `Tensor`, dict, tuple or None.

    Raises:
        Unreadable: if they do not fit.
    """
    part = function.part if type(function) is Name else None
    if part not in _CALLS or type(arguments) is not tuple:
        refuse("a call that makes a tensor or a dict", "another", SAVE_AGAIN)
    return _CALLS[part](arguments)


def set_items(mapping, items):
    """Adds `[key, value, key, value, ...]` to a dict.

    Raises:
        Unreadable: if a key is neither text nor a small integer: the hash of nested tuples recurses without a limit,
            and large integers can be made to collide.
    """
    if len(items) % 2:
        refuse("keys with values", "a key without")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) is not str and not (type(key) is int and abs(key) < 2**32):
            refuse("text or integers below 2**32 as keys of dicts", f"a key of type {type(key).__name__}", SAVE_AGAIN)
        mapping[key] = value


def storage(identifier):
    """The storage that a persistent id stands for: its type, key, device, size and, in old files, the part of it.

    Raises:
        Unreadable: if the id is of another form.
    """
    fields = identifier if type(identifier) is tuple else ()
    marker, kind, key, _, whole, view = (*fields, None)[:6] if len(fields) in (5, 6) else (None,) * 6
    named = marker == "storage" and type(kind) is Name and kind.part == "storage" and type(key) is str
    if not named or not _is_size(whole):
        refuse("the type, key and size of a storage", "something else", SAVE_AGAIN)
    if view is None:
        return Storage(key, kind.dtype, 0, whole, whole)
    _, first, count = view if type(view) is tuple and len(view) == 3 else (None, None, None)
    if not (_is_size(first) and _is_size(count)) or first + count > whole:
        refuse(f"a part of the {whole} elements of a storage", "something else")
    return Storage(key, kind.dtype, first, count, whole)


def _is_size(value):
    return type(value) is int and 0 <= value <= ELEMENTS


def _dict(arguments):
    """Python 3 fills it afterwards; Python 2 gives a list of pairs."""
    mapping = {}
    pairs = arguments[0] if arguments else []
    if len(arguments) > 1 or type(pairs) is not list:
        refuse("a dict without or with one list of pairs", "something else", SAVE_AGAIN)
    for pair in pairs:
        if type(pair) not in (list, tuple) or len(pair) != 2:
            refuse("pairs of key and value", "something else", SAVE_AGAIN)
        set_items(mapping, pair)
    return mapping


def _tensor(arguments, typed=False):
    """From storage, offset, sizes and strides; `typed` has the dtype as the seventh argument. Others are not used."""
    least, most = (7, 8) if typed else (4, 7)
    if not least <= len(arguments) <= most or type(arguments[0]) is not Storage:
        refuse("storage, offset, sizes and strides of a tensor", "something else", SAVE_AGAIN)
    source, offset, shape, strides = arguments[:4]
    dtype = arguments[6] if typed else Name("dtype", source.dtype)
    if type(dtype) is not Name or dtype.part != "dtype" or type(shape) is not tuple or type(strides) is not tuple:
        refuse("dtype, sizes and strides of a tensor", "something else", SAVE_AGAIN)
    return checked_tensor(source, dtype.dtype, offset, shape, strides)


def _parameter(arguments):
    if not arguments or type(arguments[0]) is not Tensor:
        refuse("the tensor of a parameter", "something else", SAVE_AGAIN)
    return arguments[0]


def _size(arguments):
    if len(arguments) != 1 or type(arguments[0]) not in (list, tuple):
        refuse("the sizes of a tensor", "something else", SAVE_AGAIN)
    return tuple(arguments[0])


_CALLS = {
    "dict": _dict,
    "tensor": _tensor,
    "typed tensor": lambda arguments: _tensor(arguments, typed=True),
    "parameter": _parameter,
    "size": _size,
    "device": lambda arguments: None,
}
