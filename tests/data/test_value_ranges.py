"""Units: the range of values that a run was trained with goes wherever its weights go, one for each domain."""

import io
import json

import keras
import numpy as np
import pytest
from conftest import SMALL, random_images
from PIL import Image

from tf_cyclegan import CycleGAN, load_dataset, save_pretrained
from tf_cyclegan.cli import main
from tf_cyclegan.pytorch import to_state_dict, write_checkpoint
from tf_cyclegan.serving.engine import Engine
from tf_cyclegan.settings.commands import RangeSettings
from tf_cyclegan.settings.train import train_settings
from tf_cyclegan.training.initial_weights import load_initial_model
from tf_cyclegan.weights import read_document
from tf_cyclegan.weights.known_ranges import Ranges, given_ranges, known_ranges

# Domain A has 12 bits in files of 16, domain B Hounsfield units.
RANGES = {"value_range": [0, 4095], "value_range_b": [-1000, 2000]}
DEEP = (np.arange(24 * 20, dtype=np.uint16).reshape(24, 20) * 8 + 100).astype(np.uint16)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    model = CycleGAN(**{**SMALL, "image_shape": (32, 32, 1)}, residual_blocks=1)
    for weight in model.generator("ab").weights + model.generator("ba").weights:
        weight.assign(keras.random.normal(weight.shape, stddev=0.2))
    return model


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    """A run folder as training on both domains leaves it."""
    folder = tmp_path_factory.mktemp("runs") / "ct"
    (folder / "checkpoints").mkdir(parents=True)
    model.save(folder / "checkpoints" / "step_00000001.keras")
    (folder / "config.json").write_text(json.dumps(RANGES))
    return folder


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    assert main(["export", str(run), str(folder), "--direction=ab"]) == 0
    return folder


@pytest.fixture
def deep(tmp_path):
    Image.fromarray(DEEP).save(tmp_path / "deep.png")
    return tmp_path / "deep.png"


def write_checkpoint_of(model, path):
    write_checkpoint(path, to_state_dict(model.generator("ab")))
    return path


def expected(model, low=0, high=4095, direction="ab"):
    """The network's own answer, in [-1, 1]."""
    unit = np.clip((DEEP.astype(np.float64) - low) / (high - low), 0, 1) * 2 - 1
    return np.asarray(model.translate(unit.astype("float32")[None, ..., None], direction)[0, ..., 0])


def translated(path, source, tmp_path, *flags):
    """A translation as a `.npy`."""
    assert main(["translate", str(path), str(source), f"--output={tmp_path / 'out.npy'}", "--overwrite", *flags]) == 0
    return np.load(tmp_path / "out.npy")[..., 0]


def levels(unit, low=0, high=255):
    return (np.clip(unit, -1, 1) + 1) / 2 * (high - low) + low


# ---- where the weights go ----


def test_an_exported_model_reads_16_bits_as_its_run(model, run, exported, deep, tmp_path):
    engine = Engine(exported / "ct_ab" / "1")
    (answer,) = engine.run("serving_default", {"image_bytes": np.array([deep.read_bytes()], object)}).values()
    engine.close()
    values = levels(expected(model), 0, 65535)  # Hounsfield units have no place in it
    np.testing.assert_allclose(np.asarray(Image.open(io.BytesIO(answer[0]))), values, atol=10)
    np.testing.assert_allclose(translated(run, deep, tmp_path), levels(expected(model), -1000, 2000), atol=1)
    np.testing.assert_allclose(
        translated(exported / "ct_ab", deep, tmp_path), levels(expected(model), -1000, 2000), atol=1
    )
    found = translated(run, deep, tmp_path, "--direction=ba")
    np.testing.assert_allclose(found, levels(expected(model, -1000, 2000, "ba"), 0, 4095), atol=1)


def test_an_exported_model_says_its_ranges(exported):
    text = (exported / "ct_ab" / "1" / "assets.extra" / "notes.txt").read_text()
    assert "0 to 4095" in text and "-1000 to 2000" in text


def test_weights_that_cannot_know_a_range_are_told(model, deep, tmp_path, capsys):
    path = write_checkpoint_of(model, tmp_path / "net.pth")
    found = translated(path, deep, tmp_path)
    np.testing.assert_allclose(found, levels(expected(model, 0, 65535), 0, 65535), atol=10)
    assert "--value-range" in capsys.readouterr().out  # 0 to 65535 was a guess
    found = translated(path, deep, tmp_path, "--value-range", "0", "4095", "--value-range-b", "-1", "1")
    np.testing.assert_allclose(found, expected(model), atol=1e-3)
    assert "--value-range" not in capsys.readouterr().out
    assert known_ranges(path, RangeSettings((0, 4095))) == ((0, 4095), (0, 4095))


def test_a_folder_of_weights_keeps_both_ranges(run, model, deep, tmp_path, capsys):
    assert main(["convert", str(run), f"--output={tmp_path / 'w'}", "--format=pretrained"]) == 0
    assert {name: read_document(tmp_path / "w")[name] for name in RANGES} == RANGES
    found = translated(tmp_path / "w", deep, tmp_path)
    np.testing.assert_allclose(found, levels(expected(model), -1000, 2000), atol=20)  # of half precision
    capsys.readouterr()
    assert main(["convert", str(run), f"--output={tmp_path / 'pth'}"]) == 0
    assert "--value-range 0 4095 --value-range-b -1000 2000" in capsys.readouterr().out  # which .pth cannot hold


# ---- two domains ----


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """CT in -1000..2000, MR in 0..1."""
    folder = tmp_path_factory.mktemp("scans")
    for index, name in enumerate(("trainA", "trainB", "testA", "testB")):
        (folder / name).mkdir()
        for i, image in enumerate(random_images(2, channels=1, seed=index)):
            low, high = (-1000, 2000) if name.endswith("A") else (0, 1)
            np.save(folder / name / f"{i}.npy", levels(image, low, high).astype("float32"))
    return folder


def test_each_domain_has_its_own_range(scans):
    data = load_dataset(scans, image_size=32, channels=1, value_range=(-1000, 2000), value_range_b=(0, 1), split="test")
    for domain, seed in zip(next(iter(data)), (2, 3), strict=True):
        np.testing.assert_allclose(domain, random_images(1, channels=1, seed=seed), atol=1e-5)
    with pytest.raises(ValueError, match=r"`value_range_b` must be .*low < high"):
        load_dataset(scans, image_size=32, channels=1, value_range=(-1000, 2000), value_range_b=(1, 0))


SMALL_RUN = ["--image-size=32", "--channels=1", "--filters=4", "--discriminator-filters=4", "--residual-blocks=1"]


@pytest.mark.eager
def test_a_run_keeps_its_ranges(scans, tmp_path, capsys):
    flags = ["train", f"--dataset={scans}", *SMALL_RUN, "--pool-size=0", "--value-range", "-1000", "2000"]
    own = ["--value-range-b", "0", "1"]
    assert main([*flags, *own, "--steps=1", f"--output-dir={tmp_path / 'run'}"]) == 0
    assert main([*flags, "--steps=2", f"--output-dir={tmp_path / 'run'}"]) == 2
    assert "another --value-range-b: expected [-1000.0, 2000.0], found [0.0, 1.0]" in capsys.readouterr().err
    # A run that begins with its networks takes its ranges too, also when it goes on.
    for output in ("next", "run"):
        config = train_settings(dataset=str(scans), initial_model=tmp_path / "run", output_dir=tmp_path / output)
        _, config = load_initial_model(config)
        assert (list(config.data.value_range), list(config.data.value_range_b)) == ([-1000, 2000], [0, 1])


def test_evaluate_reads_images_as_the_training_did(scans, model, tmp_path):
    evaluate = [f"--dataset={scans}", "--metrics=l1", "--paired", "--direction=ab", f"--output={tmp_path / 'e'}"]
    model.save(tmp_path / "net.keras")
    assert main(["evaluate", str(tmp_path / "net.keras"), *evaluate]) == 2
    save_pretrained(model, tmp_path / "w", value_range=(-1000, 2000))
    assert main(["evaluate", str(tmp_path / "w"), *evaluate, "--value-range-b", "0", "1"]) == 0
    found = json.loads((tmp_path / "e" / "evaluation.json").read_text())["directions"]["ab"]["scores"]["l1"]["value"]
    images_a, images_b = (random_images(2, channels=1, seed=seed) for seed in (2, 3))
    assert found == pytest.approx(np.abs(model.translate(images_a) - images_b).mean(), rel=0.01)


# ---- one is given, another known ----

TWELVE, THIRTEEN, HU = (0, 4095), (0, 8191), (-1000, 2000)


@pytest.mark.parametrize(
    "known, given, found, told",
    [
        ((TWELVE, TWELVE), {"value_range": THIRTEEN}, (THIRTEEN, THIRTEEN), ""),
        ((TWELVE, None), {"value_range": THIRTEEN}, (THIRTEEN, THIRTEEN), ""),
        ((TWELVE, HU), {"value_range": THIRTEEN}, (THIRTEEN, HU), "--value-range-b stays -1000 to 2000"),
        ((TWELVE, HU), {"value_range": HU}, (HU, HU), ""),
        ((TWELVE, TWELVE), {"value_range_b": HU}, (TWELVE, HU), ""),
        ((TWELVE, HU), {}, (TWELVE, HU), ""),
    ],
)
@pytest.mark.parametrize("direction", ["ab", "ba"])
def test_what_becomes_of_the_range_that_is_not_given(known, given, found, told, direction, tmp_path):
    known, found = (Ranges(*ranges).along(direction) for ranges in (known, found))
    lines = []
    assert given_ranges(known, RangeSettings(**given), direction, lines.append) == found
    assert told in "".join(lines) and len(lines) == bool(told)


def test_every_command_takes_one_range_for_both_domains_of_a_run_that_had_one(model, deep, tmp_path, capsys):
    run, hounsfield = tmp_path / "run", tmp_path / "hounsfield"
    (run / "checkpoints").mkdir(parents=True)
    model.save(run / "checkpoints" / "step_00000000.keras")
    data = {"channels": 1, "channels_b": 1, "image_size": "32", "load_size": "32"}
    (run / "config.json").write_text(json.dumps({"value_range": TWELVE, "value_range_b": TWELVE, **data}))
    found = translated(run, deep, tmp_path, "--value-range", "0", "8191")
    np.testing.assert_allclose(found, levels(expected(model, *THIRTEEN), *THIRTEEN), atol=1)
    assert "--value-range" not in capsys.readouterr().out
    config = train_settings(initial_model=run, value_range=THIRTEEN, output_dir=tmp_path / "next")
    assert tuple(load_initial_model(config)[1].data.value_range_b) == THIRTEEN
    pictures = [random_images(2, channels=1, seed=seed) for seed in (2, 3)]
    for name, batch in zip(("trainA", "trainB", "testA", "testB"), [*pictures, *pictures], strict=True):
        (hounsfield / name).mkdir(parents=True)
        for index, picture in enumerate(batch):
            np.save(hounsfield / name / f"{index}.npy", levels(picture, *HU).astype("float32"))
    flags = [f"--dataset={hounsfield}", "--metrics=l1", "--paired", "--direction=ab", f"--output={tmp_path / 'e'}"]
    assert main(["evaluate", str(run), *flags, "--value-range", "-1000", "2000"]) == 0
    found = json.loads((tmp_path / "e" / "evaluation.json").read_text())["directions"]["ab"]["scores"]["l1"]["value"]
    assert found == pytest.approx(np.abs(model.translate(pictures[0]) - pictures[1]).mean(), rel=0.01)
