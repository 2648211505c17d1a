"""The two formats of PyTorch's files, zip (since 1.6) and stream (2017 to 2020): what stands where in them."""

import struct
import zipfile

from tf_cyclegan.weights.pytorch.pickles import PICKLE_BYTES, unpickle
from tf_cyclegan.weights.pytorch.tensors import SAVE_AGAIN, Region, check_checksum, itemsize
from tf_cyclegan.weights.unreadable import COPY_AGAIN, Unreadable, refuse, shown

# The pickled number that every stream begins with.
STREAM_START = b"\x80\x02\x8a\n" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little") + b"."
_STREAM_PROTOCOL = 1001
DIRECTORY_BYTES = 2**20  # about 10,000 records, of which `zipfile` makes objects of 8 MB
_END = struct.Struct("<4s16xH")
_LOCAL = struct.Struct("<4s4xH16x2H")
_ENCRYPTED = 1


def read_zip(file):
    """Reads a zip file of PyTorch up to its numbers.

    Args:
        file: binary file.

    Returns:
        The value of its pickle, a dict of the keys of storages to `Region`, and whether the numbers are big-endian.

    Raises:
        Unreadable: if it is not such a file, is cut short or damaged.
    """
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
    return value, held, order == b"big"


def _record(file, regions, name, limit):
    region = regions[name]
    if region.size > limit:
        refuse(f"at most {limit} bytes in the record {name}", f"{region.size}", SAVE_AGAIN)
    check_checksum(file, region)
    file.seek(region.start)
    return file.read(region.size)


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
        return refuse("the directory at the end of a zip file", shown(str(error)))
    file.seek(-_END.size - len(archive.comment), 2)
    if _END.unpack(file.read(_END.size)) != (b"PK\5\6", len(archive.comment)):
        refuse("a zip file that ends with its directory", "more behind it")
    return archive


def _region(file, record, end):
    """The bytes of a record, which begin behind its own header; only this header tells its length."""
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


class _Bounded:
    """A file that `zipfile` cannot read more of at once than a directory may have, whatever the file claims."""

    def __init__(self, file):
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def read(self, count=-1):
        if count > DIRECTORY_BYTES:
            refuse(f"a directory of at most {DIRECTORY_BYTES} bytes", f"{count}", SAVE_AGAIN)
        return self._file.read(count)


def read_stream(file):
    """Reads a stream of PyTorch up to its numbers, which are little-endian on every machine.

    A stream has a magic number, a protocol, a description of the machine, the value, the keys of the storages and their
    numbers.

    Args:
        file: binary file that begins with `STREAM_START`.

    Returns:
        The value, and a dict of the keys of storages to `Region`.

    Raises:
        Unreadable: if it is cut short or damaged.
    """
    file.seek(0)
    data = file.read(PICKLE_BYTES)
    protocol, position, _ = unpickle(data, len(STREAM_START))
    if protocol != _STREAM_PROTOCOL:
        refuse(f"the protocol {_STREAM_PROTOCOL} of PyTorch", "something else")
    _, position, _ = unpickle(data, position)
    value, position, storages = unpickle(data, position)
    keys, position, _ = unpickle(data, position)
    return value, _stream_regions(file, position, keys, storages)


def _stream_regions(file, position, keys, storages):
    """Where the storages stand: each behind its number of elements, in the order of the keys."""
    if type(keys) is not list or not all(type(key) is str for key in keys) or sorted(keys) != sorted(storages):
        refuse(f"a list of the keys of {len(storages)} storages", "others")
    regions, size = {}, file.seek(0, 2)
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


def _bytes(storage):
    return storage.whole * itemsize(storage.dtype)
