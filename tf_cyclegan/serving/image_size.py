"""The size of an encoded image, and other costs of decoding it, read without decoding it."""

import struct
import zlib
from typing import NamedTuple

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_GIF = b"GIF8"  # decoders look no further
_JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
MAX_UNPACKED = 2**31  # bytes of a request, at about 2 ns each

# PNG
_PACKED = {b"iCCP", b"zTXt", b"iTXt"}
_RATIO = 2 * 1032  # the highest ratio of deflate; the decoder goes over texts twice
_MAX_TEXT = 2 * 8_000_000  # bytes at which the decoder gives a text up
_MAX_CHUNKS = 20_000
_HARMLESS = 2**20  # bytes of files that cannot unpack to more than `MAX_UNPACKED`
_STEP = 2**14  # bytes that are unpacked at once

# JPEG
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of a start of frame
_ARITHMETIC = {*range(0xC9, 0xD0)}
_SCAN, _END = 0xDA, 0xD9
# A file is searched by kinds of bytes, so that no file is slow: 0xFF, a byte that makes it a marker, and a byte that
# does not, which is 0x00, 0x01 or a restart within a scan.
_KINDS = bytes(2 if byte == 0xFF else byte not in (0x00, 0x01, *range(0xD0, 0xD8)) for byte in range(256))
_MARKER = b"\2\1"
_MAX_SCANS = 100  # each goes over the whole image; cameras and encoders make 1 to 14
_MAX_ARITHMETIC_SCANS = 20  # each takes five times as long

_MAX_PARTS = 20_000  # segments of a JPEG and parts of a GIF, which are looked at one by one
_MAX_BLOCKS = 200_000  # of a GIF; encoders make them 255 bytes long


class ImageSize(NamedTuple):
    """The size of a decoded file; the sides of an animation hold every frame.

    `codes` is the number of codes that a GIF's data have room for: each may make the decoder clear its table.
    """

    height: int
    width: int
    frames: int = 1
    codes: int = 0


def image_size(data):
    """Reads the size where decoders read it.

    Args:
        data: bytes of a file.

    Returns:
        `ImageSize`; None for a file that is no PNG, JPEG, GIF, WebP or BMP, or ends before its size.

    Raises:
        ValueError: for a file that hides its size, or takes long to decode.
    """
    if data.startswith(_PNG):
        return _png_size(data)
    if data.startswith(_JPEG):
        return _jpeg_size(data)
    if data.startswith(_GIF):
        return _gif_size(data)
    if data.startswith(b"BM"):
        return _bmp_size(data)
    if data.startswith(_JPEG_XL):  # a few bits of its header can stand for a billion pixels
        raise ValueError("JPEG XL is not taken: send a PNG or JPEG")
    return _webp_size(data) if data.startswith(b"RIFF") and data[8:12] == b"WEBP" else None


def is_png(data):
    """Whether a file begins with the header of a PNG."""
    return data.startswith(_PNG) and len(data) >= 24


def unpacked_bytes(files):
    """Counts the bytes of texts and profiles that the decoder may have to unpack.

    Args:
        files: list of bytes, each a PNG whose sides are known to be allowed.

    Returns:
        int; 0 for files that are too small to matter.

    Raises:
        ValueError: for a file with image data far beyond its last row, or with too many chunks.
    """
    if sum(map(len, files)) <= _HARMLESS:
        return 0
    return sum(map(_unpacked, files))


# ---- PNG ----


def _png_size(data):
    if not is_png(data):
        return None
    if data[12:16] != b"IHDR":  # decoders pass over other chunks before it
        raise ValueError("A PNG does not begin with its header")
    width, height = struct.unpack_from(">II", data, 16)
    return ImageSize(height, width)


def _unpacked(data):
    width, height = struct.unpack_from(">II", data, 16)
    texts, inflater = 0, zlib.decompressobj()
    room = 8 * width * height + 2 * height + 4096  # 16 bits of four channels, and the filters of the rows
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
    """The number of bytes that come out; they are never held."""
    total = 0
    try:
        for start in range(0, len(data), _STEP):
            rest = data[start : start + _STEP]
            while len(rest) and not inflater.eof:
                total += len(inflater.decompress(rest, _STEP * 16))
                rest = inflater.unconsumed_tail
                if total > room:
                    raise ValueError("A PNG has image data far beyond its last row: save it again")
    except zlib.error:  # the decoder will notice it too
        pass
    return total


# ---- JPEG ----


def _jpeg_size(data):
    """Goes from marker to marker, as the decoder does, through all scans to the end."""
    kinds, position = data.translate(_KINDS), 2
    size, scans, most = None, 0, _MAX_SCANS
    for _ in range(_MAX_PARTS):
        position = kinds.find(_MARKER, position) + 2
        if not 1 < position <= len(data) - 7:
            return size
        marker = data[position - 1]
        if marker == _END and size:
            return size
        if marker in _FRAMES and not size:
            size = ImageSize(*struct.unpack_from(">HH", data, position + 3))
            most = _MAX_ARITHMETIC_SCANS if marker in _ARITHMETIC else _MAX_SCANS
        scans += marker == _SCAN
        if scans > most:
            raise ValueError(f"A JPEG has more than {most} scans: save it with fewer, or as a PNG")
        if marker >= 0xC0 and marker not in (0xD8, _END):  # other markers have no length
            position += int.from_bytes(data[position : position + 2], "big")
    raise ValueError(f"A JPEG has more than {_MAX_PARTS} segments")


# ---- GIF: the canvas or a larger frame decides the size, and all frames are decoded ----


def _gif_size(data):
    """Counts all frames that have begun; of a file that ends in a frame, the decoder takes the frames before."""
    if len(data) < 13:
        return None
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position, frames, blocks, codes = 13 + _table_bytes(flags), 0, 0, 0
    for _ in range(_MAX_PARTS):
        kind = data[position : position + 1]
        if kind == b"," and position + 10 <= len(data):  # a frame
            frame_width, frame_height, flags = struct.unpack_from("<HHB", data, position + 5)
            width, height, frames = max(width, frame_width), max(height, frame_height), frames + 1
            start = position + 11 + _table_bytes(flags)
            position, blocks = _after_blocks(data, start, blocks)
            codes += 8 * (position - start) // (1 + int.from_bytes(data[start - 1 : start]))
        elif kind == b"!":  # an extension
            position, blocks = _after_blocks(data, position + 2, blocks)
        else:
            return ImageSize(height, width, max(frames, 1), codes)
    raise ValueError(f"A GIF has more than {_MAX_PARTS} parts")


def _table_bytes(flags):
    """The length of the color table that follows."""
    return 3 * 2 ** (1 + (flags & 7)) if flags & 0x80 else 0


def _after_blocks(data, position, count):
    """Where a row of blocks ends, and how many blocks the file has so far."""
    for number in range(count + 1, _MAX_BLOCKS + 1):
        length = int.from_bytes(data[position : position + 1])  # 0 beyond the end too
        position += 1 + length
        if length == 0:
            return position, number
    raise ValueError(f"A GIF has more than {_MAX_BLOCKS} blocks of data")


# ---- BMP and WebP ----


def _bmp_size(data):
    """None for a text that begins with BM: its bytes could not hold such sides."""
    if len(data) < 30:
        return None
    width, height = struct.unpack_from("<ii", data, 18)
    return ImageSize(abs(height), width) if 0 < width * abs(height) <= len(data) else None


def _webp_size(data):
    if len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8X" and data[20] & 2:  # without transparency TensorFlow 2.21 writes beyond its memory
        raise ValueError("An animated WebP is not taken: send its frames, or a GIF")
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[start : start + 3], "little") for start in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise ValueError("A WebP does not begin with its image")
    return ImageSize(height, width)
