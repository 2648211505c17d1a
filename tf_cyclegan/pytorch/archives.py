"""The zip files of PyTorch since 1.6: where their records stand, checked against the file's real size.

`zipfile` reads the directory at the end, of a bounded size, and unpacks nothing: PyTorch compresses no record. No two
records overlap, none goes beyond the file, and no name stands twice.
"""

import struct
import zipfile

from tf_cyclegan.pytorch.refusal import COPY_AGAIN, SAVE_AGAIN, Unreadable, refuse, shown
from tf_cyclegan.pytorch.tensors import Region

DIRECTORY_BYTES = 2**20  # about 10,000 records, of which `zipfile` makes objects of 8 MB
_END = struct.Struct("<4s16xH")
_LOCAL = struct.Struct("<4s4xH16x2H")
_ENCRYPTED = 1


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
