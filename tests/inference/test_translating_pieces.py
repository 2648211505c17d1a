"""`translate --tile`: strips and tiles by the command, and tiles by themselves."""

import contextlib
import io
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import SMALL, command_settings, random_images
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tf_cyclegan import CycleGAN
from tf_cyclegan.data import images
from tf_cyclegan.export import export_saved_model
from tf_cyclegan.inference import outputs, pieces, run_translate
from tf_cyclegan.inference.pieces import MirroredRows, check_pieces, check_use, fading, spans, translate_in_tiles
from tf_cyclegan.inference.strips import Walk, strip_stages
from tf_cyclegan.inference.translators import Translator
from tf_cyclegan.models.generator_only import PretrainedGenerator
from tf_cyclegan.settings.commands import TileSettings, TranslateSettings


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model and its file."""
    keras.utils.set_random_seed(1)
    made = CycleGAN(**SMALL, residual_blocks=1)
    for weight in made.generator("ab").weights:
        weight.assign(keras.random.normal(weight.shape, stddev=0.2))
    path = tmp_path_factory.mktemp("models") / "horse.keras"
    made.save(path)
    return made, path


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "horse_ab"
    export_saved_model(model[0].generator("ab"), folder)
    return folder


def photo(path, height=45, width=67):
    pixels = images.to_uint8(random_images(1, height, width)[0])
    Image.fromarray(pixels).save(path)
    return pixels


def translate(model, source, output, **flags):
    lines = []
    config = command_settings(
        TranslateSettings, model=model, input=str(source), output=output, **{"tile": True, **flags}
    )
    return run_translate(config, lines.append), "\n".join(lines)


# ---- strips by the command ----


@pytest.mark.parametrize("name", ["out.npy", "out.png"])
def test_strips_give_the_translation_of_the_whole(name, model, tmp_path, monkeypatch):
    monkeypatch.setattr(strip_stages, "_LARGEST_TENSOR", 40_000)
    pixels = photo(tmp_path / "in.png")
    code, text = translate(model[1], tmp_path / "in.png", tmp_path / "new" / name)
    whole = np.asarray(model[0].translate(images.to_float(pixels)[None])[0])
    assert code == 0 and f"{name}: 67x45 pixels in strips" in text and str(tmp_path) in text
    if name.endswith("npy"):
        found = np.load(tmp_path / "new" / name)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, whole, atol=1e-4)
    else:
        found = np.asarray(Image.open(tmp_path / "new" / name))
        assert np.abs(found.astype(int) - images.to_uint8(whole)).max() <= 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


def test_what_strips_cannot_do_does_not_end_the_run(model, tmp_path):
    (tmp_path / "in").mkdir()
    photo(tmp_path / "in" / "small.png", 16, 16)
    photo(tmp_path / "in" / "wide.png", 16, 4000)
    code, text = translate(model[1], tmp_path / "in", tmp_path / "out", tile_memory=2e-3)
    assert code == 1 and "Translated 1 image " in text
    assert "in/wide.png: --tile-memory must leave" in text
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.png"]


def test_an_interruption_leaves_neither_half_files_nor_scratch(model, tmp_path, monkeypatch):
    closed = []

    def interrupted(self, read_rows, progress):
        try:
            yield 0, np.zeros((4, 68, 3), np.float32)
            raise KeyboardInterrupt
        finally:
            closed.append(True)

    monkeypatch.setattr(Walk, "translate", interrupted)
    photo(tmp_path / "in.png")
    for name in ("out.npy", "out.png"):
        with pytest.raises(KeyboardInterrupt):
            translate(model[1], tmp_path / "in.png", tmp_path / name)
    assert closed == [True, True] and [path.name for path in tmp_path.iterdir()] == ["in.png"]


def test_one_image_has_a_bar_of_its_own(model, tmp_path, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    photo(tmp_path / "in.png", 16, 16)
    monkeypatch.setattr("sys.stderr", terminal)
    translate(model[1], tmp_path / "in.png", tmp_path / "out.png")
    assert "0%|" in terminal.getvalue() and "image" not in terminal.getvalue()


@pytest.mark.parametrize(
    "flags, words",
    [
        ({"tile_size": 8}, "`tile_size` must be an integer of at least 64"),
        ({"tile_overlap": -1}, "`tile_overlap` must be an integer of at least 0"),
        ({"tile_size": 100, "tile_overlap": 60}, "`tile_overlap` must be at most half of `tile_size`"),
        ({"tile_memory": 0}, "`tile_memory` must be above 0"),
    ],
)
def test_settings_that_make_no_sense(flags, words):
    tiles = TileSettings(tile=True, **flags)
    with pytest.raises(ValueError, match=words):
        check_pieces(tiles, Translator(None, 3, 3, network=None), Path("horse"))


@pytest.mark.parametrize(
    "flags, words",
    [
        ({"tile_size": 512}, "`tile_size` has no use without `tile`. Received: tile_size=512"),
        ({"tile_statistics": "tile"}, "`tile_statistics` has no use without `tile`"),
        ({"tile": True, "tile_overlap": 8}, "`tile_overlap` has no use with `tile_statistics` 'image'"),
        ({"tile": True, "tile_statistics": "tile", "scratch_dir": Path("s")}, "`scratch_dir` has no use with"),
    ],
)
def test_settings_without_use(flags, words):
    with pytest.raises(ValueError, match=words):
        check_use(TileSettings(**flags))


def test_strips_need_the_layers(exported, tmp_path):
    photo(tmp_path / "in.png")
    with pytest.raises(ValueError, match="`tile_statistics` must be 'tile' for an exported model"):
        translate(exported, tmp_path / "in.png", tmp_path / "out.png")


def test_a_layer_without_a_rule_is_named_before_the_first_image(tmp_path):
    image = keras.Input((None, None, 3))
    network = keras.Model(image, keras.layers.MaxPooling2D(1, name="odd_one")(image))
    PretrainedGenerator(network).save(tmp_path / "odd.keras")
    photo(tmp_path / "in.png", 16, 16)
    with pytest.raises(ValueError, match="`tile_statistics` must be 'tile' .* odd_one"):
        translate(tmp_path / "odd.keras", tmp_path / "in.png", tmp_path / "out" / "x.png")
    assert not (tmp_path / "out").exists()


# ---- tiles by the command ----


def test_an_exported_model_translates_in_tiles(exported, model, tmp_path):
    pixels = photo(tmp_path / "in.png", 45, 130)
    for path in (exported, model[1]):
        flags = {"tile_statistics": "tile", "tile_size": 64, "tile_overlap": 32}
        assert translate(path, tmp_path / "in.png", tmp_path / f"{path.name}.npy", **flags)[0] == 0
    found = [np.load(tmp_path / f"{path.name}.npy") for path in (exported, model[1])]
    assert found[0].shape == pixels.shape and np.abs(found[0]).max() > 0.1
    # What one tile alone shows is that tile's translation.
    first = model[0].translate(images.to_float(pixels[:, :64])[None])[0]
    for each in found:
        np.testing.assert_allclose(each[:, :32], first[:, :32], atol=1e-4)


# ---- tiles ----

SIDES = st.integers(1, 400)
SIZES = st.tuples(st.sampled_from([64, 100, 128]), st.integers(0, 32), st.sampled_from([1, 4, 16, 32, 256]))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(SIDES, SIZES)
def test_tiles_cover_a_side_and_share_it(side, sizes):
    size, overlap, multiple = sizes
    found = spans(side, size, overlap, multiple)
    assert found[0][0] == 0 and found[-1][1] == side
    for (start, stop), (following, end) in zip(found, found[1:], strict=False):
        assert start < following <= stop - overlap and stop < end
    widest = max(size, overlap + multiple) + 2 * multiple
    assert all(start % multiple == 0 and 0 < stop - start < widest for start, stop in found)
    total = np.zeros(side)
    for (start, stop), share in zip(found, fading(found, side, overlap), strict=True):
        assert share.min() > 0
        total[start:stop] += share
    np.testing.assert_allclose(total, 1, atol=1e-5)


@pytest.mark.parametrize("overlap", [0, 16])
def test_tiles_of_what_looks_at_no_neighbor_are_the_whole(overlap):
    image = images.to_uint8(random_images(1, 150, 90)[0])
    done = []
    found = list(translate_in_tiles(lambda tile: tile[..., :2] * 2, image, 64, overlap, 4, done.append))
    assert [first for first, _ in found] == list(np.cumsum([0, *(len(rows) for _, rows in found)])[:-1])
    whole = np.concatenate([rows for _, rows in found])
    np.testing.assert_allclose(whole, images.to_float(image)[..., :2] * 2, atol=1e-5)
    assert sum(done) >= 150 * 90


# ---- what strips read, and where pieces go ----


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.data())
def test_rows_are_mirrored_as_translate_mirrors(data):
    height, width = data.draw(st.tuples(st.integers(8, 20), st.integers(8, 20)))
    image = images.to_uint8(random_images(1, height, width)[0])
    rows = MirroredRows(image, 8)
    padded = np.pad(images.to_float(image), ((0, -height % 8), (0, -width % 8), (0, 0)), "symmetric")
    assert rows.size == padded.shape[:2]
    start = data.draw(st.integers(0, rows.size[0] - 1))
    stop = data.draw(st.integers(start + 1, rows.size[0]))
    np.testing.assert_array_equal(rows(start, stop)[0], padded[start:stop])


@pytest.mark.parametrize("suffix, longest", [(".webp", 16383), (".jpg", 65500)])
def test_a_format_that_is_too_small_is_known_before(suffix, longest, tmp_path):
    path = tmp_path / "new" / f"out{suffix}"
    with pytest.raises(ValueError, match=f"`output` must be another format than {suffix}"):
        with outputs.writing(path, (1, longest + 1, 3)):
            pass
    assert not path.parent.exists()


@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_an_error_leaves_no_half_file(suffix, tmp_path):
    with contextlib.suppress(ZeroDivisionError), outputs.writing(tmp_path / f"out{suffix}", (4, 4, 3)) as write:
        write(0, np.zeros((2, 4, 3)))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_scratch_goes_to_a_folder_that_exists(tmp_path):
    assert pieces._existing(tmp_path / "not" / "yet") == tmp_path
