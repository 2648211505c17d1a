"""What kinds of files are read, and that what is left out or taken in part is said."""

import contextlib
import json
import struct

import numpy as np
import pytest
from conftest import SMALL, open_dataset
from PIL import Image

from tf_cyclegan import CycleGAN
from tf_cyclegan.cli import main
from tf_cyclegan.data import images, labels
from tf_cyclegan.data.image_files import count_pages
from tf_cyclegan.inference import inputs as extras
from tf_cyclegan.inference import outputs
from tf_cyclegan.inference import translate as command
from tf_cyclegan.inference.inputs import Inputs
from tf_cyclegan.inference.translators import Translator
from tf_cyclegan.settings.commands import RangeSettings
from tf_cyclegan.weights.known_ranges import Ranges

NOISE = np.random.RandomState(0).randint(0, 256, (24, 20, 3)).astype(np.uint8)


@pytest.fixture
def model(monkeypatch):
    """In the place of a model: what takes and gives colors, and changes none. (Models have other tests.)"""

    @contextlib.contextmanager
    def opened(path, direction=None, report=None, config=None):
        yield Translator(lambda images: images, 3, 3)

    monkeypatch.setattr(command, "open_translator", opened)
    return "model.keras"


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
    outputs.save(tmp_path / "gray.ppm", np.zeros((4, 4, 1), np.float32))
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


@pytest.mark.parametrize("words", ["which ends at 16,383 pixels", "Image size exceeds WebP limit"])
def test_what_a_format_cannot_hold_does_not_end_the_run(words, model, tmp_path, capsys, monkeypatch):
    if "WebP" in words:  # what PIL alone knows of
        monkeypatch.setattr(outputs, "_LONGEST", {})
    save(tmp_path / "in" / "0.png", np.zeros((16, 16400, 3), np.uint8))
    save(tmp_path / "in" / "1.png")
    code, text = translate(capsys, model, tmp_path / "in", "-o", tmp_path / "out", "--format=webp")
    assert code == 1 and "1 of 2 images could not be translated" in text
    assert "0.png: --output must be another format than .webp" in text and words in text
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1.webp"]


@pytest.mark.parametrize("chosen", ["png16", "tif16", "tif32"])
def test_a_depth_that_colors_do_not_have_is_refused(chosen, model, tmp_path, capsys):
    save(tmp_path / "in" / "1.png")
    code, text = translate(capsys, model, tmp_path / "in", "-o", tmp_path / "out", f"--format={chosen}")
    assert code == 2 and f"{chosen} holds gray alone" in text and f"--format={chosen}" in text
    assert not (tmp_path / "out").exists()


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
    assert count_pages(tmp_path / "x.tif") == 2


def test_a_data_set_says_of_which_files_it_takes_a_page(tmp_path):
    for domain in "AB":
        save(tmp_path / f"train{domain}" / "1.png")
    save_pages(tmp_path / "trainA" / "2.tif", 5)
    save_pages(tmp_path / "trainB" / "3.webp", 2)
    save_pages(tmp_path / "trainB" / "4.png", 3)
    text = open_dataset(tmp_path, image_size=16).describe()
    assert "3 files have several pages, of which the first is taken: page 1 of 5 of trainA/2.tif" in text


# ---- files with A and B side by side ----


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory):
    """A run that was trained on files of 40x24 pixels that hold A and B, and those files."""
    folder = tmp_path_factory.mktemp("side by side")
    (folder / "run" / "checkpoints").mkdir(parents=True)
    CycleGAN(**SMALL, residual_blocks=0).save(folder / "run" / "checkpoints" / "step_00000001.keras")
    (folder / "run" / "config.json").write_text(json.dumps({"side_by_side": [40 / 24, 40 / 24]}))
    for index in range(2):
        save(folder / "pairs" / f"{index}.png", np.concatenate([NOISE + index, 255 - NOISE + index], 1))
    return folder / "run", folder / "pairs"


@pytest.mark.parametrize("direction, side", [("ab", 0), ("ba", 1)])
def test_a_run_of_pairs_side_by_side_translates_its_half(direction, side, side_by_side, tmp_path, capsys):
    run, folder = side_by_side
    code, text = translate(capsys, run, folder, "-o", tmp_path / "out", f"--direction={direction}")
    assert code == 0 and f"Took the {('left half, A', 'right half, B')[side]}, of 2 images" in text
    half = save(tmp_path / "half.png", images.read_image(folder / "1.png")[:, 20 * side :][:, :20])
    code, text = translate(capsys, run, half, "-o", tmp_path / "of_half.png", f"--direction={direction}")
    assert code == 0 and "Took" not in text  # as large as A alone: an image of A
    expected = images.read_image(tmp_path / "of_half.png").astype(int)
    assert np.abs(images.read_image(tmp_path / "out" / "1.png") - expected).max() <= 1


def test_the_flag_has_the_last_word(side_by_side, model, tmp_path, capsys):
    _, folder = side_by_side
    translator = Translator(None, 3, 3, side_by_side=(40 / 24, 40 / 24))
    inputs = Inputs(lambda path, seen: images.read_image(path, seen=seen), translator, RangeSettings(), False)
    assert inputs.read(folder / "1.png", tmp_path / "out.png")[0].shape == (24, 40, 3)
    translate(capsys, model, folder / "1.png", "-o", tmp_path / "left.png", "--side-by-side=True")
    assert images.read_image(tmp_path / "left.png").shape == (24, 20, 3)
    save(tmp_path / "odd.png", NOISE[:, :19])
    code, text = translate(capsys, model, tmp_path / "odd.png", "-o", tmp_path / "o.png", "--side-by-side=True")
    assert code == 1 and "19 pixels wide" in text


@pytest.mark.parametrize("domain, count", [("a", 0), ("b", 1)])
def test_the_range_is_judged_by_the_half_that_is_taken(domain, count, tmp_path):
    unit = np.linspace(0, 1, 24 * 20, dtype=np.float32).reshape(24, 20)
    np.save(tmp_path / "1.npy", np.hstack([unit, unit * 3000 + 1000]))
    translator = Translator(None, 1, 1, Ranges((0, 1), (0, 1)), domain=domain)
    inputs = Inputs(lambda path, seen: images.read_image(path, 1, (0, 1), seen=seen), translator, RangeSettings(), True)
    inputs.read(tmp_path / "1.npy", tmp_path / "out.npy")
    notes = [line for line in inputs.lines() if "clipped" in line]
    assert len(notes) == count and all("100 % are clipped" in note for note in notes)


# ---- beside the colors ----

SPACES = {1: b"GRAY", 3: b"RGB "}


def profile(channels=3):
    return bytes(16) + SPACES[channels] + bytes(108)


@pytest.mark.parametrize(
    "suffix, kept, flags",
    [
        (".png", {"transparency", "icc_profile", "dpi"}, []),
        (".png", {"transparency", "icc_profile", "dpi"}, ["--tile", "--tile-statistics=tile"]),
        (".tif", {"transparency", "icc_profile", "dpi"}, []),
        (".webp", {"transparency", "icc_profile"}, []),
        (".jpg", {"icc_profile", "dpi"}, []),
        (".bmp", {"dpi"}, []),
        (".ppm", set(), []),
        (".npy", set(), []),
    ],
)
def test_what_a_format_can_hold_is_carried_over_and_the_rest_said(suffix, kept, flags, model, tmp_path, capsys):
    alpha = np.arange(480).reshape(24, 20, 1).astype(np.uint8)
    save(tmp_path / "in.png", np.concatenate([NOISE, alpha], -1), icc_profile=profile(), dpi=(300, 300))
    code, text = translate(capsys, model, tmp_path / "in.png", "-o", tmp_path / f"x{suffix}", *flags)
    assert code == 0
    lost = {"transparency": "transparency of 1 image", "icc_profile": "color profile of 1", "dpi": "resolution of 1"}
    assert {name for name, words in lost.items() if words not in text} == kept
    if suffix == ".npy":
        return
    with Image.open(tmp_path / f"x{suffix}") as out:
        assert out.info.get("icc_profile") == (profile() if "icc_profile" in kept else None)
        if "dpi" in kept:
            assert [round(float(dots)) for dots in out.info["dpi"]] == [300, 300]
        if "transparency" in kept:
            np.testing.assert_array_equal(np.asarray(out)[..., 3:], alpha)


@pytest.mark.parametrize("mode, suffix", [("RGBA", ".png"), ("RGBA", ".tif"), ("LA", ".png"), ("P", ".png")])
def test_transparency_is_taken_without_a_copy_of_the_image(mode, suffix, tmp_path, monkeypatch):
    alpha = np.arange(480).reshape(24, 20).astype(np.uint8)
    if mode == "P":
        image = Image.fromarray(alpha)
        image.putpalette(bytes(768))
        image.save(tmp_path / "x.png", transparency=bytes(range(256)))
    else:
        image = Image.new(mode, (20, 24))
        image.putalpha(Image.fromarray(alpha))
        image.save(tmp_path / f"x{suffix}")
    made, new = [], Image.Image._new
    monkeypatch.setattr(Image.Image, "_new", lambda self, pixels: made.append(pixels) or new(self, pixels))
    monkeypatch.setattr(extras, "STRIP", 60, raising=False)
    np.testing.assert_array_equal(extras.read_extras(tmp_path / f"x{suffix}").alpha, alpha)
    assert all(pixels.mode == "L" or pixels.size[0] * pixels.size[1] <= 60 for pixels in made)


NO_QUOTIENT = "0/0"


@pytest.mark.parametrize(
    "dots, suffix, kept, said",
    [
        (NO_QUOTIENT, ".png", False, False),
        (NO_QUOTIENT, ".jpg", False, False),
        (254000, ".png", True, False),
        (254000, ".jpg", False, True),
        (0.25, ".jpg", False, True),
        (4e9, ".png", False, True),
    ],
)
def test_a_resolution_that_is_none_or_beyond_the_format(dots, suffix, kept, said, model, tmp_path, capsys):
    source = save(tmp_path / "in.tif", dpi=(7919, 7919) if dots == NO_QUOTIENT else (dots, dots))
    if dots == NO_QUOTIENT:  # which PIL does not write
        source.write_bytes(source.read_bytes().replace(struct.pack("<2I", 7919, 1), bytes(8)))
    code, text = translate(capsys, model, source, "-o", tmp_path / f"out{suffix}")
    assert code == 0 and ("resolution of 1 image" in text) == said
    with Image.open(tmp_path / f"out{suffix}") as out:
        assert out.info.get("dpi") == (pytest.approx((dots, dots), rel=1e-4) if kept else None)


def test_a_profile_that_is_a_number_is_none(model, tmp_path, capsys):
    source, head = save(tmp_path / "in.tif", icc_profile=b"ICC?"), "<2HI"
    data = source.read_bytes().replace(struct.pack(head, 34675, 7, 4), struct.pack(head, 34675, 4, 1))
    source.write_bytes(data)
    assert isinstance(Image.open(source).info["icc_profile"], int)
    assert translate(capsys, model, source, "-o", tmp_path / "out.png")[0] == 0


def test_a_profile_of_other_colors_is_left_out(model, tmp_path, capsys):
    save(tmp_path / "in.png", NOISE[..., 0], icc_profile=profile(1))
    code, text = translate(capsys, model, tmp_path / "in.png", "-o", tmp_path / "out.png")
    assert code == 0 and "color profile of 1 image" in text
    assert "icc_profile" not in Image.open(tmp_path / "out.png").info


def test_what_lies_beside_the_colors_is_turned_and_halved_with_them(model, tmp_path, capsys):
    exif = Image.Exif()
    exif[0x0112] = 6
    alpha = np.random.RandomState(1).randint(0, 256, (48, 40, 1)).astype(np.uint8)
    pixels = np.concatenate([np.tile(NOISE, (2, 2, 1)), alpha], -1)
    save(tmp_path / "in.png", pixels, exif=exif, dpi=(300, 100))
    flags = ("--side-by-side=True", "-o", tmp_path / "out.png")
    assert translate(capsys, model, tmp_path / "in.png", *flags)[0] == 0
    with Image.open(tmp_path / "out.png") as out:
        np.testing.assert_array_equal(np.asarray(out)[..., 3], np.rot90(alpha[..., 0], -1)[:, :24])
        assert [round(float(dots)) for dots in out.info["dpi"]] == [100, 300]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".ppm", ".pgm"])
def test_a_value_range_leaves_files_of_8_bits_as_they_are(suffix, tmp_path):
    path = save(tmp_path / f"x{suffix}", NOISE[..., 0] if suffix == ".pgm" else NOISE)
    np.testing.assert_array_equal(images.read_image(path, value_range=(0, 9)), images.read_image(path))


def test_black_and_white_of_a_plain_file():
    data = b"P1\n2 2\n0 1\n1 1\n"
    assert images.read_image(data, 1, value_range=(0, 9)).ravel().tolist() == [255, 0, 0, 0]
    assert labels.read_ids(data).ravel().tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("mode", ["1", "L"])
def test_ids_of_a_tiff_in_which_white_is_0(mode, tmp_path):
    ids = np.array([[0, 1], [1, 1]] if mode == "1" else [[0, 7], [34, 200]])
    levels = ids == 0 if mode == "1" else 255 - ids
    Image.fromarray(levels.astype(bool if mode == "1" else np.uint8)).save(tmp_path / "x.tif", tiffinfo={262: 0})
    np.testing.assert_array_equal(labels.read_ids(tmp_path / "x.tif")[..., 0], ids)
