"""Reading checkpoint files, by what they contain and without running any of it."""

import os

from tf_cyclegan.pytorch import archives, safetensors
from tf_cyclegan.pytorch.flattening import named_tensors
from tf_cyclegan.pytorch.pickles import PICKLE_BYTES, unpickle
from tf_cyclegan.pytorch.refusal import COPY_AGAIN, SAVE_AGAIN, Unreadable, refuse, shown
from tf_cyclegan.pytorch.tensors import Region, check_checksum, itemsize, read_arrays

# The pickled number that every file of PyTorch before 1.6 begins with.
_LEGACY_NUMBER = 0x1950A86A20F9469CFC6C
_LEGACY_START = b"\x80\x02\x8a\n" + _LEGACY_NUMBER.to_bytes(10, "little") + b"."
_LEGACY_PROTOCOL = 1001


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
    size = file.seek(0, 2)
    file.seek(0)
    start = file.read(512)
    if start.startswith(b"PK\3\4"):
        return _read_zip(file)
    if start.startswith(_LEGACY_START):
        return _read_legacy(file, size)
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size:
        tensors, regions = safetensors.read_header(file)
        return read_arrays(file, named_tensors(tensors), regions)
    return _refuse_kind(start)


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


def _read_zip(file):
    regions = archives.read_regions(file)
    value, _, storages = unpickle(_record(file, regions, "data.pkl", PICKLE_BYTES))
    order = _record(file, regions, "byteorder", 16) if "byteorder" in regions else b"little"
    if order not in (b"little", b"big"):
        refuse("the byte order little or big", shown(order))
    held = {key: regions.get(f"data/{key}") for key in storages}
    for key, storage in storages.items():
        needed, found = _bytes(storage), held[key].size if held[key] else 0
        if needed > found:
            refuse(f"{needed} bytes in the record {shown(f'data/{key}')}", f"{found}")
    return read_arrays(file, named_tensors(value), held, order == b"big")


def _bytes(storage):
    return storage.whole * itemsize(storage.dtype)


def _record(file, regions, name, limit):
    region = regions[name]
    if region.size > limit:
        refuse(f"at most {limit} bytes in the record {name}", f"{region.size}", SAVE_AGAIN)
    check_checksum(file, region)
    file.seek(region.start)
    return file.read(region.size)


def _read_legacy(file, size):
    """A stream: magic number, protocol, what the machine was, the value, keys of the storages, then their numbers.

    The numbers are little-endian on every machine.
    """
    file.seek(0)
    data = file.read(PICKLE_BYTES)
    protocol, position, _ = unpickle(data, len(_LEGACY_START))
    if protocol != _LEGACY_PROTOCOL:
        refuse(f"the protocol {_LEGACY_PROTOCOL} of PyTorch", "something else")
    _, position, _ = unpickle(data, position)
    value, position, storages = unpickle(data, position)
    keys, position, _ = unpickle(data, position)
    return read_arrays(file, named_tensors(value), _stream_regions(file, size, position, keys, storages))


def _stream_regions(file, size, position, keys, storages):
    """Where the storages stand: each behind its number of elements, in the order of the keys."""
    if type(keys) is not list or not all(type(key) is str for key in keys) or sorted(keys) != sorted(storages):
        refuse(f"a list of the keys of {len(storages)} storages", "others")
    regions = {}
    for key in keys:
        file.seek(position)
        count = int.from_bytes(file.read(8), "little")
        if count != storages[key].whole:
            refuse(f"a storage of {storages[key].whole} elements at byte {position}", f"one of {count}")
        regions[key] = Region(position + 8, _bytes(storages[key]))
        position = regions[key].start + regions[key].size
    if position != size:
        refuse(f"a file of {position} bytes", f"{size}")
    return regions
