"""Every model through the program: trained, resumed, translated with, exported, and refused in one line."""

import json
import shutil

import keras
import numpy as np
import pytest
from conftest import random_images
from PIL import Image

from tf_cyclegan import Pix2PixHD
from tf_cyclegan.cli import main
from tf_cyclegan.data import images
from tf_cyclegan.weights.run_files import newest_checkpoint

pytestmark = pytest.mark.eager
SMALL = ["--precision=float32", "--image-size=32", "--filters=4", "--discriminator-filters=4", "--samples=1"]
MODELS = {
    "pix2pix": ["--downsamplings=3"],
    "pix2pixhd": "--downsamplings=1 --residual-blocks=1 --enhancers=1 --local-residual-blocks=1 --stage-epochs 1 1 "
    "--discriminator-layers=1 --lambda-perceptual=0".split(),
    "unit": ["--residual-blocks=1", "--scales=1", "--discriminator-layers=2"],
}


@pytest.fixture
def pairs(tmp_path):
    """Three pairs to train on and two to test, side by side."""
    for split, count in {"train": 3, "test": 2}.items():
        (tmp_path / "pairs" / split).mkdir(parents=True)
        for index, image in enumerate(random_images(count, 36, 72, seed=count)):
            images.save_png(tmp_path / "pairs" / split / f"{index}.png", images.to_uint8(image))
    return tmp_path / "pairs"


def run(model, data, output, *flags):
    return main(["train", f"--model={model}", f"--dataset={data}", f"--output-dir={output}", *SMALL, *flags])


def newest(run_folder):
    return keras.models.load_model(newest_checkpoint(run_folder / "checkpoints"))


@pytest.mark.graph
@pytest.mark.parametrize("model", ["pix2pixhd"])  # with its stages; the contract tests say the same of every model
def test_a_run_in_pieces_equals_a_whole_one(model, pairs, tmp_path, capfd):
    flags = [*MODELS[model], "--epochs=2", "--decay-epochs=1"]
    assert run(model, pairs, tmp_path / "whole", *flags) == 0
    assert run(model, pairs, tmp_path / "pieces", *flags, "--steps=4") == 0  # within the second epoch
    assert run(model, pairs, tmp_path / "pieces", *flags) == 0
    assert "Resuming from" in capfd.readouterr().out
    whole, pieces = (newest(tmp_path / name) for name in ("whole", "pieces"))
    for ours, theirs in zip(whole.variables, pieces.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    header = (tmp_path / "whole" / "losses.csv").read_text().splitlines()[0].split(",")
    assert set(whole.loss_names) <= set(header)
    assert len(list((tmp_path / "whole" / "samples").iterdir())) == 3


@pytest.mark.parametrize("model", MODELS)
def test_what_was_trained_translates_files_and_exports(model, pairs, tmp_path):
    assert run(model, pairs, tmp_path / "run", *MODELS[model], "--steps=1") == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["side_by_side"] == [2, 2]
    photo = tmp_path / "photo.png"
    images.save_png(photo, images.to_uint8(random_images(1, 40, 52)[0]))
    assert main(["translate", str(tmp_path / "run"), str(photo), "-o", str(tmp_path / "direct.png")]) == 0
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "exported")]) == 0
    exported = tmp_path / "exported" / "run_ab"
    assert main(["translate", str(exported), str(photo), "-o", str(tmp_path / "served.png")]) == 0
    direct, served = (np.asarray(Image.open(tmp_path / f"{name}.png"), "int16") for name in ("direct", "served"))
    assert direct.shape == (40, 52, 3)
    assert np.abs(direct - served).max() <= 1  # one level where rounding meets a half


def test_a_folder_of_another_model_is_named(pairs, tmp_path, capfd):
    assert run("pix2pix", pairs, tmp_path / "run", *MODELS["pix2pix"], "--steps=1") == 0
    assert run("unit", pairs, tmp_path / "run", *MODELS["unit"], "--steps=1") == 2
    assert "another --model: expected 'unit', found 'pix2pix'" in capfd.readouterr().err


def test_the_direction_decides_what_is_translated(pairs, tmp_path, capfd):
    assert run("pix2pix", pairs, tmp_path / "run", "--direction", "BtoA", "--steps=1") == 0
    assert newest(tmp_path / "run").directions == ("ba",)
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "exported")]) == 0
    assert (tmp_path / "exported" / "run_ba" / "1").is_dir()
    assert "statistics of each image" in capfd.readouterr().out


def label_folder(folder, largest):
    """Three label maps with ids up to `largest`, their instances and photographs."""
    draw = np.random.RandomState(0)
    for split in ("train", "test"):
        for kind in ("label", "inst", "img"):
            (folder / f"{split}_{kind}").mkdir(parents=True)
        for name in ("one", "two", "three"):
            label = draw.randint(0, largest + 1, (4, 4)).astype("uint8").repeat(9, 0).repeat(9, 1)
            Image.fromarray(label).save(folder / f"{split}_label" / f"{name}.png")
            Image.fromarray(label.astype("uint16") * 1000 + 1).save(folder / f"{split}_inst" / f"{name}.png")
            images.save_png(folder / f"{split}_img" / f"{name}.png", images.to_uint8(random_images(1, 36)[0]))
    return folder


LABELS = (
    "--label-classes=5 --downsamplings=1 --residual-blocks=1 --discriminator-layers=1 --lambda-perceptual=0".split()
)


def test_label_maps_with_instances_are_learned_from(tmp_path):
    data = label_folder(tmp_path / "city", largest=4)
    flags = [*LABELS, "--instance-edges=True", "--instance-features=2", "--epochs=1", "--decay-epochs=0"]
    assert run("pix2pixhd", data, tmp_path / "run", *flags) == 0
    model = newest(tmp_path / "run")
    assert model.image_shape == (32, 32, 2) and model.channels_b == 3
    assert not any("Instance features" in note for note in model.notes)  # they were clustered at the end
    assert json.loads((tmp_path / "run" / "config.json").read_text())["channels"] == 2


def test_label_files_are_translated_by_their_numbers(tmp_path):
    data = label_folder(tmp_path / "city", largest=4)
    assert run("pix2pixhd", data, tmp_path / "run", *LABELS, "--steps=1") == 0
    gray = Image.open(data / "test_label" / "one.png")
    palette = Image.fromarray(np.asarray(gray), mode="P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9, 77, 5, 5])
    palette.save(tmp_path / "palette.png")
    for name, source in {"gray": data / "test_label" / "one.png", "colors": tmp_path / "palette.png"}.items():
        assert main(["translate", str(tmp_path / "run"), str(source), "-o", str(tmp_path / f"{name}.png")]) == 0
    translated = [np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("gray", "colors")]
    np.testing.assert_array_equal(*translated)
    ids = np.asarray(gray, "float32")[None, ..., None] / 127.5 - 1
    np.testing.assert_array_equal(translated[0], images.to_uint8(newest(tmp_path / "run").translate(ids)[0]))


def test_instance_maps_are_translated_from_arrays_of_numbers(tmp_path, capfd):
    data = label_folder(tmp_path / "city", largest=4)
    assert run("pix2pixhd", data, tmp_path / "run", *LABELS, "--instance-edges=True", "--steps=1") == 0
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "exported")]) == 0
    files = [data / f"test_{kind}" / "two.png" for kind in ("label", "inst")]
    maps = np.stack([np.asarray(Image.open(file), "uint16") for file in files], axis=-1)
    np.save(tmp_path / "maps.npy", maps)
    alone = shutil.copy(files[0], tmp_path)
    expected = np.asarray(newest(tmp_path / "run").translate(maps[None].astype("float32") / 127.5 - 1))[0]
    for number, model in enumerate((tmp_path / "run", tmp_path / "exported" / "run_ab")):
        output = tmp_path / f"{number}.npy"
        assert main(["translate", str(model), str(tmp_path / "maps.npy"), "-o", str(output)]) == 0
        np.testing.assert_allclose(np.load(output), expected, atol=1e-5)
        assert main(["translate", str(model), str(alone), "-o", str(tmp_path / "no.png")]) == 2
        assert "--instances must be given" in capfd.readouterr().err


def test_a_table_that_a_killed_run_left_empty_is_filled_by_the_next(tmp_path, monkeypatch):
    data = label_folder(tmp_path / "city", largest=4)
    flags = [*LABELS, "--instance-features=2", "--steps=1"]
    monkeypatch.setattr(Pix2PixHD, "finish", lambda self, dataset: None)
    assert run("pix2pixhd", data, tmp_path / "run", *flags) == 0
    assert not newest(tmp_path / "run").is_finished
    monkeypatch.undo()
    assert run("pix2pixhd", data, tmp_path / "run", *flags) == 0
    assert newest(tmp_path / "run").is_finished


def test_two_folders_of_the_same_names_are_pairs(tmp_path, capfd):
    for name in ("questions", "answers"):
        (tmp_path / name).mkdir()
        for index, image in enumerate(random_images(4, 36, seed=len(name))):
            images.save_png(tmp_path / name / f"{index}.png", images.to_uint8(image))
    folders = [f"--data-a={tmp_path / 'questions'}", f"--data-b={tmp_path / 'answers'}"]
    flags = ["--model=pix2pix", f"--output-dir={tmp_path / 'run'}", *MODELS["pix2pix"], *SMALL, "--steps=1"]
    assert main(["train", *folders, *flags, "--test-share=0.25"]) == 0
    assert "3 in B, paired" in capfd.readouterr().out


def test_ids_out_of_range_are_shown_before_training(tmp_path, capfd):
    data = label_folder(tmp_path / "city", largest=7)
    assert run("pix2pixhd", data, tmp_path / "run", *LABELS, "--steps=1") == 2
    error = capfd.readouterr().err
    assert "--label-classes" in error and "7" in error and "%" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--model=pix2pix", "--dataset=emoji"], ["--model=pix2pix", "emoji/lines"]),
        (["--model=pix2pix", "--dataset=cycle_gan/horse2zebra"], ["--model=pix2pix"]),
        (["--model=pix2pix", "--image-size=100"], ["--image-size", "32", "100"]),
        (["--model=pix2pix", "--downsamplings=7"], ["--downsamplings", "--image-size", "128"]),
        (["--model=pix2pixhd", "--image-size=70", "--lambda-perceptual=0"], ["--image-size", "70"]),
        (["--model=pix2pixhd", "--lambda-l1=3"], ["--lambda-l1", "pix2pixhd"]),
        (["--model=pix2pixhd", "--enhancers=1", "--stage-epochs", "19", "1"], ["--stage-epochs", "--epochs"]),
        (["--model=pix2pixhd", "--label-classes=5", "--channels=3"], ["--channels", "3"]),
        (["--model=unit", "--image-size=32"], ["--image-size", "--scales"]),
        (["--model=unit", "--variant=paper", "--scales=2"], ["--scales", "paper"]),
    ],
)
def test_wrong_combinations_explain_themselves_in_a_line(flags, words, tmp_path, capfd):
    assert main(["train", f"--output-dir={tmp_path / 'run'}", *flags]) == 2
    error = capfd.readouterr().err
    assert all(word in error for word in words), error
    assert len(error.splitlines()) == 1 and not (tmp_path / "run").exists()


def test_unpaired_folders_are_no_pairs(tmp_path, capfd):
    for name in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        picture = images.to_uint8(random_images(1, 36)[0])
        images.save_png(tmp_path / "photos" / name / f"of_{name}.png", picture)
    assert run("pix2pix", tmp_path / "photos", tmp_path / "run") == 2
    error = capfd.readouterr().err
    assert "of_trainA" in error and len(error.splitlines()) <= 2
