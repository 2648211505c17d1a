"""What kinds of files are read, and that what is left out or taken in part is said."""

import numpy as np
import pytest
from conftest import SMALL
from PIL import Image

from tf_cyclegan import CycleGAN, images
from tf_cyclegan.cli import main
from tf_cyclegan.data import open_dataset
from tf_cyclegan.translating import files

NOISE = np.random.RandomState(0).randint(0, 256, (24, 20, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A CycleGAN of colors, as a file."""
    path = tmp_path_factory.mktemp("models") / "colors.keras"
    CycleGAN(**SMALL, residual_blocks=0).save(path)
    return path


def save(path, pixels=NOISE, kind=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, kind, **options)
    return path


def translate(capsys, *flags):
    code = main(["translate", *map(str, flags)])
    streams = capsys.readouterr()
    return code, streams.out + streams.err


# ---- suffixes ----


@pytest.mark.parametrize("suffix, kind", [(".jfif", "JPEG"), (".ppm", "PPM"), (".PNM", "PPM")])
def test_more_suffixes_are_found_read_and_written(suffix, kind, model, tmp_path, capsys):
    save(tmp_path / "in" / f"x{suffix}", kind=kind)
    assert translate(capsys, model, tmp_path / "in", "-o", tmp_path / "out")[0] == 0
    with Image.open(tmp_path / "out" / f"x{suffix}") as image:
        assert image.format == kind and image.size == (20, 24) and image.mode == "RGB"


def test_pgm_holds_gray_and_ppm_colors(model, tmp_path, capsys):
    save(tmp_path / "x.pgm", NOISE[..., 0])
    code, text = translate(capsys, model, tmp_path / "x.pgm", "-o", tmp_path / "out.pgm")
    assert code == 2 and ".pgm, which holds gray" in text
    files.save(tmp_path / "gray.ppm", np.zeros((4, 4, 1), np.float32))
    assert (tmp_path / "gray.ppm").read_bytes().startswith(b"P6")


@pytest.mark.parametrize("white", [255, 4095, 65535])
def test_the_numbers_of_a_pgm_are_those_in_the_file(white):
    levels = np.array([[0, white // 4], [white // 2, white]])
    data = b"P5 2 2 %d\n" % white + levels.astype(np.uint8 if white == 255 else ">u2").tobytes()
    shares = images.read_image(data, 1)[..., 0] / 255
    np.testing.assert_allclose(shares, levels / white, atol=2e-5)
    if white > 255:
        half = images.read_image(data, 1, value_range=(0, 2 * white))[..., 0]
        np.testing.assert_allclose(half, levels * 127.5 / white, atol=1e-4)


# ---- what is left out ----


def test_a_data_set_says_what_it_leaves_out(tmp_path):
    for domain in "AB":
        for name in ("1.png", "2.png"):
            save(tmp_path / f"train{domain}" / name)
    for name in ("trainA/1.gif", "trainA/deep/2.GIF", "trainB/1.avif", "trainB/.hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"?")
    text = open_dataset(tmp_path, image_size=16).describe()
    assert "left out 3 files that are no PNG, JPEG, " in text and ": .gif (2), .avif (1)" in text
    halves = tmp_path / "halves"
    save(halves / "train" / "1.png")
    (halves / "train" / "1.heic").write_bytes(b"?")
    text = open_dataset(halves, image_size=16).describe()
    assert "left out 1 file that is no PNG, " in text and ": .heic (1)" in text
    (tmp_path / "trainA" / "scan.nii.gz").write_bytes(b"?")
    text = open_dataset(data_a=tmp_path / "trainA", data_b=tmp_path / "trainB", image_size=16, test_share=0).describe()
    assert ".nii.gz (1)" in text and "NIfTI: save the numbers of each slice as .npy, and give --value-range" in text


@pytest.mark.parametrize("source", ["photos", "photos/*"])
def test_translate_says_what_it_leaves_out(source, model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "photos" / "1.png")
    (tmp_path / "photos" / "1.gif").write_bytes(b"GIF89a")
    code, text = translate(capsys, model, source, "-o", "out")
    assert code == 0 and "Left out 1 file that is no PNG, " in text and ": .gif (1)." in text
    (tmp_path / "photos" / "1.png").unlink()
    code, text = translate(capsys, model, source, "-o", "out")
    assert code == 2 and "has no images" in text and ".gif (1)" in text


@pytest.mark.parametrize(
    "name, data, words",
    [
        ("scan.dcm", b"", "DICOM: save the numbers of each slice as .npy, and give --value-range"),
        ("scan.nii.gz", b"", "NIfTI: save the numbers"),
        ("scan.png", bytes(128) + b"DICM" + bytes(999), "DICOM; save the numbers"),
        ("scan.png", bytes(344) + b"n+1\0" + bytes(999), "NIfTI; save the numbers"),
        ("photos.png", b"PK\x03\x04" + bytes(99), "a zip file; unpack it"),
    ],
)
def test_scans_and_archives_are_named(name, data, words, model, tmp_path, capsys):
    (tmp_path / name).write_bytes(data)
    code, text = translate(capsys, model, tmp_path / name, "-o", tmp_path / "out.png")
    assert code and words in text, text


# ---- several pages ----


def save_pages(path, count, kind=None):
    pages = [Image.fromarray(np.roll(NOISE, page, 0)) for page in range(count)]
    pages[0].save(path, kind, save_all=True, append_images=pages[1:])


@pytest.mark.parametrize("suffix", [".tif", ".webp", ".png"])
def test_files_of_several_pages_are_refused(suffix, model, tmp_path, capsys):
    save(tmp_path / "in" / "one.png")
    save_pages(tmp_path / "in" / f"many{suffix}", 5)
    code, text = translate(capsys, model, tmp_path / "in", "-o", tmp_path / "out")
    assert code == 1 and f"many{suffix}: page 1 of 5 alone would be translated" in text
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["one.png"]


def test_smaller_copies_and_masks_are_no_pages(tmp_path):
    pages = [Image.fromarray(NOISE) for _ in range(4)]
    for page, kind in zip(pages, (0, 1, 4, 2), strict=True):
        page.encoderinfo = {"tiffinfo": {254: kind}}
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    assert images.count_pages(tmp_path / "x.tif") == 2


def test_a_data_set_says_of_which_files_it_takes_a_page(tmp_path):
    for domain in "AB":
        save(tmp_path / f"train{domain}" / "1.png")
    save_pages(tmp_path / "trainA" / "2.tif", 5)
    save_pages(tmp_path / "trainB" / "3.webp", 2)
    text = open_dataset(tmp_path, image_size=16).describe()
    assert "2 files have several pages, of which the first is taken: page 1 of 5 of trainA/2.tif" in text
