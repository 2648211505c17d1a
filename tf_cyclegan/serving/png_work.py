"""What a PNG makes its decoder unpack beyond the picture: texts, profiles, and data after the last row."""

import struct
import zlib

MAX_UNPACKED = 2**31  # bytes of a request, at about 2 ns each
_HARMLESS = 2**20  # bytes of files, which cannot unpack to more than that
_RATIO = 2 * 1032  # the most that deflate reaches; the decoder goes over texts twice
_MAX_TEXT = 2 * 8_000_000  # where the decoder gives a text up
_PACKED = {b"iCCP", b"zTXt", b"iTXt"}
_MAX_CHUNKS = 20_000
_STEP = 2**14


def unpacked_bytes(files):
    """How many bytes of texts and profiles the decoder may have to unpack.

    Args:
        files: list of bytes, each a PNG whose sides are known to be allowed.

    Returns:
        int; 0 where the files are too small for it to matter.

    Raises:
        ValueError: for a file whose image data go on far beyond the picture, or with too many chunks.
    """
    if sum(map(len, files)) <= _HARMLESS:
        return 0
    return sum(map(_unpacked, files))


def _unpacked(data):
    width, height = struct.unpack_from(">II", data, 16)
    texts, inflater = 0, zlib.decompressobj()
    room = 8 * width * height + 2 * height + 4096  # more than any kind has, with the filters of its rows
    for kind, start, length in _chunks(data):
        if kind in _PACKED:
            texts += min(_RATIO * length, _MAX_TEXT)
        elif kind == b"IDAT":
            room -= _inflated(inflater, memoryview(data)[start : start + length], room)
    return texts


def _chunks(data):
    position = 8
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, position + 8, length
        if kind == b"IEND":
            return
        position += 12 + length
    raise ValueError(f"A PNG has more than {_MAX_CHUNKS} chunks: save it again with fewer")


def _inflated(inflater, data, room):
    """The length of what comes out, which is never held."""
    total = 0
    try:
        for start in range(0, len(data), _STEP):
            rest = data[start : start + _STEP]
            while len(rest) and not inflater.eof:
                total += len(inflater.decompress(rest, _STEP * 16))
                rest = inflater.unconsumed_tail
                if total > room:
                    raise ValueError("A PNG has image data far beyond its last row: save it again")
    except zlib.error:  # as the decoder will notice
        pass
    return total
