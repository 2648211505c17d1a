"""Encoded images in the graph: the pixels are those that training read, and bombs are not decoded."""

import functools
import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images
from PIL import Image

from tf_cyclegan.data import images
from tf_cyclegan.inference.export.image_decoding import decode_image

NOISE = images.to_uint8(random_images(1, 37, 53, channels=4)[0])
SMOOTH = np.asarray(Image.fromarray(NOISE[:6, :9]).resize((53, 37), Image.Resampling.BICUBIC))


@functools.cache
def decoder(channels):
    return tf.function(lambda data: decode_image(data, channels, 16), input_signature=[tf.TensorSpec([], tf.string)])


def decode(data, channels=3):
    return decoder(channels)(data).numpy()


def encode(image, file_format, **options):
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def deep_png(pixels):
    """16 bits a channel, which PIL does not write."""
    low = np.random.default_rng(0).integers(0, 256, pixels.shape).astype(np.uint16)
    return tf.io.encode_png(pixels.astype(np.uint16) * 256 + low).numpy()


def color(pixels):
    return Image.fromarray(np.ascontiguousarray(pixels[..., :3]))


FILES = {
    "color": lambda p: encode(color(p), "PNG"),
    "gray": lambda p: encode(color(p).convert("L"), "PNG"),
    "transparent color": lambda p: encode(Image.fromarray(p), "PNG"),
    "transparent gray": lambda p: encode(Image.fromarray(p).convert("LA"), "PNG"),
    "palette": lambda p: encode(color(p).quantize(16), "PNG"),
    "palette of 2 bits": lambda p: encode(color(p).quantize(3), "PNG", bits=2),
    "transparent palette": lambda p: encode(color(p).quantize(16), "PNG", transparency=bytes(range(0, 256, 16))),
    "one transparent color": lambda p: encode(color(p), "PNG", transparency=tuple(int(v) for v in p[3, 3, :3])),
    "one transparent gray": lambda p: encode(Image.fromarray(p[..., 0].copy()), "PNG", transparency=int(p[2, 2, 0])),
    "black and white": lambda p: encode(color(p).convert("1"), "PNG"),
    "interlaced": lambda p: interlaced_png(p),
    "gray of 16 bits": lambda p: deep_png(p[..., :1]),
    "color of 16 bits": lambda p: deep_png(p[..., :3]),
    "transparent color of 16 bits": lambda p: deep_png(p),
    "transparent gray of 16 bits": lambda p: deep_png(p[..., :2]),
    "JPEG": lambda p: encode(color(p), "JPEG"),
    "JPEG without subsampling": lambda p: encode(color(p), "JPEG", subsampling=0, quality=95),
    "progressive JPEG": lambda p: encode(color(p), "JPEG", subsampling=1, progressive=True),
    "gray JPEG": lambda p: encode(color(p).convert("L"), "JPEG"),
}


def interlaced_png(pixels):
    """Adam7, which PIL does not write: seven pictures of every eighth to every second pixel."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [pixels[top::down, left::right, :3] for top, left, down, right in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part)
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(rows), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks.items())


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", FILES)
def test_pixels_are_those_that_training_read(kind, channels):
    for pixels in (NOISE, SMOOTH):
        data = FILES[kind](pixels)
        answer = decode(data, channels)
        assert answer.dtype == np.float32
        # Exact; only 16 bits are rounded once more than in NumPy's float64.
        np.testing.assert_allclose(answer, images.read_image(data, channels), rtol=2e-7)


def test_cmyk_is_converted():
    data = encode(color(SMOOTH).convert("CMYK"), "JPEG")
    np.testing.assert_allclose(decode(data), images.read_image(data), atol=1)


def test_the_orientation_of_exif_data_is_ignored():
    """TensorFlow does not see it; the translate command and the page turn images before they send them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(color(SMOOTH), "JPEG", exif=exif)
    assert images.read_image(data).shape == (53, 37, 3)
    assert decode(data).shape == (37, 53, 3)


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "Expected a PNG or JPEG image. Found: neither, in 0 bytes"),
        (b"junk", "neither, in 4 bytes"),
        (encode(color(NOISE), "BMP"), "neither"),
        (encode(color(NOISE), "GIF"), "neither"),
        (encode(color(NOISE), "WEBP"), "neither"),
        (b"\x89PNG\r\n\x1a\n", "neither, in 8 bytes"),
        (encode(color(NOISE), "PNG")[:900], "Invalid PNG data"),
        (encode(color(NOISE), "JPEG")[:700], "Invalid JPEG data"),
        (b"\xff\xd8\xff" + b"\0" * 30, "JPEG"),
        (encode(Image.new("L", (15, 40)), "PNG"), "sides of 16 to 8192 and at most 16777216 pixels. Found: 40x15"),
        (encode(Image.new("L", (40, 15)), "JPEG"), "Found: 15x40"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(data, words):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        decode(data)
    assert words in error.value.message


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("size", [(8193, 16), (16, 8193), (8192, 2049)])
def test_bombs_are_refused_by_their_header(size, file_format):
    """Cut short after it: what is decoded would fail in other words."""
    data = encode(Image.new("L", size), file_format)[:400]
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"Found: {size[1]}x{size[0]}"):
        decode(data)


def test_a_side_too_large_for_32_bits_is_refused():
    header = struct.pack(">IIBBBBB", 2**32 - 1, 2**32 - 1, 8, 2, 0, 0, 0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Found: 4294967295x4294967295"):
        decode(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header))


def test_a_header_that_is_not_in_its_place_is_no_header():
    """TensorFlow's decoder passes over a chunk before it, which could tell a size that is not the image's."""
    data = encode(Image.new("L", (9000, 9000)), "PNG")
    small = chunk(b"teXt", struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Found: neither"):
        decode(data[:8] + small + data[8:])


def test_the_largest_image_is_taken():
    assert decode(encode(Image.new("L", (8192, 2048), 7), "PNG"), 1).shape == (2048, 8192, 1)
