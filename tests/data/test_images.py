"""Reading every kind of image, resizing, grids and writing."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from tf_cyclegan.data import images

COLORS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]], [[0, 0, 0], [255, 255, 255]]], np.uint8)


def save(path, array_or_image, **options):
    image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
    image.save(path, **options)
    return path


def test_ranges_and_rounding():
    levels = np.arange(256, dtype=np.uint8)
    values = images.to_float(levels)
    assert values.dtype == np.float32 and values[0] == -1 and values[255] == 1
    np.testing.assert_array_equal(images.to_uint8(values), levels)
    np.testing.assert_array_equal(images.to_uint8([-2.0, 0.99 / 127.5 - 1, 0.4 / 127.5 - 1, 3.0]), [0, 1, 0, 255])


@pytest.mark.parametrize("suffix, options", [("png", {}), ("bmp", {}), ("tif", {}), ("webp", {"lossless": True})])
def test_lossless_kinds(tmp_path, suffix, options):
    path = save(tmp_path / f"x.{suffix}", COLORS, **options)
    image = images.read_image(path)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, COLORS)
    np.testing.assert_array_equal(images.read_image(path.read_bytes()), COLORS)
    assert images.read_header(path) == (3, 2, "uint8") == images.read_header(path.read_bytes())


def test_gray_is_luma_and_gray_files_become_color(tmp_path):
    path = save(tmp_path / "x.png", COLORS)
    luma = np.rint(COLORS @ np.array([0.299, 0.587, 0.114]))
    gray = images.read_image(path, channels=1)
    assert gray.shape == (3, 2, 1)
    np.testing.assert_allclose(gray[..., 0], luma, atol=1)
    color = images.read_image(save(tmp_path / "g.png", gray[..., 0]))
    np.testing.assert_array_equal(color, np.repeat(gray, 3, axis=2))
    bits = images.read_image(save(tmp_path / "bits.png", Image.fromarray(gray[..., 0]).convert("1")))
    assert bits.shape == (3, 2, 3) and set(np.unique(bits)) <= {0, 255}


@pytest.mark.parametrize("quality", [95])
def test_jpeg_and_cmyk(tmp_path, quality):
    plain = np.full((16, 16, 3), (200, 60, 30), np.uint8)
    image = images.read_image(save(tmp_path / "x.jpg", plain, quality=quality))
    np.testing.assert_allclose(image, plain, atol=4)
    cmyk = save(tmp_path / "cmyk.jpg", Image.fromarray(plain).convert("CMYK"), quality=quality)
    np.testing.assert_allclose(images.read_image(cmyk), plain, atol=6)


@pytest.mark.parametrize("orientation, turn", [(3, lambda x: x[::-1, ::-1]), (6, lambda x: np.rot90(x, -1))])
def test_exif_orientation(tmp_path, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "x.png", COLORS, exif=exif)
    expected = turn(COLORS)
    np.testing.assert_array_equal(images.read_image(path), expected)
    assert images.read_header(path)[:2] == expected.shape[:2]


def test_transparency_is_laid_on_white(tmp_path):
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = 0, 128, 255
    expected = np.repeat([[[255], [127], [0]]], 3, axis=2)
    np.testing.assert_allclose(images.read_image(save(tmp_path / "rgba.png", rgba)), expected, atol=1)
    la = Image.merge("LA", [Image.fromarray(rgba[..., 0]), Image.fromarray(rgba[..., 3])])
    np.testing.assert_allclose(images.read_image(save(tmp_path / "la.png", la)), expected, atol=1)
    np.testing.assert_allclose(images.read_image(tmp_path / "la.png", channels=1), expected[..., :1], atol=1)


def test_palettes(tmp_path):
    palette = Image.fromarray(COLORS).convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    np.testing.assert_array_equal(images.read_image(save(tmp_path / "p.png", palette)), COLORS)
    transparent = save(tmp_path / "t.png", palette, transparency=palette.getpixel((0, 0)))
    expected = COLORS.copy()
    expected[0, 0] = 255
    np.testing.assert_array_equal(images.read_image(transparent), expected)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_gray(tmp_path, suffix):
    deep = np.array([[0, 257, 65535], [1000, 1, 30000]], np.uint16)
    path = save(tmp_path / f"x.{suffix}", deep)
    image = images.read_image(path, channels=1)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[..., 0], deep / 257, rtol=1e-6)
    assert images.read_header(path) == (2, 3, "float32")
    scaled = images.read_image(path, value_range=(0, 1000))
    np.testing.assert_allclose(scaled[..., 0], np.clip(deep * 0.255, 0, 255), rtol=1e-6)
    assert scaled.shape == (2, 3, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    if suffix == "png":
        np.testing.assert_array_equal(
            images.read_image(save(path, deep, exif=exif), 1)[..., 0], np.rot90(image, -1)[..., 0]
        )


def test_npy(tmp_path):
    path = tmp_path / "x.npy"
    values = np.linspace(-1000, 3000, 2 * 3 * 5).reshape(2, 3, 5)
    np.save(path, values)
    image = images.read_image(path, channels=5, value_range=(-1000, 3000))
    np.testing.assert_allclose(image, (values + 1000) / 4000 * 255, rtol=1e-5, atol=1e-4)
    assert images.read_header(path, 5, (-1000, 3000)) == (2, 3, "float32")
    for read in (images.read_image, images.read_header):
        with pytest.raises(ValueError, match=r"x\.npy.*`value_range`"):
            read(path, channels=5)
        with pytest.raises(ValueError, match=r"\(2, 3, 5\), expected .*`channels`"):
            read(path, channels=3, value_range=(0, 1))
    np.save(path, np.array([[0, 32767], [-32768, 0]], np.int16))
    np.testing.assert_allclose(images.read_image(path, 1)[..., 0], [[127.5, 255], [0, 127.5]], atol=0.01)
    np.save(path, COLORS)
    assert images.read_image(path).dtype == np.uint8
    np.save(path, np.array([[np.nan]]))
    with pytest.raises(ValueError, match="not finite"):
        images.read_image(path, 1, (0, 1))


def truncated(kind, share=0.6):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(stream, kind)
    return stream.getvalue()[: int(len(stream.getvalue()) * share)]


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\x93NUMPY", b"\x89PNG\r\n\x1a\n", truncated("PNG"), truncated("JPEG"), truncated("WEBP")],
)
def test_what_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="broken.png: .+") as caught:
        images.read_image(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="from the net"):
        images.read_image(content, name="from the net")


def test_pixel_bombs_are_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "bomb.png", np.zeros((30, 30), np.uint8))
    for limit in (800, 100):  # PIL warns above the limit and raises above twice the limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        for read in (images.read_image, images.read_header):
            with pytest.raises(ValueError, match="bomb.png"):
                read(path)


def test_missing_file_and_channels(tmp_path):
    with pytest.raises(ValueError, match="nowhere.png"):
        images.read_image(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match="`channels` must be 1 or 3"):
        images.read_image(save(tmp_path / "x.png", COLORS), channels=4)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_resize_is_that_of_pil(channels):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, channels), np.uint8)
    small = images.resize(image, (9, 11))
    assert small.dtype == np.uint8
    for i in range(channels):
        plane = Image.fromarray(image[..., i]).resize((11, 9), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(small[..., i], np.asarray(plane))
    assert images.resize(image, (20, 30)) is image


def test_resize_of_floats_and_many_channels():
    image = np.random.default_rng(0).uniform(0, 255, (20, 30, 5)).astype(np.float32)
    image[:10] = 255
    large = images.resize(image, (40, 50))
    assert large.dtype == np.float32 and large.shape == (40, 50, 5)
    assert large.min() >= 0 and large.max() <= 255  # bicubic overshoots
    middle = image * 0.4 + 80  # nothing to clip
    rounded = images.resize(np.rint(middle).astype(np.uint8), (40, 50))
    assert rounded.dtype == np.uint8
    np.testing.assert_allclose(rounded, images.resize(middle, (40, 50)), atol=2)


def test_grid():
    black, color = np.zeros((2, 3, 1), np.uint8), np.full((2, 3, 3), (9, 8, 7), np.uint8)
    grid = images.image_grid([[black, color], [color]])
    assert grid.shape == (2 * 2 + 2, 3 * 2 + 2, 3)
    assert (grid[:2, :3] == 0).all() and (grid[:2, 5:] == (9, 8, 7)).all() and (grid[4:, :3] == (9, 8, 7)).all()
    assert (grid[2:4] == 255).all() and (grid[:, 3:5] == 255).all() and (grid[4:, 5:] == 255).all()
    assert images.image_grid([[black]]).shape == (2, 3, 1)
    with pytest.raises(ValueError, match="`rows`"):
        images.image_grid([])


def test_save_png_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    images.save_png(path, COLORS)
    images.save_png(path, COLORS[::-1])
    np.testing.assert_array_equal(images.read_image(path), COLORS[::-1])
    images.save_png(tmp_path / "gray.png", COLORS[..., :1])
    assert sorted(os.listdir(tmp_path)) == ["gray.png", "x.png"]

    def fails(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        images.save_png(path, COLORS)
    assert sorted(os.listdir(tmp_path)) == ["gray.png", "x.png"]
    with pytest.raises(ValueError, match="`image` must be uint8"):
        images.save_png(path, COLORS / 255)
