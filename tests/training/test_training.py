"""The training program, as a user runs it: small folders of noise, a few steps."""

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import typing
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import random_images

from tf_cyclegan.cli import main
from tf_cyclegan.data import images
from tf_cyclegan.settings.data import parse_size
from tf_cyclegan.settings.fields import FIXED, FREE, OF_MODEL, PLACE, TAKEN, names_of
from tf_cyclegan.settings.foreign_flags import PYTORCH_FLAGS
from tf_cyclegan.settings.models import MODEL_SETTINGS
from tf_cyclegan.settings.train import TRAIN_FACTS, TRAIN_NAMES, names_that, train_settings
from tf_cyclegan.training.resuming import held
from tf_cyclegan.weights.run_files import load_newest, newest_checkpoint, read_config

pytestmark = pytest.mark.eager
SMALL = ["--image-size=32", "--filters=4", "--discriminator-filters=4", "--residual-blocks=1", "--pool-size=3"]


@pytest.fixture
def folder(tmp_path):
    return write_photos(tmp_path / "photos")


def write_photos(folder):
    """Five images in A, three in B, two of each to test."""
    for name, count in {"trainA": 5, "trainB": 3, "testA": 2, "testB": 2}.items():
        (folder / name).mkdir(parents=True)
        for index, image in enumerate(random_images(count, 36, 40, seed=len(name))):
            images.save_png(folder / name / f"{index}.png", images.to_uint8(image))
    return folder


def run(folder, output, *flags):
    return main(["train", f"--dataset={folder}", f"--output-dir={output}", *SMALL, *flags])


def weights(run_folder):
    model = keras.models.load_model(newest_checkpoint(run_folder / "checkpoints"))
    return [variable.numpy() for variable in model.variables]


@pytest.mark.graph
def test_a_run_leaves_everything_a_user_needs(folder, tmp_path, capfd):
    assert run(folder, tmp_path / "run", "--epochs=1", "--decay-epochs=1") == 0
    run_folder = tmp_path / "run"
    assert [path.name for path in sorted((run_folder / "samples").iterdir())] == ["epoch_0001.png", "epoch_0002.png"]
    assert [path.name for path in sorted((run_folder / "checkpoints").iterdir())] == [
        "step_00000005.keras",
        "step_00000010.keras",
    ]
    lines = (run_folder / "losses.csv").read_text().splitlines()
    assert len(lines) == 3 and "cycle_a" in lines[0]
    assert json.loads((run_folder / "config.json").read_text())["filters"] == 4
    assert list((run_folder / "logs").rglob("events*"))
    output, progress = capfd.readouterr()
    assert "5 images in A, 3 in B" in output and "Trained to step 10" in output
    assert "cyc_a" in progress and "images/s" in progress and "waiting for input" in progress


@pytest.mark.graph
def test_a_resumed_run_equals_one_that_never_stopped(folder, tmp_path, capfd):
    epochs = ["--epochs=2", "--decay-epochs=1"]
    assert run(folder, tmp_path / "whole", *epochs) == 0
    for steps in (3, 5, 8):  # within an epoch, at its end, within the next
        assert run(folder, tmp_path / "pieces", *epochs, f"--steps={steps}") == 0
    assert run(folder, tmp_path / "pieces", *epochs) == 0
    assert "Resuming from" in capfd.readouterr().out
    for ours, theirs in zip(weights(tmp_path / "whole"), weights(tmp_path / "pieces"), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_learning_rate_falls_by_epochs(folder, tmp_path):
    run(folder, tmp_path / "run", "--epochs=1", "--decay-epochs=1", "--learning-rate=1e-3")
    model = keras.models.load_model(newest_checkpoint(tmp_path / "run" / "checkpoints"))
    rates = [float(model.generator_optimizer._learning_rate(step)) for step in (0, 4, 5, 9)]
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4])


def test_a_complete_run_says_so(folder, tmp_path, capfd):
    for _ in range(2):
        assert run(folder, tmp_path / "run", "--steps=1") == 0
    assert "complete" in capfd.readouterr().out


def test_other_settings_do_not_continue_a_run(folder, tmp_path, capfd):
    run(folder, tmp_path / "run", "--steps=1")
    before = weights(tmp_path / "run")
    assert run(folder, tmp_path / "run", "--steps=2", "--lambda-cycle=5") == 2
    error = capfd.readouterr().err
    assert "--lambda-cycle" in error and "10.0" in error and "--no-resume" in error
    assert run(folder, tmp_path / "run", "--steps=1", "--lambda-cycle=5", "--no-resume") == 0
    for ours, kept in zip(weights(tmp_path / "run.1"), before, strict=True):
        np.testing.assert_array_equal(ours, kept)


def test_a_damaged_checkpoint_is_passed_over(folder, tmp_path, capfd):
    run(folder, tmp_path / "run", "--steps=5")
    run(folder, tmp_path / "run", "--steps=6")
    newest = Path(newest_checkpoint(tmp_path / "run" / "checkpoints"))
    newest.write_bytes(newest.read_bytes()[:1000])
    assert run(folder, tmp_path / "run", "--steps=7") == 0
    output = capfd.readouterr().out
    assert "step_00000006.keras" in output and "at step 5" in output


def test_two_folders_of_different_channels(tmp_path):
    for name, channels in {"grey": 1, "color": 3}.items():
        (tmp_path / name).mkdir()
        for index, image in enumerate(random_images(4, 32, channels=channels)):
            images.save_png(tmp_path / name / f"{index}.png", images.to_uint8(image))
    flags = [f"--data-a={tmp_path / 'grey'}", f"--data-b={tmp_path / 'color'}", "--channels=1", "--channels-b=3"]
    assert main(["train", f"--output-dir={tmp_path / 'run'}", *SMALL, *flags, "--steps=1", "--test-share=0.25"]) == 0


def test_ctrl_c_saves_and_says_how_to_go_on(folder, tmp_path):
    flags = [f"--dataset={folder}", f"--output-dir={tmp_path / 'run'}", *SMALL, "--epochs=100000"]
    command = [sys.executable, "-m", "tf_cyclegan", "train", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        deadline = time.monotonic() + 120
        while newest_checkpoint(tmp_path / "run" / "checkpoints") is None and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command goes on from there" in output
    model = keras.models.load_model(newest_checkpoint(tmp_path / "run" / "checkpoints"))
    assert f"Stopped at step {int(model.step):,}" in output


# ---- what is refused, in a short block and with exit code 2 ----


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--image-size=33"], ["--image-size", "multiples of 16", "33"]),
        (["--image-size=33", "--generator-type=resnet"], ["--image-size", "multiples of 4", "33"]),
        (["--image-size=tall"], ["--image-size", "HEIGHTxWIDTH", "tall"]),
        (["--dataset=cycle_gan/horse2zebr"], ["horse2zebra"]),
        (["--dataset=no_such_folder"], ["no_such_folder", "emoji"]),
        (["--data-a=somewhere"], ["--data-b"]),
        (["--lambda-cycle", "1", "2", "3"], ["--lambda-cycle"]),
        (["--gan-mode=wgangp", "--normalization=batch"], ["--normalization", "wgangp"]),
    ],
)
def test_wrong_settings_end_with_a_short_block(flags, words, tmp_path, capfd):
    assert main(["train", f"--output-dir={tmp_path / 'run'}", *flags]) == 2
    error = capfd.readouterr().err
    assert all(word in error for word in words), error
    assert len(error.splitlines()) < 12 and "Traceback" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("flag", PYTORCH_FLAGS)
def test_flags_of_the_pytorch_implementation_are_answered(flag, capfd):
    assert main(["train", f"{flag}=1"]) == 2
    assert f"{flag} is {PYTORCH_FLAGS[flag]} here" in capfd.readouterr().err


@pytest.mark.parametrize(
    "flags, word", [(["--filtres=4"], "--filters"), (["--filters=many"], "many"), (["--gan-mode=x"], "lsgan")]
)
def test_unknown_flags_and_values(flags, word, capfd):
    with pytest.raises(SystemExit) as end:
        main(["train", *flags])
    assert end.value.code == 2
    assert word in capfd.readouterr().err


@pytest.mark.parametrize("words", [["--direction", "BtoA"], ["--direction=BtoA"]])
def test_words_of_the_pytorch_implementation_are_understood_by_every_command(words, tmp_path, capfd):
    assert main(["translate", "emoji", str(tmp_path / "none"), "-o", str(tmp_path / "out"), *words]) == 2
    assert "INPUT must be" in capfd.readouterr().err


def test_commands(capsys):
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert main(["--version"]) == 0
    assert main(["trian"]) == 2
    assert "trian" in capsys.readouterr().err


# ---- the dry run and the recipes ----


def test_dry_run_needs_no_data(capsys, tmp_path):
    assert main(["train", "--dataset=cycle_gan/horse2zebra", "--dry-run", f"--output-dir={tmp_path / 'run'}"]) == 0
    output = capsys.readouterr().out
    assert "11,372,931 parameters" in output and "49.55 G multiply-adds" in output
    assert "101   0.000198" in output and "200   1.98e-06" in output
    assert "GB" in output
    assert not (tmp_path / "run").exists()


def test_recipes_follow_the_data_set():
    paper = train_settings(dataset="cycle_gan/horse2zebra").resolved()
    data, model, schedule = paper.data, paper.of_model, paper.run.schedule
    assert (data.image_size, model.filters, model.residual_blocks, data.batch_size) == ("256", 64, 9, 1)
    assert (schedule.epochs, schedule.decay_epochs, schedule.learning_rate) == (100, 100, 2e-4)
    assert (model.upsampling, model.lambda_identity) == ("deconvolution", 0.5)
    assert str(paper.run.folder.output_dir) == os.path.join("runs", "horse2zebra")
    assert train_settings(dataset="photos", image_size="128").resolved().of_model.residual_blocks == 6
    assert train_settings(dataset="photos", image_size="128x256").resolved().of_model.residual_blocks == 9
    assert train_settings().resolved().of_model.upsampling == "resize"
    assert train_settings(filters=7).resolved().of_model.filters == 7
    assert train_settings(channels=1, channels_b=3).resolved().of_model.lambda_identity == 0


def test_sizes():
    assert parse_size("256", "image_size") == (256, 256)
    assert parse_size("192x256", "image_size") == (192, 256)
    for wrong in ("", "0", "1x2x3", "-4", "x"):
        with pytest.raises(ValueError, match="`load_size`"):
            parse_size(wrong, "load_size")


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--steps=-5"], ["--steps", "-5"]),
        (["--samples=0"], ["--samples", "0"]),
        (["--keep-checkpoints=0"], ["--keep-checkpoints"]),
        (["--epochs=0", "--decay-epochs=0"], ["--epochs", "--decay-epochs"]),
        (["--schedule=step", "--decay-epochs=0"], ["--decay-epochs"]),
        (["--learning-rate=-1"], ["--learning-rate", "-1"]),
        (["--load-size=abc"], ["--load-size", "abc"]),
        (["--batch-size=0"], ["--batch-size"]),
        (["--lambda-cycle=0", "--lambda-adversarial=0"], ["--lambda-cycle", "--lambda-adversarial"]),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(flags, words, capfd):
    assert main(["train", "--dry-run", *flags]) == 2
    error = capfd.readouterr().err
    assert all(word in error for word in words), error


def test_a_run_with_two_cycle_weights_is_resumed(folder, tmp_path):
    for steps in (1, 2):
        assert run(folder, tmp_path / "run", "--lambda-cycle", "10", "5", f"--steps={steps}") == 0


# ---- what may be otherwise when a run goes on ----


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of two steps, with its photos beside it; `copied` gives a test one of its own."""
    place = tmp_path_factory.mktemp("begun")
    write_photos(place / "photos")
    assert run(place / "photos", place / "run", "--steps=2") == 0
    return place


@pytest.fixture
def copied(begun, tmp_path):
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_what_may_change_is_taken_and_told_also_where_the_images_are(copied, capfd):
    changes = ["--steps=3", "--epochs=7", "--schedule=constant", "--learning-rate=1e-3", "--keep-checkpoints=1"]
    assert run(copied / "photos", copied / "run", *changes) == 0  # a copy in another place, with other times
    lines = capfd.readouterr().out.splitlines()
    for line in ("--epochs is now 7, was 100.", "--schedule is now constant, was linear.", "--steps is now 3, was 2."):
        assert line in lines
    assert any(line.startswith(f"--dataset is now {copied / 'photos'}, was ") for line in lines)
    assert [path.name for path in (copied / "run" / "checkpoints").iterdir()] == ["step_00000003.keras"]
    model = keras.models.load_model(newest_checkpoint(copied / "run" / "checkpoints"))
    assert float(model.generator_optimizer._learning_rate(0)) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    "flag", ["--batch-size=2", "--seed=1", "--filters=8", "--model=unit", "--flip=False", "--augment=color"]
)
def test_what_may_not_change_is_refused_by_name_from_the_checkpoint_alone(flag, copied, capfd):
    (copied / "run" / "config.json").unlink()
    before = (copied / "run" / "checkpoints" / "step_00000002.keras").read_bytes()
    flag = {"--flip=False": "--no-flip"}.get(flag, flag)
    flags = [flag] if flag != "--model=unit" else [flag, "--scales=1", "--discriminator-layers=2", "--pool-size=0"]
    assert run(copied / "photos", copied / "run", "--steps=3", *flags) == 2
    error = capfd.readouterr().err
    name = flag.split("=")[0].replace("--no-", "--")
    assert f"another {name}:" in error and "--no-resume" in error and len(error.splitlines()) == 1
    assert (copied / "run" / "checkpoints" / "step_00000002.keras").read_bytes() == before


def test_other_images_in_the_same_folder_are_noticed(copied, capfd):
    images.save_png(copied / "photos" / "trainA" / "1.png", images.to_uint8(random_images(1, 36, 40, seed=9)[0]))
    assert run(copied / "photos", copied / "run", "--steps=3") == 2
    error = capfd.readouterr().err
    assert "another --dataset" in error  # it lies elsewhere as well
    shutil.copytree(copied / "photos", copied / "others")
    assert run(copied / "others", copied / "new", "--steps=1") == 0
    (copied / "others" / "trainB" / "2.png").unlink()
    capfd.readouterr()
    assert run(copied / "others", copied / "new", "--steps=2") == 2
    error = capfd.readouterr().err
    assert "--dataset" in error and "no longer holds the images" in error and len(error.splitlines()) == 1
    assert "--initial-model=" in error


def test_the_settings_of_a_run_are_found_without_its_config(copied):
    expected = read_config(copied / "run")
    assert expected.of_model.filters == 4 and expected.run.schedule.steps == 2
    (copied / "run" / "config.json").write_text("{ cut off")
    checkpoint = Path(newest_checkpoint(copied / "run" / "checkpoints"))
    alone = copied / "alone.keras"
    checkpoint.rename(alone)
    assert read_config(copied / "run") is None and read_config(alone) == expected
    alone.rename(checkpoint)
    assert read_config(copied / "run") == read_config(checkpoint) == expected


def test_every_setting_is_said_to_be_fixed_or_free():
    of_models = {name for settings in MODEL_SETTINGS.values() for name in names_of(settings)} | {"model"}
    assert set(names_that(OF_MODEL)) == of_models
    said = [name for kind in (OF_MODEL, FIXED, PLACE, TAKEN, FREE) for name in names_that(kind)]
    assert sorted(said) == sorted(TRAIN_NAMES)


def test_two_processes_on_one_folder(copied, capfd):
    with held(copied / "run", True, print):
        for flag in ("--resume", "--no-resume"):
            assert run(copied / "photos", copied / "run", "--steps=3", flag) == 2
            error = capfd.readouterr().err
            assert "--output-dir" in error and "another process" in error and len(error.splitlines()) == 1
        assert run(copied / "photos", copied / "run", "--dry-run") == 0
        assert main(["evaluate", str(copied / "run"), f"--dataset={copied / 'photos'}", "--count=2"]) == 0
    assert run(copied / "photos", copied / "run", "--steps=2") == 0


def test_nan_stops_the_run_names_the_files_and_leaves_the_last_good_checkpoint(copied, capfd):
    # With this rate the weights are large but finite after one step, and what they compute is no number in the next.
    flags = ["--steps=9", "--learning-rate=1e30", "--checkpoint-steps=1"]
    assert run(copied / "photos", copied / "run", *flags) == 1
    error = capfd.readouterr().err
    assert "Training diverged at step 3" in error and "trainA/" in error and "trainB/" in error
    assert "Traceback" not in error
    kept = sorted((copied / "run" / "checkpoints").iterdir())
    assert [path.name for path in kept] == ["step_00000002.keras", "step_00000003.keras"]
    model, _, skipped = load_newest(copied / "run" / "checkpoints")
    assert skipped == [] and all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.graph
def test_images_of_any_size_without_a_pool(folder, tmp_path, capfd):
    images.save_png(folder / "trainA" / "tall.png", images.to_uint8(random_images(1, 60, 32)[0]))
    flags = ["--resize-mode=none", "--steps=6"]
    assert run(folder, tmp_path / "refused", *flags) == 2
    assert "--pool-size must be 0 or left out with --resize-mode none" in capfd.readouterr().err
    assert run(folder, tmp_path / "run", *flags, "--pool-size=0") == 0


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_unreadable_files_are_named_or_left_out(cache, folder, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    whole = (folder / "trainA" / "1.png").read_bytes()
    (folder / "trainA" / "1.png").write_bytes(whole[: len(whole) // 2])
    assert run(folder, tmp_path / "run", f"--cache={cache}", "--steps=1") == 2
    assert "1.png" in capfd.readouterr().err
    assert run(folder, tmp_path / "run", f"--cache={cache}", "--steps=1", "--skip-unreadable") == 0
    assert "1.png" in capfd.readouterr().out


def test_an_output_folder_that_cannot_be_is_a_short_block(folder, tmp_path, capfd):
    (tmp_path / "file").write_text("")
    assert run(folder, tmp_path / "file" / "run", "--steps=1") == 2
    assert "Traceback" not in capfd.readouterr().err


def test_choices_of_the_flags_are_the_librarys():
    from tf_cyclegan.data.cache import CACHES
    from tf_cyclegan.data.transforms import RESIZE_MODES
    from tf_cyclegan.models import MODELS, building, losses, pix2pix
    from tf_cyclegan.networks import blocks, layers, unet

    choices = {
        "gan_mode": losses.GAN_MODES,
        "cache": CACHES,
        "resize_mode": RESIZE_MODES,
        "model": MODELS,
        "discriminator_type": building.DISCRIMINATORS,
        "generator_type": building.GENERATORS,
        "direction": pix2pix.DIRECTIONS,
        "inference_statistics": layers.INFERENCE_STATISTICS,
        "dropout_placement": unet.DROPOUT_PLACEMENTS,
        "normalization": blocks.NORMALIZATIONS,
        "initializer": blocks.INITIALIZERS,
        "padding": blocks.PADDINGS,
        "upsampling": blocks.UPSAMPLINGS,
    }
    for name, expected in choices.items():
        assert typing.get_args(TRAIN_FACTS[name].kind) and set(typing.get_args(TRAIN_FACTS[name].kind)) == set(expected)


def test_every_setting_of_a_model_is_a_flag_of_it():
    from tf_cyclegan.models import MODELS

    assert MODELS.keys() == MODEL_SETTINGS.keys()
    for name, model in MODELS.items():
        arguments = set(inspect.signature(model).parameters)
        settings = set(names_of(MODEL_SETTINGS[name]))
        assert settings <= arguments, name
        # What is left is of the run and the data.
        left = {"image_shape", "channels_b", "seed", "name", "dtype", *model.network_arguments}
        assert arguments - settings <= left, name
        assert model.paired == (MODEL_SETTINGS[name].dataset == "emoji/lines")


def test_augmentations_are_one_word_of_names(capfd):
    flags = ["train", "--dry-run", *SMALL]
    assert main([*flags, "--augment=color,translation,cutout", "--augment-fill=1"]) == 0
    assert '"augment": "color,translation,cutout"' in capfd.readouterr().out
    assert main([*flags, "--augment="]) == 0
    capfd.readouterr()
    assert main([*flags, "--augment=colour"]) == 2
    error = capfd.readouterr().err
    assert "--augment must be" in error and "color, translation, cutout" in error and len(error.splitlines()) == 1
    assert main([*flags, "--augment=color", "--augment-fill=2"]) == 2
    assert "--augment-fill must be" in capfd.readouterr().err


@pytest.mark.parametrize("name", MODEL_SETTINGS)
def test_settings_of_other_models_are_refused(name, capfd):
    other, flag = {"cyclegan": ("pix2pix", "--lambda-identity=1")}.get(name, ("cyclegan", "--lambda-l1=1"))
    assert main(["train", f"--model={other}", flag, "--dry-run"]) == 2
    error = capfd.readouterr().err
    assert flag.split("=")[0] in error and f"--model {other}" in error and len(error.splitlines()) == 1
