"""Depth of translations: that of their images, in the units of their domain, as far as the format holds it."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL
from PIL import Image

from tf_cyclegan import CycleGAN
from tf_cyclegan.cli import main
from tf_cyclegan.export import export_saved_model
from tf_cyclegan.inference.export import signatures
from tf_cyclegan.inference.outputs import ARRAY, numbers_of

TYPES = {"12 bits": ("uint16", (0, 4095)), "HU": ("float32", (-1000, 2000)), "CT": ("int16", (-1000, 2000))}


def gradient(kind):
    dtype, (low, high) = TYPES[kind]
    return np.linspace(low, high, 24 * 20).reshape(24, 20).round().astype(dtype)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Makes a run folder of a model that changes nothing."""
    monkeypatch.setattr(CycleGAN, "translate", lambda self, images, direction=None: images)

    def make(kind):
        folder = tmp_path / "run"
        (folder / "checkpoints").mkdir(parents=True)
        model = CycleGAN(**{**SMALL, "image_shape": (32, 32, 1)}, residual_blocks=0)
        model.save(folder / "checkpoints" / "step_00000001.keras")
        (folder / "config.json").write_text(json.dumps({"value_range": TYPES[kind][1]}))
        return folder

    return make


def write(path, pixels):
    if path.suffix == ARRAY:
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path)
    return path


def read(path):
    return np.load(path)[..., 0] if path.suffix == ARRAY else np.asarray(Image.open(path))


TILES = ["--tile", "--tile-statistics=tile", "--tile-size=64", "--tile-overlap=4"]


@pytest.mark.parametrize(
    "kind, suffix, flags",
    [
        ("12 bits", ".png", []),
        ("12 bits", ".tif", []),
        ("HU", ".tif", []),
        ("HU", ".npy", []),
        ("12 bits", ".png", TILES),
        ("CT", ".npy", TILES),
    ],
)
def test_values_come_back_as_they_were(kind, suffix, flags, run, tmp_path, capsys):
    values = gradient(kind)
    source = write(tmp_path / f"in{suffix}", values)
    assert main(["translate", str(run(kind)), str(source), f"--output={tmp_path / 'out'}", *flags]) == 0
    found = read(tmp_path / "out" / f"in{suffix}")
    assert found.dtype == values.dtype
    np.testing.assert_allclose(found, values, atol=0 if values.dtype.kind in "ui" else 1e-3)
    assert "bits" not in capsys.readouterr().out


def test_eight_bits_are_said_and_chosen(run, tmp_path, capsys):
    folder = run("12 bits")
    (tmp_path / "in").mkdir()
    for name in ("1.png", "2.png"):
        write(tmp_path / "in" / name, gradient("12 bits"))
    write(tmp_path / "in" / "3.png", (gradient("12 bits") // 16).astype(np.uint8))
    for chosen in ("jpg", "tif32"):
        output = tmp_path / chosen
        assert main(["translate", str(folder), str(tmp_path / "in"), f"--output={output}", f"--format={chosen}"]) == 0
        text = "2 images of more than 8 bits, written in 8: 0 is black, 4095 white."
        in_8_bits = text in capsys.readouterr().out
        assert in_8_bits == (chosen == "jpg")
        found = read(output / f"1.{chosen.rstrip('32')}")
        assert found.dtype == ("uint8" if in_8_bits else "float32")
        expected = gradient("12 bits") * (255 / 4095 if in_8_bits else 1)
        np.testing.assert_allclose(found, expected, atol=3 if in_8_bits else 1e-3)


def test_a_suffix_chooses_too(run, tmp_path, capsys):
    folder, source = run("12 bits"), write(tmp_path / "in.png", gradient("12 bits"))
    assert main(["translate", str(folder), str(source), f"--output={tmp_path / 'x.jpg'}"]) == 0
    assert "1 image of more than 8 bits, written in 8" in capsys.readouterr().out
    assert main(["translate", str(folder), str(source), f"--output={tmp_path / 'x.tif'}"]) == 0
    np.testing.assert_array_equal(read(tmp_path / "x.tif"), gradient("12 bits"))
    assert main(["translate", str(folder), str(source), f"--output={tmp_path / 'y.png'}", "--format=npy"]) == 2
    assert "--output must end in .npy with --format npy" in capsys.readouterr().err


@pytest.mark.parametrize(
    "suffix, stored, value_range, depth, dtype, found",
    [
        (".png", "uint8", (0, 4095), None, "uint8", (0, 255)),
        (".png", "uint16", None, None, "uint16", (0, 65535)),
        (".png", "uint16", (-1000, 2000), None, "uint16", (0, 65535)),  # which is said
        (".png", "float32", (0, 1), None, "uint16", (0, 65535)),
        (".tif", "uint16", (-1000, 2000), None, "float32", (-1000, 2000)),
        (".tif", "int32", (-1000, 2000), None, "int32", (-1000, 2000)),
        (".tif", "uint16", (0, 1), None, "float32", (0, 1)),
        (".tif", "uint8", (0, 4095), "uint16", "uint16", (0, 4095)),
        (".npy", "uint16", (0, 4095), None, "uint16", (0, 4095)),
        (".npy", "uint8", None, None, "float32", (-1, 1)),
        (".npy", "uint16", (0, 1), None, "float32", (0, 1)),
        (".npy", "uint16", (0, 4095), "float32", "float32", (0, 4095)),
    ],
)
def test_what_holds_the_units(suffix, stored, value_range, depth, dtype, found):
    numbers = numbers_of(suffix, 1, stored, value_range, depth)
    assert (numbers.dtype, numbers.value_range) == (np.dtype(dtype), found)
    stretched = found != (value_range or found) and dtype != "uint8"
    assert ("stands for" in (numbers.note or "")) == stretched
    if suffix != ARRAY:
        assert numbers_of(suffix, 3, stored, value_range, depth).dtype == np.uint8  # PIL's colors have no more


def unchanged():
    image = keras.Input((None, None, 1))
    return keras.Model(image, keras.layers.Identity()(image))


@pytest.mark.parametrize("value_range, of_file", [((0, 4095), (0, 4095)), ((-1000, 2000), (0, 65535)), (None, None)])
def test_an_exported_model_answers_16_bits_by_16(value_range, of_file):
    serve = signatures.build_signatures(unchanged(), 1, value_ranges=((0, 4095), value_range)).functions[
        "serving_default"
    ]
    deep, flat = gradient("12 bits")[..., None], (gradient("12 bits") // 16).astype(np.uint8)[..., None]
    answers = serve(tf.stack([tf.io.encode_png(deep), tf.io.encode_png(flat)]))["translated_bytes"]
    low, high = of_file or (0, 65535)
    found = tf.io.decode_png(answers[0], dtype=tf.uint16).numpy()
    np.testing.assert_allclose(found, deep / 4095 * (high - low) + low, atol=0.51)
    np.testing.assert_array_equal(tf.io.decode_png(answers[1]), flat)
    assert answers[1].numpy()[24] == 8


def test_an_export_that_reads_16_bits_otherwise_is_not_published(tmp_path, monkeypatch):
    decode = signatures.decode_image
    monkeypatch.setattr(signatures, "decode_image", lambda data, channels, side, _: decode(data, channels, side))
    with pytest.raises(ValueError, match="signature serving_default on an image of 16 bits differs by"):
        export_saved_model(unchanged(), tmp_path / "x", 1, value_ranges=((0, 4095), (-1000, 2000)))
    assert not (tmp_path / "x").exists()
