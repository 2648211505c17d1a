"""The zip files of PyTorch since 1.6: where their records stand, checked against the file's real size.

Python's `zipfile` makes an object of every entry that a file claims and unpacks compressed ones; PyTorch compresses
none, so a reader of stored records is enough and can be strict: no two records overlap, and no name stands twice.

Reference:
    [APPNOTE.TXT, the ZIP file format](https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT)
"""

import dataclasses
import struct

from tf_cyclegan.pytorch.refusal import COPY_AGAIN, SAVE_AGAIN, refuse, shown
from tf_cyclegan.pytorch.tensors import Region

ENTRIES = 20_000
DIRECTORY_BYTES = 4 * 2**20
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_COMMENT_BYTES = 2**16
_ENCRYPTED = 1
_WIDE = 2**32 - 1  # stands for a number that does not fit into its 32 bits


@dataclasses.dataclass(slots=True)
class _Entry:
    name: str
    header: int
    size: int
    checksum: int
    limit: int = 0  # where the next record, or the directory, begins


def read_regions(file, size):
    """Finds the records of a zip file.

    Args:
        file: binary file.
        size: int, its size in bytes.

    Returns:
        Dict of names, without the folder that all records of PyTorch stand in, to `Region`.

    Raises:
        Unreadable: if it is cut short, or anything but a zip file of stored records.
    """
    start, length, count = _find_directory(file, size)
    entries = _parse_directory(_read_at(file, start, length), count)
    _set_limits(entries.values(), start)
    folder = _folder(entries)
    inside = {name: entry for name, entry in entries.items() if name.startswith(folder)}
    return {name.removeprefix(folder): _region(file, entry) for name, entry in inside.items()}


def _read_at(file, start, length):
    file.seek(start)
    data = file.read(length)
    if len(data) != length:
        refuse(f"{length} bytes at {start}", f"{len(data)}")
    return data


def _find_directory(file, size):
    """Start, length and number of entries of the directory, from the record at the end of the file."""
    tail_start = max(0, size - _END.size - _COMMENT_BYTES)
    tail = _read_at(file, tail_start, size - tail_start)
    position = tail.rfind(b"PK\5\6")
    if position < 0 or position + _END.size > len(tail):
        refuse("the directory at the end of a zip file", "none")
    _, _, _, _, count, length, start, comment = _END.unpack_from(tail, position)
    end = tail_start + position
    if end + _END.size + comment != size:
        refuse(f"a zip file of {end + _END.size + comment} bytes", f"{size} bytes")
    if count == 2**16 - 1 or _WIDE in (length, start):
        count, length, start, end = _find_directory_64(file, end)
    if count > ENTRIES or length > DIRECTORY_BYTES:
        refuse(f"at most {ENTRIES} records in {DIRECTORY_BYTES} bytes of directory", f"{count} in {length}", SAVE_AGAIN)
    if start + length > end:
        refuse(f"a directory before byte {end}", f"one that ends at {start + length}")
    return start, length, count


def _find_directory_64(file, end):
    locator = max(0, end - _LOCATOR_64.size)
    marker, _, position, _ = _LOCATOR_64.unpack(_read_at(file, locator, _LOCATOR_64.size))
    if marker != b"PK\6\7" or position + _END_64.size > locator:
        refuse("the directory of a zip file above 4 GiB", "none")
    fields = _END_64.unpack(_read_at(file, position, _END_64.size))
    if fields[0] != b"PK\6\6":
        refuse("the directory of a zip file above 4 GiB", "none")
    return fields[7], fields[8], fields[9], position


def _parse_directory(data, count):
    entries, position = {}, 0
    for _ in range(count):
        if position + _CENTRAL.size > len(data):
            refuse(f"{count} records in the directory", f"{len(entries)}")
        fields = _CENTRAL.unpack_from(data, position)
        position += _CENTRAL.size
        end = position + sum(fields[10:13])
        entry = _parse_entry(fields, data[position:end])
        if entry.name in entries:
            refuse("every record once", f"{shown(entry.name)} twice", SAVE_AGAIN)
        entries[entry.name], position = entry, end
    if position != len(data):
        refuse(f"a directory of {len(data)} bytes", f"{position}")
    return entries


def _parse_entry(fields, data):
    marker, flags, method, checksum, packed, size = (fields[i] for i in (0, 3, 4, 7, 8, 9))
    name = data[: fields[10]].decode("utf-8", "replace")
    if marker != b"PK\1\2":
        refuse("a record of the directory", "something else")
    if method or flags & _ENCRYPTED or packed != size:
        refuse("stored records", f"{shown(name)} compressed or encrypted", SAVE_AGAIN)
    header = fields[16]
    if _WIDE in (size, header):
        size, header = _wide_fields(data[fields[10] : fields[10] + fields[11]], size, header)
    return _Entry(name, header, size, checksum)


def _wide_fields(extra, size, header):
    """Size and position of a record where they do not fit into 32 bits: only what does not fit stands there."""
    numbers = _wide_numbers(extra)
    if size == _WIDE and len(numbers) >= 2 and numbers[0] == numbers[1]:
        size, _, *numbers = numbers
    if header == _WIDE and numbers:
        header = numbers[0]
    if _WIDE in (size, header):
        refuse("the size and place of a record above 4 GiB", "none")
    return size, header


def _wide_numbers(extra):
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        position += 4
        if kind == 1 and position + length <= len(extra):
            return struct.unpack_from(f"<{length // 8}Q", extra, position)
        position += length
    return ()


def _set_limits(entries, directory):
    following = directory
    for entry in sorted(entries, key=lambda entry: entry.header, reverse=True):
        entry.limit, following = following, entry.header
        if entry.header + _LOCAL.size + entry.size > entry.limit:
            refuse("records one behind the other", f"{shown(entry.name)} over the next one")


def _folder(entries):
    folders = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
    folders = [folder for folder in folders if folder.count("/") == 1]
    if len(folders) != 1:
        advice = COPY_AGAIN if folders else "A file in a zip must be unpacked first."
        refuse("a zip file with one record FOLDER/data.pkl", f"{len(folders)} such records", advice)
    return folders[0]


def _region(file, entry):
    """The bytes behind a record's own header, whose length stands only there."""
    fields = _LOCAL.unpack(_read_at(file, entry.header, _LOCAL.size))
    start = entry.header + _LOCAL.size + fields[9] + fields[10]
    if fields[0] != b"PK\3\4" or fields[3] or start + entry.size > entry.limit:
        refuse(f"the header of the record {shown(entry.name)}", "something else")
    # PyTorch writes 0 where it was told to compute no checksums.
    return Region(start, entry.size, entry.checksum or None)
