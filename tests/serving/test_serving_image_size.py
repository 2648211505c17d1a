"""Encoded images before they are decoded: their sizes, and files that take long to decode."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_cyclegan.serving.image_size import image_size
from tf_cyclegan.serving.limits import ImageRejected, Limits, check_inputs

LARGE = 16 * 2**20


def png(width, height):
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)


def jpeg(width, height, before=b"", marker=0xC2):
    return b"\xff\xd8" + before + struct.pack(">BBHBHH", 0xFF, marker, 17, 8, height, width)


def file_of(form, width, height, **settings):
    return saved(Image.new("RGB", (width, height)), form, **settings)


def saved(image, form, **settings):
    stream = io.BytesIO()
    image.save(stream, form, **settings)
    return stream.getvalue()


def noise(width, height):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def check(*files):
    check_inputs({"image_bytes": np.array([*files, b""], object)[:-1]}, Limits())


def filled(start, pattern):
    return start + pattern * ((LARGE - len(start)) // len(pattern))


# ---- sizes ----


@pytest.mark.parametrize(
    ("form", "settings"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": b"Exif\0\0" + jpeg(9, 9)}),
        ("GIF", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0"}),
        ("BMP", {}),
    ],
)
def test_sizes_of_files(form, settings):
    data = file_of(form, 300, 200, **settings)
    assert image_size(data)[:3] == (200, 300, 1)
    for cut in range(0, len(data), 7):
        image_size(data[:cut])  # says something or nothing, and does not fail


def test_sizes_of_animations_count_every_frame():
    first, *others = [Image.new("RGB", (30, 20), (60 * number, 0, 0)) for number in range(5)]
    data = saved(first, "GIF", save_all=True, append_images=others)
    assert image_size(data)[:3] == (20, 30, 5)
    frame = data.index(b"\x2c\0\0\0\0")  # a frame may claim more than the canvas
    large = bytearray(data)
    large[frame + 5 : frame + 9] = struct.pack("<HH", 60000, 50000)
    assert image_size(bytes(large))[:2] == (50000, 60000)


def test_sizes_of_gifs_that_decoders_take_nevertheless():
    frames = [noise(30, 20).rotate(180 * number).convert("P") for number in range(3)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    other = b"GIF80z" + data[6:]
    assert tf.io.decode_image(other).shape == (3, 20, 30, 3) and image_size(other)[:3] == (20, 30, 3)
    for cut in range(13, len(data), 5):
        size = image_size(data[:cut])
        assert size[:2] == (20, 30)
        try:
            decoded = tf.io.decode_image(data[:cut])
        except tf.errors.InvalidArgumentError:
            continue
        assert len(decoded) <= size.frames <= 3


def test_sizes_where_decoders_find_them():
    segment = b"\xff\xe1\x00\x06\xff\xc0ab"  # what looks like a size inside a segment is none
    for before in (segment, segment + b"\xff\xff\xff", b"\xff\x01" + segment * 900, b"junk", b"\xff\x00\x00\x02"):
        assert image_size(jpeg(300, 200, before))[:3] == (200, 300, 1)
    # FF 00 is no marker: the two bytes after it are no length that would hide the frame.
    assert image_size(b"\xff\xd8\xff\x00\x00\x20" + jpeg(300, 200)[2:] + bytes(40))[:3] == (200, 300, 1)
    for other in (b"", b"BM", png(3, 2)[:20], jpeg(3, 2)[:-1], jpeg(3, 2, marker=0xC4), b"\xff\xd8" + b"\xff" * 99):
        assert image_size(other) is None


def test_sizes_of_bmp():
    data = bytearray(file_of("BMP", 30, 20))
    data[22:26] = struct.pack("<i", -20)  # the first row comes first
    assert image_size(bytes(data)) == (20, 30, 1, 0)
    for height in (0, -(2**31), 2**31 - 1):
        data[22:26] = struct.pack("<i", height)
        assert image_size(bytes(data)) is None
    assert image_size(b"BMX is a sport, and BM is how its name begins.") is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (jpeg(3, 2, before=b"\xff\xe1\x00\x02" * 20_001), "more than 20000 segments"),
        (png(3, 2)[:8] + b"\0\0\0\0abCd\0\0\0\0" + png(3, 2)[8:], "does not begin with its header"),
        (b"\xff\x0a" + bytes(20), "JPEG XL is not taken"),
        (b"RIFF\0\0\0\0WEBPabcd" + bytes(20), "does not begin with its image"),
        (b"GIF89a" + bytes(7) + b"!\xfe\0" * 20_001, "more than 20000 parts"),
        (b"GIF89a" + bytes(7) + b"!\xfe" + b"\1a" * 200_001, "more than 200000 blocks"),
        (b"GIF89a" + bytes(7) + (b"!\xfe" + b"\1a" * 2000 + b"\0") * 101, "more than 200000 blocks"),
    ],
)
def test_files_that_hide_their_size(data, message):
    with pytest.raises(ImageRejected, match=message):
        check(data)


def test_animated_webp_is_refused():
    """TensorFlow 2.21 writes four channels into room for three, and the process ends."""
    frames = [Image.new("RGB", (64, 64), (80 * number, 2, 3)) for number in range(3)]
    with pytest.raises(ImageRejected, match="animated WebP"):
        check(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]))


# ---- JPEG: scans ----


def scans_of(data):
    """What comes before the last scan of a JPEG, and that scan, without the end of the image."""
    start = data.rindex(b"\xff\xda")
    return data[:start], data[start:-2]


def scans(data, count, gap=b"", end=b"\xff\xd9"):
    """A JPEG with so many scans, the last one repeated."""
    head, last = scans_of(data)
    return head + (last + gap) * (count - head.count(b"\xff\xda")) + end


PROGRESSIVE = file_of("JPEG", 16, 16, progressive=True)
PICTURE = noise(64, 64)
GAPS = {
    "none": b"",
    "fill bytes": b"\xff\xff\xff",
    "stuffing that looks like a length": b"\xff\x00\xff\xff",
    "a restart": b"\xff\xd3\x7f\xff",
    "a marker alone": b"\xff\x01\x7f\xff",
    "lengths below 2": b"\xff\xe0\0\0\xff\xe0\0\1",
    "a segment": b"\xff\xe5\0\x06abcd",
    "junk": b"junk",
}


def test_a_jpeg_has_at_most_100_scans():
    check(scans(PROGRESSIVE, 100))
    assert tf.io.decode_image(scans(PROGRESSIVE, 100)).shape == (16, 16, 3)
    with pytest.raises(ImageRejected, match="more than 100 scans"):
        check(scans(PROGRESSIVE, 101))


@pytest.mark.parametrize("gap", GAPS.values(), ids=GAPS)
def test_nothing_hides_a_scan(gap):
    """The decoder reads on after each gap, or a cut of the file behind it would not be a fault."""
    assert tf.io.decode_image(scans(PROGRESSIVE, 12, gap)).shape == (16, 16, 3)
    cut = scans(PROGRESSIVE, 12, gap, end=b"\xff\xda\0\x03\x01")  # a scan of which the length is wrong
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_image(cut)
    with pytest.raises(ImageRejected, match="more than 100 scans"):
        check(scans(PROGRESSIVE, 101, gap))


@pytest.mark.parametrize("settings", [{}, {"restart_marker_blocks": 1}, {"restart_marker_rows": 1}])
def test_what_is_in_a_scan_or_a_segment_is_no_scan(settings):
    data = saved(PICTURE, "JPEG", progressive=True, quality=95, **settings)
    assert data.count(b"\xff\x00") > 1 and (b"\xff\xd0" in data) == bool(settings)
    head, last = scans_of(data)
    count = head.count(b"\xff\xda") + 1
    comment = b"\xff\xe9\x03\x22" + b"\xff\xda\0\x08" * 200
    for where in (data[:2] + comment + data[2:], head + comment + last + b"\xff\xd9", data + comment[4:]):
        assert tf.io.decode_image(where).shape == (64, 64, 3)
        check(where)
    with pytest.raises(ImageRejected, match="more than 100 scans"):
        check(scans(data, 101))
    check(scans(data, 100))
    assert count < 15


def test_arithmetic_scans_take_longer():
    scan = b"\xff\xda\0\x08\1\1\0\0\0\0"
    check(jpeg(16, 16, marker=0xC9) + bytes(10) + scan * 20)
    with pytest.raises(ImageRejected, match="more than 20 scans"):
        check(jpeg(16, 16, marker=0xC9) + bytes(10) + scan * 21)


# ---- GIF: codes ----


def gif(bits, count):
    """A frame of that many bytes of data, of codes that begin with so many bits and one."""
    block = b"\xff" + b"\xff" * 255
    frame = b"," + struct.pack("<HHHHB", 0, 0, 9, 9, 0) + bytes([bits])
    return b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + frame + block * (count // 256) + b"\0;"


@pytest.mark.parametrize(("bits", "most"), [(0, 2 * 2**20), (2, 6 * 2**20), (8, LARGE)])
def test_a_gif_has_no_more_codes_than_time(bits, most):
    check(gif(bits, most - 1000))
    if bits < 8:
        for files in ([gif(bits, most + 2000)], [gif(bits, most // 2 + 1000)] * 2):
            with pytest.raises(ImageRejected, match="GIFs of up to .* codes. Expected at most: 16777216"):
                check(*files)


# ---- PNG: what is unpacked beyond the picture ----


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunks(*chunks, width=8, height=8):
    """A PNG with chunks before its data."""
    data = file_of("PNG", width, height)
    start = data.index(b"IDAT") - 4
    return data[:start] + b"".join(chunks) + data[start:]


@pytest.mark.parametrize(
    ("name", "start"), [(b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")], ids=str
)
def test_texts_and_profiles_that_unpack_for_long(name, start):
    text = chunk(name, start + zlib.compress(bytes(7_990_000), 9))
    check(*[with_chunks(text, chunk(b"tEXt", bytes(2**20)))] * 8)
    file = with_chunks(*[text] * 70, chunk(b"tEXt", bytes(2**20)))
    check(file)
    with pytest.raises(ImageRejected, match="PNGs have texts and profiles"):
        check(file, file)


def test_image_data_after_the_last_row():
    packer = zlib.compressobj(9, wbits=-15)
    data = b"\x78\xda" + (packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)) * 1100
    chunks = [chunk(b"IDAT", data[start : start + 8192]) for start in range(0, len(data), 8192)]
    for file in (with_chunks(*chunks), with_chunks(chunk(b"IDAT", data))):
        with pytest.raises(ImageRejected, match="image data far beyond its last row"):
            check(file)


@pytest.mark.parametrize("form", ["RGB", "RGBA", "L", "1", "P", "I;16"])
def test_large_pngs_are_taken(form):
    values = np.random.default_rng(0).integers(0, 256, (2000, 2048), np.uint8)
    image = Image.fromarray(values.view("<u2") if form == "I;16" else values)
    data = saved(image if form == "I;16" else image.convert(form), "PNG", compress_level=1)
    check(*[data] * max(1, min(3, LARGE // len(data))))


def test_many_chunks_are_refused_where_they_are_large():
    check(with_chunks(*[chunk(b"IDAT", b"")] * 1000))
    with pytest.raises(ImageRejected, match="more than 20000 chunks"):
        check(with_chunks(*[chunk(b"IDAT", b"")] * 100_000))


# ---- time ----

START = jpeg(4096, 4096) + b"\3" + bytes(9)
GIF = b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0)
FRAME = b"," + struct.pack("<HHHHB", 0, 0, 9, 9, 0) + b"\2"
SLOWEST = {
    "fill bytes": (START, b"\xff"),
    "restarts": (START, b"\xff\xd0"),
    "stuffing": (START, b"\xff\xff\0"),
    "no markers": (START, b"\0"),
    "segments": (START, b"\xff\xe0\0\2"),
    "GIF of blocks": (GIF + FRAME, b"\1a"),
    "GIF of frames": (GIF, FRAME + b"\1a" * 9 + b"\0"),
    "PNG of chunks": (png(4096, 4096) + bytes(9), chunk(b"IDAT", b"")),
}


@pytest.mark.parametrize(("start", "pattern"), SLOWEST.values(), ids=SLOWEST)
def test_no_large_file_is_slow_to_look_at(start, pattern):
    data = filled(start, pattern)
    begin = time.thread_time()
    try:
        check(data)
    except ImageRejected:
        pass
    assert time.thread_time() - begin < 2.5  # 0.05 on an idle machine
