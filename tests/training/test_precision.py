"""Which precision a run takes when it is given none."""

import json
from pathlib import Path

import keras
import pytest
from conftest import random_images

from tf_cyclegan.cli import main
from tf_cyclegan.data import images
from tf_cyclegan.networks.layers import runtime
from tf_cyclegan.settings.train import train_settings
from tf_cyclegan.training import precision
from tf_cyclegan.training.run_model import new_model
from tf_cyclegan.weights.run_files import newest_checkpoint

pytestmark = pytest.mark.eager
SMALL = ["--image-size=32", "--filters=4", "--discriminator-filters=4", "--residual-blocks=1", "--pool-size=0"]


@pytest.mark.parametrize(
    "seconds, policy, words",
    [
        ((0.3, 0.2), "mixed_bfloat16", "Precision bfloat16: 1.5 times as fast here as float32."),
        ((0.106, 0.1), "mixed_bfloat16", "Precision bfloat16: 1.1 times"),
        ((0.104, 0.1), "float32", "Precision float32: bfloat16 would be 1.0 times as fast here."),
        ((0.08, 0.1), "float32", "Precision float32: bfloat16 would be 0.8 times as fast here."),
    ],
)
def test_bfloat16_must_be_faster_by_more_than_measurements_differ(seconds, policy, words):
    found, text = precision.decision(*seconds)
    assert found == policy and text.startswith(words)


class Clock:
    def __init__(self):
        self.now = 0.0

    def step(self, durations):
        """A step that takes the first of these seconds, then the next, and then always the last."""
        left = list(durations)

        def run():
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


def test_steps_are_taken_in_turns_and_the_fastest_of_each_counts():
    clock = Clock()
    steps = [clock.step([9.0, 0.5, 0.3, 0.4]), clock.step([8.0, 0.2, 0.7])]  # the first call traces
    assert precision.fastest_turns(steps, seconds=4.0, clock=lambda: clock.now) == pytest.approx([0.3, 0.2])
    assert 17 + 4 <= clock.now < 17 + 4 + 1.1
    slow = [clock.step([100.0]), clock.step([50.0])]
    before = clock.now
    assert precision.fastest_turns(slow, seconds=4.0, clock=lambda: clock.now) == pytest.approx([100, 50])
    assert clock.now - before == pytest.approx(4 * 150)


@pytest.mark.parametrize("flags, needed", [("avx2", False), ("avx2 avx512_bf16", True), ("amx_bf16", True)])
def test_only_cpus_with_instructions_for_bfloat16_measure(flags, needed, monkeypatch, measuring, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    monkeypatch.setattr(runtime, "Path", lambda _: tmp_path / "cpuinfo")
    monkeypatch.setattr(runtime, "does_the_computing", lambda: True)
    assert measuring() is needed
    monkeypatch.setattr(runtime, "does_the_computing", lambda: False)
    assert measuring() is False


@pytest.mark.parametrize("size, multiple, expected", [("64", 4, (4, 64, 64)), ("512x1024", 32, (1, 128, 128))])
def test_large_images_are_measured_by_a_part(size, multiple, expected):
    config = train_settings(image_size=size, batch_size=4).resolved().data
    assert precision._measured_shape(config, multiple) == expected


def test_a_tiny_network_is_float32_and_the_drawings_default_is_not_tiny():
    tiny = train_settings(image_size="32", filters=4, discriminator_filters=4, residual_blocks=1).resolved()
    assert precision.measured_policy(lambda policy: new_model(tiny, policy), tiny.data, pytest.fail) == "float32"
    default = train_settings().resolved()
    assert not precision.is_tiny(new_model(default, "float32"), default.data)


@pytest.mark.graph
@pytest.mark.parametrize("model", ["cyclegan", "pix2pix", "pix2pixhd", "unit"])
def test_the_step_that_is_measured_runs_for_every_model(model, monkeypatch):
    monkeypatch.setattr(precision, "_LEAST_WORK", 0)
    monkeypatch.setattr(precision, "_SECONDS", 0.0)
    monkeypatch.setattr(precision, "decision", lambda *seconds: ("float32", min(seconds) > 0))
    sizes = {"image_size": "32", "filters": 4, "discriminator_filters": 4}
    sizes |= {"downsamplings": 3} if model == "pix2pix" else {"residual_blocks": 1}
    if model == "pix2pixhd":
        sizes |= {"downsamplings": 1, "label_classes": 3, "lambda_perceptual": 0.0}
    sizes |= {"scales": 1, "discriminator_layers": 2} if model == "unit" else {}
    config = train_settings(model=model, **sizes).resolved()
    said = []
    precision.measured_policy(lambda policy: new_model(config, policy), config.data, said.append)
    assert said == [True]


# ---- in a run ----


@pytest.fixture
def folder(tmp_path):
    for name in ("trainA", "trainB"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index, image in enumerate(random_images(2, 32)):
            images.save_png(tmp_path / "photos" / name / f"{index}.png", images.to_uint8(image))
    return tmp_path


def run(folder, *flags):
    return main(["train", f"--dataset={folder / 'photos'}", f"--output-dir={folder / 'run'}", *SMALL, *flags])


def find(monkeypatch, policy):
    """Has a measurement find this, and says how often one was made."""
    made = []

    def measured(make_model, data, report):
        made.append(policy)
        report(f"found {policy}")
        return policy

    monkeypatch.setattr(precision, "needs_measuring", lambda: True)
    monkeypatch.setattr(precision, "measured_policy", measured)
    return made


def policy_of(run_folder):
    return keras.models.load_model(newest_checkpoint(run_folder / "checkpoints")).dtype_policy.name


def test_a_run_keeps_what_was_found_when_it_goes_on(folder, monkeypatch, capfd):
    made = find(monkeypatch, "mixed_bfloat16")
    assert run(folder, "--steps=1") == 0
    assert "found mixed_bfloat16" in capfd.readouterr().out
    assert json.loads((folder / "run" / "config.json").read_text())["dtype_policy"] == "mixed_bfloat16"
    (folder / "run" / "config.json").unlink()  # the checkpoint says it as well
    made += find(monkeypatch, "float32")
    assert run(folder, "--steps=2") == 0
    assert made == ["mixed_bfloat16"] and policy_of(folder / "run") == "mixed_bfloat16"
    assert "found" not in capfd.readouterr().out
    assert run(folder, "--steps=1", "--no-resume") == 0
    assert policy_of(folder / "run") == "float32"


def test_a_precision_that_is_given_is_not_measured(folder, monkeypatch):
    made = find(monkeypatch, "mixed_bfloat16")
    assert run(folder, "--steps=1", "--precision=float32") == 0
    assert made == [] and policy_of(folder / "run") == "float32"


def test_a_dry_run_does_not_measure_and_says_that_the_run_will(folder, monkeypatch, capfd):
    made = find(monkeypatch, "mixed_bfloat16")
    assert run(folder, "--dry-run") == 0
    assert made == [] and not Path(folder / "run").exists()
    assert "precision: float32 or mixed_bfloat16, whichever is measured to be faster" in capfd.readouterr().out
