"""Translation of files: what goes where, what is left alone, and that it is the model's own translation."""

import io
import json
import os
import random
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL, command_settings, random_images
from PIL import Image

from tf_cyclegan import CycleGAN, from_pretrained, save_pretrained
from tf_cyclegan.cli import main
from tf_cyclegan.data import images
from tf_cyclegan.export import export_saved_model
from tf_cyclegan.inference import file_pairs, outputs, run_translate
from tf_cyclegan.inference import translate as command
from tf_cyclegan.inference.translators import open_translator
from tf_cyclegan.settings.commands import TranslateSettings

ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with one checkpoint of a model whose two directions differ."""
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("runs") / "horse2zebra"
    (folder / "checkpoints").mkdir(parents=True)
    model = CycleGAN(**SMALL, residual_blocks=1)
    for weight in model.generator("ab").weights + model.generator("ba").weights:
        weight.assign(keras.random.normal(weight.shape, stddev=0.2))
    model.save(folder / "checkpoints" / "step_00000007.keras")
    return folder


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """The direction ab as version 10 of an exported model, whose version 9 is the other direction."""
    model = keras.models.load_model(run / "checkpoints" / "step_00000007.keras", compile=False)
    folder = tmp_path_factory.mktemp("exported") / "horse2zebra_ab"
    (folder / "8").mkdir(parents=True)
    for direction in ("ba", "ab"):
        export_saved_model(model.generator(direction), folder)
    return folder


@pytest.fixture(scope="module")
def model(run):
    return keras.models.load_model(run / "checkpoints" / "step_00000007.keras", compile=False)


def noise(height=24, width=20, channels=3, seed=0):
    return images.to_uint8(random_images(1, height, width, channels, seed)[0])


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels if pixels.ndim == 2 or pixels.shape[2] > 1 else pixels[..., 0]).save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path):
    """A tree with five images and three files that are none."""
    folder = tmp_path / "photos"
    for index, name in enumerate(("1.png", "2.png", "deep/1.png", "deep/down/3.WEBP", "deep/4.bmp")):
        write(folder / name, noise(seed=index), **({"lossless": True} if name.endswith("WEBP") else {}))
    for name in ("notes.txt", ".hidden.png", "deep/.thumbs/1.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("no image")
    return folder


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))


def translate(model, source, output, **settings):
    lines = []
    config = command_settings(TranslateSettings, model=model, input=str(source), output=output, **settings)
    return run_translate(config, lines.append), "\n".join(lines)


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def expected(model, pixels, direction="ab"):
    return images.to_uint8(model.translate(images.to_float(pixels)[None], direction)[0])


def assert_same_pixels(path, pixels, tolerance=1):
    """Equal but for rounding: another trace may compute the last bit of a float differently."""
    found = images.read_image(path, pixels.shape[2])
    assert found.shape == pixels.shape
    assert np.abs(found.astype(int) - pixels).max() <= tolerance


# ---- what comes out ----


@pytest.mark.parametrize("direction", ["ab", "ba"])
@pytest.mark.parametrize("kind", ["run", "file"])
def test_it_is_the_translation_of_the_model(kind, direction, run, model, tmp_path):
    source, output = write(tmp_path / "in.png", noise(25, 19)), tmp_path / "out.png"
    path = run if kind == "run" else run / "checkpoints" / "step_00000007.keras"
    assert translate(path, source, output, direction=direction)[0] == 0
    assert_same_pixels(output, expected(model, noise(25, 19), direction))
    other = expected(model, noise(25, 19), "ba" if direction == "ab" else "ab")
    assert np.abs(images.read_image(output).astype(int) - other).max() > 8


def test_a_tree_comes_out_as_a_tree(run, model, photos, tmp_path):
    code, text = translate(run, photos, tmp_path / "out")
    assert code == 0 and "Translated 5 images" in text
    assert tree(tmp_path / "out") == ["1.png", "2.png", "deep/1.png", "deep/4.bmp", "deep/down/3.WEBP"]
    for name in tree(tmp_path / "out"):
        assert_same_pixels(tmp_path / "out" / name, expected(model, images.read_image(photos / name)))
        assert Image.open(tmp_path / "out" / name).format == Image.open(photos / name).format


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif_orientation_is_applied_and_left_out(orientation, run, model, tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    source = write(tmp_path / "in.jpg", noise(24, 40), exif=exif, quality=95)
    translate(run, source, tmp_path / "out.png")
    upright = images.read_image(source)
    assert upright.shape == ((24, 40, 3) if orientation == 3 else (40, 24, 3))
    assert_same_pixels(tmp_path / "out.png", expected(model, upright))
    assert ORIENTATION not in Image.open(tmp_path / "out.png").getexif()


@pytest.mark.parametrize(
    "suffix, tolerance",
    [(".png", 0), (".webp", 0), (".bmp", 0), (".tif", 0), (".TIFF", 0), (".jpg", 60), (".jpeg", 60), (".jpe", 60)],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_suffix_decides_the_format(suffix, tolerance, channels, tmp_path):
    smooth = np.linspace(0, 255, 24 * 20 * channels).reshape(24, 20, channels).astype(np.uint8)
    outputs.save(tmp_path / f"x{suffix}", images.to_float(smooth))
    assert_same_pixels(tmp_path / f"x{suffix}", smooth, tolerance)
    kind = {"p": "PNG", "w": "WEBP", "b": "BMP", "t": "TIFF", "j": "JPEG"}[suffix[1].lower()]
    assert Image.open(tmp_path / f"x{suffix}").format == kind
    assert tree(tmp_path) == [f"x{suffix}"]


def test_jpeg_has_quality_95(tmp_path):
    outputs.save(tmp_path / "x.jpg", random_images(1, 24)[0])
    write(tmp_path / "95.jpg", noise(), quality=95)
    assert Image.open(tmp_path / "x.jpg").quantization == Image.open(tmp_path / "95.jpg").quantization


@pytest.mark.parametrize("array", [random_images(1, 24, 20)[0], random_images(1, 24, 20)[0].astype("f8"), noise()])
def test_arrays_stay_arrays_of_floats(array, run, model, tmp_path):
    np.save(tmp_path / "in.npy", array)
    translate(run, tmp_path / "in.npy", tmp_path / "out")
    found = np.load(tmp_path / "out" / "in.npy")
    floats = array if array.dtype.kind == "f" else images.to_float(array)
    assert found.dtype == np.float32 and found.shape == array.shape
    np.testing.assert_allclose(found, model.translate(floats[None])[0], atol=1e-4)


def test_a_run_reads_values_in_the_range_it_was_trained_with(run, model, tmp_path):
    deep = np.arange(24 * 20, dtype=np.uint16).reshape(24, 20) * 8
    source = write(tmp_path / "in.png", deep)
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text(json.dumps({"value_range": [0, 4095]}))
    for name, value_range in {"run": (0, 4095), "plain": None}.items():
        translate(tmp_path / "run" if name == "run" else run, source, tmp_path / f"{name}.png")
        floats = images.read_image(source, value_range=value_range)
        assert_same_pixels(tmp_path / f"{name}.png", expected(model, floats))


def test_transparency_is_laid_on_white_and_kept(run, model, tmp_path):
    pixels = noise(channels=4)
    source = write(tmp_path / "in.png", pixels)
    translate(run, source, tmp_path / "out.png")
    out = Image.open(tmp_path / "out.png")
    np.testing.assert_array_equal(np.asarray(out)[..., 3], pixels[..., 3])
    out.convert("RGB").save(tmp_path / "out.png")
    share = pixels[..., 3:] / 255
    on_white = np.rint(pixels[..., :3] * share + 255 * (1 - share)).astype(np.uint8)
    assert np.abs(images.read_image(source).astype(int) - on_white).max() <= 1
    assert_same_pixels(tmp_path / "out.png", expected(model, images.read_image(source)))


def test_gray_to_color(tmp_path):
    settings = {**SMALL, "image_shape": (32, 32, 1), "channels_b": 3, "lambda_identity": 0}
    model = CycleGAN(**settings, residual_blocks=0)
    model.save(tmp_path / "gray.keras")
    source = write(tmp_path / "in.png", noise())
    for direction, mode in {"ab": "RGB", "ba": "L"}.items():
        translate(tmp_path / "gray.keras", source, tmp_path / f"{direction}.png", direction=direction)
        assert Image.open(tmp_path / f"{direction}.png").mode == mode


def test_images_of_other_channels_are_arrays(tmp_path):
    CycleGAN(**{**SMALL, "image_shape": (32, 32, 5)}, residual_blocks=0).save(tmp_path / "five.keras")
    np.save(tmp_path / "in.npy", random_images(1, 24, channels=5)[0])
    with pytest.raises(ValueError, match="`output` must be .npy.* 5 channels"):
        translate(tmp_path / "five.keras", tmp_path / "in.npy", tmp_path / "out.png")
    assert translate(tmp_path / "five.keras", tmp_path / "in.npy", tmp_path / "out.npy")[0] == 0
    assert np.load(tmp_path / "out.npy").shape == (24, 24, 5)


def test_one_trace_serves_all_sizes(run, monkeypatch):
    traces, original = [], CycleGAN.translate
    monkeypatch.setattr(CycleGAN, "translate", lambda *arguments: traces.append(1) or original(*arguments))
    with open_translator(run) as translator:
        for height, width in ((16, 16), (17, 33), (40, 20), (23, 23)):
            assert translator(random_images(1, height, width)[0]).shape == (height, width, 3)
    assert len(traces) == 1


# ---- what cannot be read ----


def test_unreadable_files_are_listed_at_the_end(run, photos, tmp_path):
    whole = (photos / "2.png").read_bytes()
    (photos / "2.png").write_bytes(whole[: len(whole) // 2])
    (photos / "deep" / "4.bmp").write_text("no image")
    (photos / "zeros.npy").write_bytes(b"\x93NUMPY")
    write(photos / "small.png", noise(15, 40))
    code, text = translate(run, photos, tmp_path / "out")
    assert code == 1
    assert tree(tmp_path / "out") == ["1.png", "deep/1.png", "deep/down/3.WEBP"]
    assert "Translated 3 images" in text and "4 of 7 images could not be translated" in text
    lines = {name: [line for line in text.splitlines() if name in line] for name in ("2.png", "4.bmp", "zeros.npy")}
    assert all(len(found) == 1 for found in lines.values())
    assert f"{photos / 'small.png'}: 40x15 pixels, at least 16x16" in text


def test_what_the_model_refuses_does_not_end_the_run(run, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "_check_size", lambda *sides: None)  # too little for the network to mirror
    write(photos / "1.png", noise(1, 1))
    code, text = translate(run, photos, tmp_path / "out")
    assert code == 1 and "1 of 5" in text and f"{photos / '1.png'}: the model cannot translate it" in text
    assert len(tree(tmp_path / "out")) == 4


def test_a_full_disk_ends_the_run(run, photos, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        translate(run, photos, tmp_path / "out")
    assert tree(tmp_path / "out") == []


def test_an_interruption_leaves_no_half_file(run, photos, tmp_path, monkeypatch):
    synced, sync = [], os.fsync

    def interrupted_at_the_third(handle):
        synced.append(handle)
        if len(synced) == 3:
            raise KeyboardInterrupt
        sync(handle)

    monkeypatch.setattr(os, "fsync", interrupted_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        translate(run, photos, tmp_path / "out")
    assert tree(tmp_path / "out") == ["1.png", "2.png"]
    for name in tree(tmp_path / "out"):
        assert images.read_image(tmp_path / "out" / name).shape == (24, 20, 3)


def test_an_interrupted_folder_goes_on_with_what_is_missing(run, model, photos, tmp_path):
    translate(run, photos / "deep", tmp_path / "out" / "deep")
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="`output` has 3 of 5 .*`skip_existing`"):
        translate(run, photos, tmp_path / "out")
    code, text = translate(run, photos, tmp_path / "out", skip_existing=True)
    assert code == 0 and "3 of 5 translations are there already" in text and "Translated 2 images" in text
    assert len(tree(tmp_path / "out")) == 5 and {path: path.stat().st_mtime_ns for path in first} == first
    assert_same_pixels(tmp_path / "out" / "2.png", expected(model, noise(seed=1)))
    code, text = translate(tmp_path / "gone", photos, tmp_path / "out", skip_existing=True)
    assert code == 0 and text.splitlines()[-1] == "5 of 5 translations are there already."  # no model is needed
    code, text = translate(run, photos / "1.png", tmp_path / "npy", skip_existing=True, format="npy")
    assert "0 of 1" in text and tree(tmp_path / "npy") == ["1.npy"]
    with pytest.raises(ValueError, match="`skip_existing` has no use with `overwrite`"):
        translate(run, photos, tmp_path / "out", skip_existing=True, overwrite=True)


def test_the_bar_is_for_terminals(run, photos, tmp_path, capsys, monkeypatch):
    translate(run, photos, tmp_path / "out")
    assert capsys.readouterr().err == ""
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    translate(run, photos, tmp_path / "out", overwrite=True)
    assert "5/5" in terminal.getvalue() and "image/s" in terminal.getvalue()


# ---- what is read and where it goes ----


def planned(source, output, root, **settings):
    pairs = file_pairs.plan(str(source), output, **settings)
    return {image.relative_to(root).as_posix(): target.relative_to(root).as_posix() for image, target in pairs}


@pytest.mark.parametrize(
    "pattern, expected_names",
    [
        ("photos/*.png", ["1.png", "2.png"]),
        ("photos/**/*.png", ["1.png", "2.png", "deep/1.png"]),
        ("photos/deep/*", ["1.png", "4.bmp"]),
        ("photos/../photos/[2-9].png", ["2.png"]),
        ("p*/deep/1.*", ["photos/deep/1.png"]),
    ],
)
def test_patterns_keep_the_tree_below_their_first_wildcard(pattern, expected_names, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for prefix in ("", f"{tmp_path}/"):
        pairs = file_pairs.plan(prefix + pattern, "out")
        assert [target.relative_to("out").as_posix() for _, target in pairs] == expected_names
        assert all(image.is_file() for image, _ in pairs)


def test_a_file_whose_name_looks_like_a_pattern(photos, tmp_path):
    image = write(tmp_path / "[1].png", noise())
    assert file_pairs.plan(str(image), tmp_path / "out.png") == [(image, tmp_path / "out.png")]


@pytest.mark.parametrize("output, target", [("photos", "photos/x.png"), ("new", "new/x.png"), ("y.jpg", "y.jpg")])
def test_one_image_goes_to_a_file_or_a_folder(output, target, photos, tmp_path):
    image = write(tmp_path / "x.png", noise())
    assert planned(image, tmp_path / output, tmp_path) == {"x.png": target}


def test_an_output_inside_the_input_is_not_read(photos, tmp_path):
    first = planned(photos, photos / "out", photos)
    for target in first.values():
        write(photos / target, noise())
    assert planned(photos, photos / "out", photos, overwrite=True) == first
    assert planned(photos / "**" / "*", photos / "out", photos, overwrite=True) == first
    (tmp_path / "link").symlink_to(photos)
    assert len(file_pairs.plan(str(tmp_path / "link"), photos / "out", overwrite=True)) == len(first)


def test_an_output_that_holds_the_input(photos, tmp_path):
    assert len(planned(photos, tmp_path, tmp_path)) == 5


def test_files_that_are_there_stay(run, photos, tmp_path):
    translate(run, photos, tmp_path / "out")
    (tmp_path / "out" / "deep" / "1.png").unlink()
    before = {name: (tmp_path / "out" / name).read_bytes() for name in tree(tmp_path / "out")}
    with pytest.raises(ValueError, match="`output` has 4 of 5 .*`overwrite`.*1.png, .*2.png"):
        translate(run, photos, tmp_path / "out", direction="ba")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in tree(tmp_path / "out")} == before
    assert translate(run, photos, tmp_path / "out", direction="ba", overwrite=True)[0] == 0
    assert len(tree(tmp_path / "out")) == 5
    assert all((tmp_path / "out" / name).read_bytes() != content for name, content in before.items())


def test_a_long_list_of_files_that_are_there_is_cut(tmp_path):
    for index in range(9):
        write(tmp_path / "in" / f"{index}.png", noise())
    shutil.copytree(tmp_path / "in", tmp_path / "out")
    with pytest.raises(ValueError, match=r"4\.png and 4 more$"):
        file_pairs.plan(str(tmp_path / "in"), tmp_path / "out")


@pytest.mark.parametrize("output", [".", "../photos", "../link"])
def test_inputs_are_never_replaced(output, photos, tmp_path):
    (tmp_path / "link").symlink_to(photos)
    for source in (photos, photos / "1.png"):
        with pytest.raises(ValueError, match="`output` must not replace an input"):
            file_pairs.plan(str(source), photos / output, overwrite=True)


def test_two_translations_are_not_one_file(photos, tmp_path):
    write(photos / "same" / "1.png", noise())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "same").symlink_to(tmp_path / "out")
    with pytest.raises(ValueError, match="a file for each image.*1.png"):
        file_pairs.plan(str(photos), tmp_path / "out")


@pytest.mark.parametrize(
    "source, output, words",
    [
        ("nowhere", "out", ["`input`", "nowhere", "no such file"]),
        ("photos/*.gif", "out", ["`input` has no images", "photos/*.gif", "jpeg"]),
        ("empty", "out", ["`input` has no images"]),
        ("photos/*/../*.png", "out", ["`input`", "'..'"]),
        ("photos", "photos/1.png", ["`output` must be a folder", "1.png"]),
        ("photos", "out.png", ["`output` must be a folder", "out.png"]),
        ("photos/1.png", "out.gif", ["`output`", "out.gif", ".webp"]),
        ("photos/notes.txt", "out", ["`input`", "notes.txt"]),
    ],
)
def test_inputs_and_outputs_that_make_no_sense(source, output, words, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError) as error:
        file_pairs.plan(source, output)
    assert all(word in str(error.value) for word in words), error.value
    assert not (tmp_path / "out").exists()


# ---- models ----


def test_a_damaged_checkpoint_is_passed_over(run, photos, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "step_00000008.keras").write_bytes(random.Random(0).randbytes(999))
    code, text = translate(tmp_path / "run", photos / "1.png", tmp_path / "out.png")
    assert code == 0 and "step_00000008.keras" in text


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda path: None, ["`model`", "no such file"]),
        (lambda path: path.mkdir(), ["`model` must be a run folder"]),
        (lambda path: (path / "checkpoints").mkdir(parents=True), ["`model`", "none yet"]),
        (lambda path: path.write_text("junk"), ["`model`", "cannot be read"]),
        (
            lambda path: keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).save(path),
            ["whole model", "Sequential"],
        ),
    ],
)
def test_what_is_no_model(make, words, photos, tmp_path):
    path = tmp_path / "model.keras"
    make(path)
    with pytest.raises(ValueError) as error:
        translate(path, photos, tmp_path / "out")
    assert all(word in str(error.value) for word in words) and str(path) in str(error.value), error.value
    assert not (tmp_path / "out").exists()


def test_a_direction_that_the_model_has_not(run, photos, tmp_path):
    with pytest.raises(ValueError, match="`direction`.*ab, ba.*'ac'"):
        translate(run, photos, tmp_path / "out", direction="ac")


# ---- exported models ----


@pytest.mark.parametrize("version", ["", "10"])
@pytest.mark.parametrize("direction", ["ab", None])
def test_an_exported_model_translates_as_its_run(version, direction, exported, run, model, photos, tmp_path):
    assert translate(exported / version, photos, tmp_path / "out", direction=direction)[0] == 0
    translate(run, photos, tmp_path / "expected")
    assert tree(tmp_path / "out") == tree(tmp_path / "expected")
    for name in tree(tmp_path / "out"):
        assert_same_pixels(tmp_path / "out" / name, images.read_image(tmp_path / "expected" / name))


def test_an_older_version_by_its_folder(exported, model, tmp_path):
    source = write(tmp_path / "in.png", noise())
    translate(exported / "9", source, tmp_path / "out.png")
    assert_same_pixels(tmp_path / "out.png", expected(model, noise(), "ba"))


def test_a_saved_model_of_any_name_has_its_own_direction(exported, model, tmp_path):
    source = write(tmp_path / "in.png", noise())
    shutil.copytree(exported / "10", tmp_path / "zebras")
    translate(tmp_path / "zebras", source, tmp_path / "out.png", direction="ba")
    assert_same_pixels(tmp_path / "out.png", expected(model, noise()))


@pytest.mark.parametrize("version", ["", "10"])
def test_an_exported_model_has_one_direction(version, exported, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(exported / version)
    for path in (exported / version, "."):
        with pytest.raises(ValueError, match="`direction` must be 'ab', .* model horse2zebra_ab. Received: .*'ba'"):
            translate(path, photos, tmp_path / "out", direction="ba")
    assert not (tmp_path / "out").exists()


def test_what_an_exported_model_refuses_does_not_end_the_run(exported, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "_check_size", lambda *sides: None)
    write(photos / "1.png", noise(15, 40))
    code, text = translate(exported, photos, tmp_path / "out")
    assert code == 1 and "1 of 5" in text and f"{photos / '1.png'}: the model cannot translate it" in text
    assert "15x40" in text


def test_a_saved_model_of_something_else(photos, tmp_path):
    module = tf.Module()
    module.half = tf.function(lambda x: x / 2, input_signature=[tf.TensorSpec([None], tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "half"), signatures={"serving_default": module.half})
    with pytest.raises(ValueError, match="`model` must have the signature 'tensor'.*serving_default"):
        translate(tmp_path / "half", photos, tmp_path / "out")


def test_a_damaged_saved_model(exported, photos, tmp_path):
    shutil.copytree(exported / "10", tmp_path / "damaged" / "1")
    (tmp_path / "damaged" / "1" / "saved_model.pb").write_bytes(b"junk")
    with pytest.raises(ValueError, match="`model` cannot be read: .*damaged/1"):
        translate(tmp_path / "damaged", photos, tmp_path / "out")


# ---- the bundled weights ----


def test_one_path_alone_is_translated_by_the_bundled_weights(at_home, tmp_path, capsys):
    photo = write(tmp_path / "photo.png", noise(64, 64))
    assert main(["translate", "photo.png", "-o", "out.png"]) == 0
    assert "Taking the bundled weights emoji." in capsys.readouterr().out.splitlines()
    assert main(["translate", "emoji", "photo.png", "-o", "named.png"]) == 0
    assert main(["translate", "emoji", "photo.png", "-o", "back.npy", "--direction=ba"]) == 0
    pixels = {name: images.read_image(tmp_path / name, 3) for name in ("out.png", "named.png")}
    np.testing.assert_array_equal(pixels["out.png"], pixels["named.png"])
    expected = from_pretrained("emoji").translate(images.to_float(images.read_image(photo, 3))[None], "ba")[0]
    np.testing.assert_allclose(np.load(tmp_path / "back.npy"), expected, atol=1e-4)


def test_a_folder_of_images_and_a_pattern_alone_as_well(at_home, photos, capsys):
    assert main(["translate", "photos", "-o", "out"]) == 0
    assert main(["translate", "photos/*.png", "-o", "few"]) == 0
    assert capsys.readouterr().out.count("Taking the bundled weights emoji.") == 2
    photos.rename("emoji")  # a folder of images that has the name of the weights
    assert main(["translate", "emoji", "-o", "again"]) == 0


@pytest.mark.parametrize("alone", ["run", "exported", "emoji", "model.keras", "https://host/emoji"])
def test_a_model_alone_lacks_the_images(at_home, run, exported, alone, capsys):
    path = {"run": str(run), "exported": str(exported)}.get(alone, alone)
    assert main(["translate", path, "-o", "out"]) == 2
    assert "INPUT must be given" in capsys.readouterr().err


def test_a_run_of_that_name_comes_before_the_bundled_weights(at_home, run, tmp_path, model):
    shutil.copytree(run, tmp_path / "emoji")
    write(tmp_path / "photo.png", noise(32, 32))
    assert main(["translate", "emoji", "photo.png", "-o", "out.npy"]) == 0
    expected = model.translate(images.to_float(noise(32, 32))[None])[0]
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-4)


def test_a_folder_of_weights_keeps_the_range_of_its_training(at_home, model, tmp_path):
    save_pretrained(model, "weights", value_range=(0.0, 4.0))
    np.save("image.npy", np.full((32, 32, 3), 3.0, "float32"))
    assert main(["translate", "weights", "image.npy", "-o", "out.npy"]) == 0
    expected = from_pretrained("weights").translate(np.full((1, 32, 32, 3), 0.5))[0]
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), 2 + 2 * expected, atol=1e-3)
