"""`read_checkpoint`: the weights in a file of PyTorch or of safetensors, as a flat dict of arrays by name."""

import itertools
import os
import re

from tf_cyclegan.weights.pytorch import safetensors, torch_files
from tf_cyclegan.weights.pytorch.tensors import SAVE_AGAIN, Tensor, read_arrays
from tf_cyclegan.weights.unreadable import COPY_AGAIN, Unreadable, refuse, shown

NESTING = 16
ITEMS = 20_000
NAME_LENGTH = 512
# Names under which training programs keep the weights next to other things, the surest first.
_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "network",
    "net",
    "params_ema",
    "params",
    "ema",
    "weights",
    "module",
)
_TRAINING = re.compile(r"optim|sched|scaler|rng|ema|loss|metric", re.IGNORECASE)
# `DataParallel` and `torch.compile` put these before every name.
PREFIXES = re.compile(r"^(module\.|_orig_mod\.)+")


def read_checkpoint(path):
    """Reads the weights in a checkpoint of PyTorch, or a safetensors file, without PyTorch.

    Nothing in the file is run: a pickle may have tensors, dicts, lists, tuples, text and numbers, and is refused if it
    has anything else. The content of a file tells its kind, not its name. Reading takes at most the memory of twice the
    file and 64 MiB.

    Nested dicts make dotted names: UNIT's `{"a": ..., "b": ...}` gives `a.enc...` and `b.enc...`. A dict that only
    wraps the weights, such as `{"model": ..., "optimizer": ...}`, is unwrapped. The prefixes `module.` and
    `_orig_mod.` are stripped, numbers and optimizers dropped; running statistics stay: `load_state_dict` knows where
    they have a place.

    Args:
        path: str or path of a `.pth` or `.pt` file of PyTorch, zip (since 1.6) or stream (2017 to 2020), or of a
            `.safetensors` file.

    Returns:
        Dict of PyTorch's names to arrays in PyTorch's layout. bfloat16 becomes float32, which is exact; every other
        dtype stays. Names of one tensor share one array.

    Raises:
        ValueError: if it is no such file, is cut short or damaged, has no tensor or anything that is not weights.
        OSError: if it cannot be opened.

    Example:
        >>> write_checkpoint("net.pth", {"model.1.bias": np.zeros(4, "float32")})
        >>> read_checkpoint("net.pth")["model.1.bias"].shape
        (4,)
    """
    with open(os.path.expanduser(path), "rb") as file:
        try:
            return _read(file)
        except Unreadable as error:
            kinds = "a checkpoint of PyTorch or a safetensors file"
            raise ValueError(f"`path` must be {kinds}. Received: {os.fspath(path)!r}. {error}") from None


def _read(file):
    start = file.read(512)
    if start.startswith(b"PK\3\4"):
        value, regions, big_endian = torch_files.read_zip(file)
    elif start.startswith(torch_files.STREAM_START):
        (value, regions), big_endian = torch_files.read_stream(file), False
    elif start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= file.seek(0, 2):
        (value, regions), big_endian = safetensors.read_header(file), False
    else:
        _refuse_kind(start)
    return read_arrays(file, named_tensors(value), regions, big_endian)


def _refuse_kind(start):
    advice = COPY_AGAIN
    if start[257:262] == b"ustar":
        advice = f"This is the tar format of the first versions of PyTorch, which PyTorch still loads. {SAVE_AGAIN}"
    elif start.startswith(b"\x80"):
        advice = f"This is a pickle that `torch.save` did not write. {SAVE_AGAIN}"
    elif start.startswith(b"version https://git-lfs"):
        advice = "This is only the pointer to a file in Git LFS: fetch it by `git lfs pull`."
    elif start.lstrip()[:1] == b"<":
        advice = "This is a web page: the download went wrong."
    refuse("a zip file, PyTorch's magic number or a header of safetensors", shown(start[:16]), advice)


def named_tensors(value):
    """The tensors of a checkpoint by name.

    Nested dicts make dotted names. Of a dict that wraps the weights, only the weights are taken. Optimizers are
    dropped, and everything that is not a tensor.

    Args:
        value: what a checkpoint holds.

    Returns:
        Dict of names to `Tensor`.

    Raises:
        Unreadable: if there is no tensor, or two of one name, or more nesting than a checkpoint needs.
    """
    if type(value) is not dict:
        refuse("a dict of tensors", f"one value of type {type(value).__name__}", SAVE_AGAIN)
    named = {}
    for name, item in _items(_unwrapped(value)):
        if type(item) is Tensor and name in named:
            refuse("every name once", f"{shown(name)} twice, with and without a prefix", SAVE_AGAIN)
        if type(item) is Tensor:
            named[name] = item
    if not named:
        refuse("a dict of tensors", "a dict without any", SAVE_AGAIN)
    return named


def _items(mapping):
    """All items, also of nested dicts; raises `Unreadable` for more than a checkpoint can have."""
    for count, item in enumerate(_walk(mapping, "", 1)):
        if count >= ITEMS:
            refuse(f"at most {ITEMS} tensors and numbers", "more", SAVE_AGAIN)
        yield item


def _walk(mapping, prefix, depth):
    if depth > NESTING:
        refuse(f"dicts nested at most {NESTING} deep", "deeper ones", SAVE_AGAIN)
    for key, value in mapping.items():
        name = prefix + PREFIXES.sub("", str(key))
        if len(name) > NAME_LENGTH:
            refuse(f"names of at most {NAME_LENGTH} characters", "a longer one", SAVE_AGAIN)
        yield name, value
        if type(value) is dict and not _is_optimizer(value):
            yield from _walk(value, f"{name}.", depth + 1)


def _is_optimizer(mapping):
    return {"state", "param_groups"} <= set(itertools.islice(mapping, ITEMS))


def _has_tensors(value):
    return type(value) is dict and any(type(item) is Tensor for _, item in _items({"": value}))


def _unwrapped(mapping):
    """The inner dict that holds the weights, or all of `mapping` where this would be a guess."""
    for _ in range(NESTING):
        with_tensors = [key for key, value in mapping.items() if _has_tensors(value)]
        # Averaged weights are for training too, unless there are no others.
        holding = [key for key in with_tensors if not _TRAINING.search(str(key))] or with_tensors
        known = [key for key in holding if key in _WRAPPERS]
        if len(holding) != 1 or not known:
            return mapping
        mapping = mapping[known[0]]
    return mapping
