"""The training program, as a user runs it: small folders of noise, a few steps."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import random_images

from tf_cyclegan import images
from tf_cyclegan.callbacks import newest_checkpoint
from tf_cyclegan.cli import main
from tf_cyclegan.config import PYTORCH_FLAGS, TrainConfig, parse_size

SMALL = ["--image-size=32", "--filters=4", "--discriminator-filters=4", "--residual-blocks=1", "--pool-size=3"]


@pytest.fixture
def folder(tmp_path):
    """Five images in A, three in B, two of each to test."""
    for name, count in {"trainA": 5, "trainB": 3, "testA": 2, "testB": 2}.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index, image in enumerate(random_images(count, 36, 40, seed=len(name))):
            images.save_png(tmp_path / "photos" / name / f"{index}.png", images.to_uint8(image))
    return tmp_path / "photos"


def run(folder, output, *flags):
    return main(["train", f"--dataset={folder}", f"--output-dir={output}", *SMALL, *flags])


def weights(run_folder):
    model = keras.models.load_model(newest_checkpoint(run_folder / "checkpoints"))
    return [variable.numpy() for variable in model.variables]


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
    assert "lambda_cycle" in error and "10.0" in error and "--no-resume" in error
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
        (["--image-size=33"], ["image_size", "multiples of 4", "33"]),
        (["--image-size=tall"], ["image_size", "HEIGHTxWIDTH", "tall"]),
        (["--dataset=cycle_gan/horse2zebr"], ["horse2zebra"]),
        (["--dataset=no_such_folder"], ["no_such_folder", "emoji"]),
        (["--data-a=somewhere"], ["data_b"]),
        (["--lambda-cycle", "1", "2", "3"], ["lambda_cycle"]),
        (["--gan-mode=wgangp", "--normalization=batch"], ["normalization", "wgangp"]),
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
    paper = TrainConfig(dataset="cycle_gan/horse2zebra").resolved()
    assert (paper.image_size, paper.filters, paper.residual_blocks, paper.batch_size) == ("256", 64, 9, 1)
    assert (paper.epochs, paper.decay_epochs, paper.learning_rate, paper.upsampling) == (
        100,
        100,
        2e-4,
        "deconvolution",
    )
    assert (paper.lambda_identity, str(paper.output_dir)) == (0.5, os.path.join("runs", "horse2zebra"))
    assert TrainConfig(dataset="photos", image_size="128").resolved().residual_blocks == 6
    assert TrainConfig(dataset="photos", image_size="128x256").resolved().residual_blocks == 9
    assert TrainConfig().resolved().upsampling == "resize"
    assert TrainConfig(filters=7).resolved().filters == 7
    assert TrainConfig(channels=1, channels_b=3).resolved().lambda_identity == 0


def test_sizes():
    assert parse_size("256", "image_size") == (256, 256)
    assert parse_size("192x256", "image_size") == (192, 256)
    for wrong in ("", "0", "1x2x3", "-4", "x"):
        with pytest.raises(ValueError, match="`load_size`"):
            parse_size(wrong, "load_size")
