"""How images fill the range they are read by: a line a domain where it looks wrong, with the flag that mends it."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from conftest import open_dataset, random_images
from PIL import Image

from tf_cyclegan import load_dataset
from tf_cyclegan.cli import main
from tf_cyclegan.weights.known_ranges import ranges_in


def noise(low, high, dtype, seed=0):
    """From `low` to `high`, both included."""
    unit = random_images(1, channels=1, seed=seed)[0, ..., 0]
    unit[0, :2] = -1, 1
    return ((unit + 1) / 2 * (high - low) + low).round(3 if dtype == "float32" else 0).astype(dtype)


def write(folder, pixels, suffix, domains="AB"):
    for name in [f"{split}{domain}" for split in ("train", "test") for domain in domains]:
        (folder / name).mkdir(exist_ok=True)
        if suffix == ".npy":
            np.save(folder / name / "1.npy", pixels)
        else:
            Image.fromarray(pixels).save(folder / name / f"1{suffix}")
    return folder


# Pixels, suffix, range: what is said of them.
ODD = {
    "HU in 0 to 1": (
        noise(-1000, 2000, "float32"), ".tif", (0, 1), ["100 % are clipped", "`value_range` -1000 2000"]
    ),
    "HU for the most part": (
        noise(-1000, 2000, "float32"), ".npy", (0, 2000), ["34 % are clipped", "`value_range` -1000 2000"]
    ),
    "12 bits in 16": (
        noise(0, 4000, "uint16"), ".png", None, ["read as 0 to 65535: 6 % is used", "`value_range` 0 4095"]
    ),
    "0 to 1 in 0 to 255": (noise(0, 1, "float32"), ".npy", (0, 255), ["0 % is used", "`value_range` 0 1"]),
    "masks": (noise(0, 1, "uint8"), ".png", None, ["from 0 to 1", "`label_classes`"]),
    "arrays of masks": (noise(0, 1, "uint8"), ".npy", None, ["from 0 to 1", "`value_range` 0 1"]),
    "one value": (noise(7, 7, "uint8"), ".npy", None, ["from 7 to 7"]),
}  # fmt: skip
RIGHT = {
    "8 bits": (noise(0, 255, "uint8"), ".png", None),
    "dark": (noise(0, 60, "uint8"), ".png", None),
    "16 bits": (noise(0, 65535, "uint16"), ".png", None),
    "12 bits": (noise(0, 4095, "uint16"), ".png", (0, 4095)),
    "a fifth clipped": (noise(-1000, 2000, "float32"), ".npy", (-400, 2000)),
}


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_range_that_does_not_fit_is_said(case, cache, tmp_path):
    pixels, suffix, value_range, words = ODD[case]
    folder = write(tmp_path, pixels, suffix)
    for _ in range(2):  # from the disk at the second time
        data = open_dataset(
            folder, image_size=32, channels=1, value_range=value_range, cache=cache, cache_dir=tmp_path / "cache"
        )
        lines = data.load().range_notes()
        assert [line[:8] for line in lines] == ["Domain A", "Domain B"]
        assert all(word in lines[0] for word in words), lines[0]
        assert all(word.replace("`value_range`", "`value_range_b`") in lines[1] for word in words), lines[1]


@pytest.mark.parametrize("case", RIGHT)
def test_a_range_that_fits_is_not_spoken_of(case, tmp_path):
    pixels, suffix, value_range = RIGHT[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_dataset(write(tmp_path, pixels, suffix), image_size=32, channels=1, value_range=value_range)


def test_domains_are_judged_apart(tmp_path):
    write(tmp_path, noise(0, 255, "uint8"), ".png", "A")
    write(tmp_path, noise(0, 4000, "uint16"), ".png", "B")
    with pytest.warns(UserWarning, match="Domain B.*`value_range_b` 0 4095") as found:
        load_dataset(tmp_path, image_size=32, channels=1)
    assert len(found) == 1


def test_halves_of_a_file_are_judged_apart(tmp_path):
    (tmp_path / "train").mkdir()
    np.save(tmp_path / "train" / "1.npy", np.hstack([noise(-1000, 2000, "float32"), noise(0, 1, "float32")]))
    options = {"image_size": 32, "channels": 1, "value_range": (-1000, 2000)}
    assert open_dataset(tmp_path, **options, value_range_b=(0, 1)).load().range_notes() == []
    (note,) = open_dataset(tmp_path, **options).load().range_notes()
    assert note.startswith("Domain B has values from 0 to 1,") and "`value_range_b` 0 1" in note


@pytest.mark.parametrize("color", [True, False])
def test_colors_of_16_bits_are_said_to_be_read_in_8(color, tmp_path):
    pixels = np.repeat(noise(0, 65535, "uint16")[..., None], 3 if color else 1, axis=2)
    for name in ("trainA", "trainB"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(tf.io.encode_png(pixels).numpy())
    notes = open_dataset(tmp_path, image_size=32).load().range_notes()
    assert notes == [f"Domain {label} has 1 image of 16-bit colors, read in 8 bits." for label in "AB" if color]


def test_values_that_are_no_numbers_are_left_out(tmp_path):
    folder = write(tmp_path, noise(0, 1, "float32"), ".npy")
    np.save(folder / "trainA" / "2.npy", np.full((32, 32), np.nan, "float32"))
    data = open_dataset(folder, image_size=32, channels=1, value_range=(0, 1), skip_unreadable=True).load()
    assert len(data.skipped) == 1 and data.range_notes() == []


@pytest.mark.eager
def test_training_and_translating_say_it(tmp_path, capfd):
    folder = write(tmp_path, noise(0, 4000, "uint16"), ".png")
    small = ["--image-size=32", "--channels=1", "--filters=4", "--discriminator-filters=4", "--residual-blocks=1"]
    run, told = str(tmp_path / "run"), "values from 0 to 4000, read as 0 to 65535: 6 % is used"
    assert main(["train", f"--dataset={folder}", *small, "--pool-size=0", "--steps=1", f"--output-dir={run}"]) == 0
    assert f"Domain B has {told}. --value-range-b 0 4095" in capfd.readouterr().out
    assert main(["translate", run, str(folder / "trainB"), f"--output={tmp_path / 'out'}", "--direction=ba"]) == 0
    output = capfd.readouterr().out
    # The networks were shown this range, of the type of the files: another one is no remedy any more.
    assert f"The input has {told}. The training read its files so." in output and "unknown range" not in output
    evaluate = [f"--dataset={folder}", "--metrics=l1", "--paired", f"--output={tmp_path / 'e'}"]
    assert main(["evaluate", run, *evaluate]) == 0
    assert f"Domain B has {told}. The training read its files so." in capfd.readouterr().out


def test_the_range_of_the_integers_that_were_read_is_known(tmp_path):
    write(tmp_path, noise(0, 255, "uint8"), ".png", "A")
    write(tmp_path, noise(0, 60000, "uint16"), ".png", "B")
    options = {"image_size": 32, "channels": 1, "cache": "disk", "cache_dir": tmp_path / "cache"}
    for _ in range(2):  # from the disk at the second time
        assert open_dataset(tmp_path, **options).load().type_ranges == (None, (0, 65535))
    assert open_dataset(tmp_path, **options, value_range=(0, 4095)).load().type_ranges == (None, None)
    assert ranges_in({"type_range": None, "type_range_b": [0, 65535]}) == (None, (0, 65535))
    assert ranges_in({"value_range": [0, 4095], "type_range_b": [0, 65535]}) == ((0, 4095), (0, 4095))
