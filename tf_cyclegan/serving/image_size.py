"""Height and width of a PNG or JPEG from its header, so that a small file cannot ask for a huge picture."""

import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# Start of frame, in all its kinds: 0xC4, 0xC8 and 0xCC are something else.
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_MAX_SEGMENTS = 1000


def image_size(data):
    """Reads the size that a decoder would believe.

    Args:
        data: bytes of a file.

    Returns:
        `(height, width)`; None for what is no PNG or JPEG, or has no size where it belongs.

    Raises:
        ValueError: for a JPEG with so much before the size that looking for it would take long.
    """
    if data.startswith(_PNG):
        return _png_size(data)
    return _jpeg_size(data) if data.startswith(_JPEG) else None


def _png_size(data):
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return height, width


def _jpeg_size(data):
    position = 2
    for _ in range(_MAX_SEGMENTS):
        position = data.find(b"\xff", position)
        while data[position : position + 2] == b"\xff\xff":  # any number of fill bytes may stand before a marker
            position += 1
        if position < 0 or position + 9 > len(data):
            return None
        marker = data[position + 1]
        if marker in _FRAMES:
            return struct.unpack(">HH", data[position + 5 : position + 9])
        position += 2
        if marker not in _ALONE:
            position += int.from_bytes(data[position : position + 2], "big")
    raise ValueError(f"A JPEG has more than {_MAX_SEGMENTS} segments before its size")
