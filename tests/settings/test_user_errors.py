"""Errors of ours are a line that speaks of flags; those of NumPy, Keras and our bugs keep their traceback."""

import re

import keras
import numpy as np
import pytest

from tf_cyclegan.cli import main
from tf_cyclegan.layers import InstanceNormalization
from tf_cyclegan.settings.train import TRAIN_NAMES
from tf_cyclegan.settings.user_errors import UserError, is_ours, speaking_of_flags, with_flags

SMALL = ["--image-size=32", "--filters=4", "--discriminator-filters=4", "--residual-blocks=1", "--pool-size=3"]


def raised(code, package="tf_cyclegan.anywhere"):
    """The error of some code of a package."""
    with pytest.raises(ValueError) as caught:
        exec(compile(code, "anywhere.py", "exec"), {"__name__": package, "np": np, "keras": keras})
    return caught.value


@pytest.mark.parametrize(
    "code",
    [
        "raise ValueError('ours')",
        "try:\n    int('x')\nexcept ValueError as e:\n    raise ValueError('so') from e",
    ],
)
def test_what_this_package_raises_is_ours(code):
    assert is_ours(raised(code)) and not is_ours(raised(code, "tf_cyclegan_of_others"))


@pytest.mark.parametrize(
    "code",
    [
        "np.zeros(3) + np.zeros(4)",
        "int('x')",
        "a, b = 1, 2, 3",
        "keras.layers.Dense(-1)",
        "try:\n    int('x')\nexcept ValueError:\n    raise",
        "keras.layers.Conv2D(4, 3)(np.zeros((1, 8)))",
    ],
)
def test_what_others_raise_is_a_bug_wherever_it_passes(code):
    assert not is_ours(raised(code))


def test_an_error_of_our_layer_is_ours_through_keras():
    with pytest.raises(ValueError) as caught:
        InstanceNormalization(axis=-4)(np.zeros((1, 4, 4, 3)))
    assert is_ours(caught.value)


def test_an_error_of_ours_becomes_a_user_error_and_another_passes():
    with pytest.raises(UserError, match="^--batch-size must be 1$"), speaking_of_flags(TRAIN_NAMES):
        raise raised("raise ValueError('`batch_size` must be 1')")
    with pytest.raises(ValueError, match="broadcast") as caught, speaking_of_flags(TRAIN_NAMES):
        np.zeros(3) + np.zeros(4)
    assert not isinstance(caught.value, UserError) and issubclass(UserError, ValueError)


@pytest.mark.parametrize(
    ("python", "command_line"),
    [
        ("`batch_size` must be 1. Received: batch_size=2", "--batch-size must be 1. Received: --batch-size=2"),
        ("`steps` must be at least 1, or None", "--steps must be at least 1"),
        ("`cache`='memory' needs 2 GB", "--cache=memory needs 2 GB"),
        ("of `variant='v1.1'` alone: it must be 1 or None", "of --variant=v1.1 alone: it must be 1"),
        (
            "`image_shape` is bad. Received: image_shape=(9, 12, 3)",
            "--image-size is bad. Received: --image-size=9x12",
        ),
        ("`features` must be None. Received: features=3", "features must be left out. Received: features=3"),
        ("as `tf-cyclegan export` does; --model=unit", "as `tf-cyclegan export` does; --model=unit"),
        ("Received: '/home/me/batch_size=3/x'", "Received: '/home/me/batch_size=3/x'"),
    ],
)
def test_messages_speak_flags(python, command_line):
    assert with_flags(python, TRAIN_NAMES, image_shape="--image-size") == command_line


# Each is out of its range, whatever the model.
OUT_OF_RANGE = {
    "cyclegan": [
        "--filters=0", "--discriminator-filters=0", "--discriminator-layers=0", "--lambda-gradient-penalty=-1",
        "--downsamplings=-1", "--dropout=2", "--lambda-cycle=-1", "--lambda-cycle 1 2 3", "--lambda-identity=-1",
        "--lambda-adversarial=-1", "--pool-size=-1", "--augment=no", "--augment-fill=2", "--epochs=-1",
        "--decay-epochs=-1", "--steps=0", "--minutes=0", "--batch-size=0", "--learning-rate=nan", "--seed=-1",
        "--channels=0", "--channels-b=0", "--image-size=30", "--image-size=0", "--load-size=no", "--samples=0",
        "--load-size=31", "--load-size=40 --resize-mode=crop", "--load-size=40x31 --resize-mode=scale_width_and_crop",
        "--keep-checkpoints=0", "--checkpoint-steps=0", "--evaluate-every=-1", "--evaluate-count=1",
        "--residual-blocks=-1 --generator-type=resnet", "--test-share=2", "--decay-rate=0",
    ],
    "pix2pix": ["--lambda-l1=-1", "--downsamplings=9"],
    "pix2pixhd": [
        "--scales=0", "--enhancers=-1", "--local-residual-blocks=-1", "--instance-features=-1", "--feature-clusters=0",
        "--label-classes=-1", "--stage-epochs -1 0", "--lambda-feature-matching=-1", "--lambda-perceptual=-1",
    ],
    "unit": ["--lambda-kl=-1", "--lambda-cycle-kl=-1", "--lambda-reconstruction=-1", "--scales=0"],
}  # fmt: skip


def said(arguments, capsys):
    """What a command says on its error stream, and its code."""
    code = main(arguments)
    return code, capsys.readouterr().err


@pytest.mark.parametrize(("model", "flag"), [(model, flag) for model, flags in OUT_OF_RANGE.items() for flag in flags])
def test_a_setting_out_of_its_range_is_called_by_its_flag(model, flag, capsys):
    flags = [*flag.split(), *(f for f in SMALL if f.split("=")[0] != flag.split("=")[0])]
    flags = [f for f in flags if model != "unit" or not f.startswith("--pool")]
    code, error = said(["train", "--dry-run", f"--model={model}", *flags], capsys)
    assert code == 2 and re.match(r"error: [^\n]*\n$", error)
    assert re.search(rf"{re.split('[= ]', flag)[0]}\b(?!-)", error)
    assert not re.search(r"`|None|\(\d|\b[a-z]+_[a-z]+=|[^-]\blayers=", error)


@pytest.fixture
def failing(monkeypatch):
    """Has the command `train --dry-run` meet an error."""

    def have(function):
        monkeypatch.setattr("tf_cyclegan.training.cost.describe_cost", lambda *_: function())

    return have


def test_errors_of_the_system_speak_flags_as_well(failing, capsys):
    def full():
        raise OSError(28, "No place for `cache`='disk'")

    failing(full)
    assert said(["train", "--dry-run", *SMALL], capsys) == (2, "error: No place for --cache=disk\n")


def test_a_bug_keeps_its_traceback(failing):
    failing(lambda: np.zeros(3) + np.zeros(4))
    with pytest.raises(ValueError, match="broadcast"):
        main(["train", "--dry-run", *SMALL])


def test_debug_shows_the_traceback_of_our_errors_as_well(capsys):
    code, error = said(["train", "--filters=0", "--dry-run", "--debug"], capsys)
    assert code == 2 and "resnet.py" not in error.split("Traceback")[0]
    assert "raise ValueError" in error and error.splitlines()[-1].startswith("error: --filters must be")
    keras.config.enable_traceback_filtering()
