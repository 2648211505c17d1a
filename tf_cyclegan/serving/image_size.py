"""Sizes of encoded images from their headers, so that a small file cannot ask for a huge picture.

A header is read as the decoders read it, who pass over much that does not belong there; what they would believe and
this cannot is refused.
"""

import struct
from typing import NamedTuple

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_GIF = (b"GIF87a", b"GIF89a")
_JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
# Start of frame, in all its kinds: 0xC4, 0xC8 and 0xCC are something else.
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_ALONE = {0x00, 0x01, *range(0xD0, 0xD9)}  # markers without a length
_MAX_PARTS = 20_000  # of a file, looked at one by one


class ImageSize(NamedTuple):
    """What a decoder would make of a file; of an animation, sides that hold every frame."""

    height: int
    width: int
    frames: int = 1


def image_size(data):
    """Reads the size that a decoder would believe.

    Args:
        data: bytes of a file.

    Returns:
        `ImageSize`; None for what is no PNG, JPEG, GIF or WebP, or ends before its size.

    Raises:
        ValueError: for a file that hides its size.
    """
    if data.startswith(_PNG):
        return _png_size(data)
    if data.startswith(_JPEG):
        return _jpeg_size(data)
    if data.startswith(_GIF):
        return _gif_size(data)
    if data.startswith(_JPEG_XL):  # its header is a puzzle of bits, and a few can stand for a billion pixels
        raise ValueError("JPEG XL is not taken: send a PNG or JPEG")
    return _webp_size(data) if data.startswith(b"RIFF") and data[8:12] == b"WEBP" else None


def _png_size(data):
    if len(data) < 24:
        return None
    if data[12:16] != b"IHDR":  # decoders pass over other chunks before it
        raise ValueError("A PNG does not begin with its header")
    width, height = struct.unpack_from(">II", data, 16)
    return ImageSize(height, width)


def _jpeg_size(data):
    position = 2
    for _ in range(_MAX_PARTS):
        position = data.find(b"\xff", position)
        while data[position : position + 2] == b"\xff\xff":  # any number of fill bytes may stand before a marker
            position += 1
        if position < 0 or position + 9 > len(data):
            return None
        marker = data[position + 1]
        if marker in _FRAMES:
            return ImageSize(*struct.unpack_from(">HH", data, position + 5))
        position += 2
        if marker not in _ALONE:
            position += int.from_bytes(data[position : position + 2], "big")
    raise ValueError(f"A JPEG has more than {_MAX_PARTS} segments before its size")


def _webp_size(data):
    if len(data) < 30:
        return None
    kind = data[12:16]
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


# ---- GIF: the size is that of the canvas or of any frame, whichever is larger, and all frames are decoded ----


def _gif_size(data):
    try:
        return _gif_canvas(data)
    except (IndexError, struct.error):  # it ends in the middle, as the decoder will notice
        return None


def _gif_canvas(data):
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position, frames = 13 + _table_bytes(flags), 0
    for _ in range(_MAX_PARTS):
        if data[position] == 0x2C:  # a frame
            frame_width, frame_height, flags = struct.unpack_from("<HHB", data, position + 5)
            width, height, frames = max(width, frame_width), max(height, frame_height), frames + 1
            position = _after_blocks(data, position + 11 + _table_bytes(flags))
        elif data[position] == 0x21:  # an extension
            position = _after_blocks(data, position + 2)
        else:
            return ImageSize(height, width, max(frames, 1))
    raise ValueError(f"A GIF has more than {_MAX_PARTS} parts")


def _table_bytes(flags):
    """The length of the color table that follows."""
    return 3 * 2 ** (1 + (flags & 7)) if flags & 0x80 else 0


def _after_blocks(data, position):
    for _ in range(_MAX_PARTS * 10):
        length = data[position]
        position += 1 + length
        if length == 0:
            return position
    raise ValueError("A GIF has too many parts")
