"""`read_checkpoint`: a file of PyTorch's or of safetensors as a flat dict of arrays."""

import os
import struct
import zipfile

from tf_cyclegan.weights.pytorch import safetensors
from tf_cyclegan.weights.pytorch.flattening import named_tensors
from tf_cyclegan.weights.pytorch.pickles import PICKLE_BYTES, unpickle
from tf_cyclegan.weights.pytorch.tensors import (
    COPY_AGAIN,
    SAVE_AGAIN,
    Region,
    Unreadable,
    check_checksum,
    itemsize,
    read_arrays,
    refuse,
    shown,
)

# The pickled number that every file of PyTorch before 1.6 begins with.
_LEGACY_NUMBER = 0x1950A86A20F9469CFC6C
_LEGACY_START = b"\x80\x02\x8a\n" + _LEGACY_NUMBER.to_bytes(10, "little") + b"."
_LEGACY_PROTOCOL = 1001
DIRECTORY_BYTES = 2**20  # about 10,000 records, of which `zipfile` makes objects of 8 MB
_END = struct.Struct("<4s16xH")
_LOCAL = struct.Struct("<4s4xH16x2H")
_ENCRYPTED = 1


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
    regions = read_regions(file)
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


class _Bounded:
    """A file that gives no more at once than a directory may have, whatever size the file claims it to have."""

    def __init__(self, file):
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def read(self, count=-1):
        if count > DIRECTORY_BYTES:
            refuse(f"a directory of at most {DIRECTORY_BYTES} bytes", f"{count}", SAVE_AGAIN)
        return self._file.read(count)


def read_regions(file):
    """Finds the records of a zip file.

    Args:
        file: binary file.

    Returns:
        Dict of names, without the folder that all records of PyTorch stand in, to `Region`.

    Raises:
        Unreadable: if it is cut short, or anything but a zip file of stored records.
    """
    archive = _opened(file)
    records = sorted(archive.infolist(), key=lambda record: record.header_offset)
    if len(set(archive.namelist())) < len(records):
        refuse("every record once", "one twice", SAVE_AGAIN)
    starts = [*(record.header_offset for record in records), archive.start_dir]
    if starts[0]:
        refuse("a record or the directory at byte 0", f"it at {starts[0]}")
    regions = {record.filename: _region(file, record, end) for record, end in zip(records, starts[1:], strict=True)}
    folder = _folder(regions)
    return {name.removeprefix(folder): region for name, region in regions.items() if name.startswith(folder)}


def _opened(file):
    try:
        archive = zipfile.ZipFile(_Bounded(file), metadata_encoding="utf-8")
    except Unreadable:
        raise
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
        return refuse("the directory at the end of a zip file", shown(error))
    file.seek(-_END.size - len(archive.comment), 2)
    if _END.unpack(file.read(_END.size)) != (b"PK\5\6", len(archive.comment)):
        refuse("a zip file that ends with its directory", "more behind it")
    return archive


def _region(file, record, end):
    """The bytes between a record's own header, whose length stands only there, and the next record."""
    if record.compress_type or record.flag_bits & _ENCRYPTED or record.compress_size != record.file_size:
        refuse("stored records", f"{shown(record.filename)} compressed or encrypted", SAVE_AGAIN)
    file.seek(record.header_offset)
    header = file.read(_LOCAL.size)
    marker, method, *lengths = _LOCAL.unpack(header) if len(header) == _LOCAL.size else (b"", 0)
    start = record.header_offset + _LOCAL.size + sum(lengths)
    if marker != b"PK\3\4" or method or start + record.file_size > end:
        refuse(f"the record {shown(record.filename)} before byte {end}", "another, or one that ends behind it")
    # PyTorch writes 0 where it was told to compute no checksums.
    return Region(start, record.file_size, record.CRC or None)


def _folder(names):
    folders = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")]
    folders = [folder for folder in folders if folder.count("/") == 1]
    if len(folders) != 1:
        advice = COPY_AGAIN if folders else "A file in a zip must be unpacked first."
        refuse("a zip file with one record FOLDER/data.pkl", f"{len(folders)} such records", advice)
    return folders[0]
