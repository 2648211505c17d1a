"""Runs of a given time: how many steps it takes is decided by the first ones, once. On a clock of our own."""

import itertools
import json
import shutil

import keras
import numpy as np
import pytest
from callbacks_fake import FakeModel, batches
from conftest import random_images

from tf_cyclegan.cli import main
from tf_cyclegan.data import images
from tf_cyclegan.settings.train import train_settings
from tf_cyclegan.training.callbacks import TimeBudget, time_budget
from tf_cyclegan.training.cost import plan_text
from tf_cyclegan.training.run_model import learning_rate
from tf_cyclegan.training.schedules import PlannedSchedule
from tf_cyclegan.weights.run_files import newest_checkpoint

pytestmark = pytest.mark.eager
SMALL = ["--image-size=32", "--filters=4", "--discriminator-filters=4", "--residual-blocks=1", "--pool-size=3"]


class Clock(keras.callbacks.Callback):
    """Moves by `seconds_of(step)` at the end of each step, and by `pause` at the end of an epoch."""

    def __init__(self, seconds_of, pause=0.0):
        super().__init__()
        self.now, self.seconds_of, self.pause = 0.0, seconds_of, pause

    def on_train_batch_end(self, batch, logs=None):
        self.now += self.seconds_of(int(self.model.step))

    def on_epoch_end(self, epoch, logs=None):
        self.now += self.pause


def planned(monkeypatch, seconds, seconds_of, steps_per_epoch=1000, pause=0.0, evaluation_steps=None):
    """The plan of a budget, and the time at which it was made."""
    clock, made = Clock(seconds_of, pause), []
    monkeypatch.setattr(time_budget, "_now", lambda: clock.now)
    budget = TimeBudget(seconds, steps_per_epoch, lambda plan: made.append((plan, clock.now)), evaluation_steps)
    epochs = -(-100 // steps_per_epoch)
    FakeModel().fit(batches(min(steps_per_epoch, 100)), epochs=epochs, verbose=0, callbacks=[clock, budget])
    assert len(made) == 1
    return made[0]


def test_steps_that_fit_are_counted_after_those_that_compile(monkeypatch):
    plan, now = planned(monkeypatch, 100, lambda step: {1: 20.0, 2: 3.0}.get(step, 0.5))
    # Ten steps of half a second are five seconds; 3 % are kept back, and ten steps for what comes at the end.
    assert plan["measured_steps"] == 12 and now == 28 and plan["seconds_a_step"] == 0.5
    assert plan["steps"] == 12 + int((97 - 28 - 5) / (0.5 + 5 / 1000))


def test_a_slow_step_among_them_does_not_count(monkeypatch):
    plan, _ = planned(monkeypatch, 600, lambda step: 40.0 if step == 9 else 0.5)
    assert plan["seconds_a_step"] == 0.5


def test_what_epochs_take_at_their_end_is_measured(monkeypatch):
    plan, now = planned(monkeypatch, 1000, lambda step: 1.0, steps_per_epoch=5, pause=2.0)
    assert plan["measured_steps"] == 39 and now == 39 + 7 * 2  # thirty seconds of steps that count
    assert plan["steps"] == 39 + int((970 - 53 - 2) / (1 + 2 / 5))


def test_an_end_of_an_epoch_is_waited_for_where_it_is_near(monkeypatch):
    near, _ = planned(monkeypatch, 600, lambda step: 1.0, steps_per_epoch=50, pause=4.0)
    assert near["measured_steps"] == 51 and near["steps"] == 51 + int((582 - 55 - 4) / (1 + 4 / 50))
    far, _ = planned(monkeypatch, 400, lambda step: 1.0, steps_per_epoch=50, pause=4.0)
    assert far["measured_steps"] == 22 and far["steps"] == 22 + int((388 - 22 - 10) / (1 + 10 / 50))


def test_evaluations_are_counted_in(monkeypatch):
    plan, _ = planned(monkeypatch, 100, lambda step: 0.5, evaluation_steps=30)
    assert plan["steps"] == 12 + int((97 - 6 - 5 - 7.5) / (0.5 + 5 / 1000 + 7.5 / 30))


@pytest.mark.parametrize(
    "first, later, measured", [(50.0, 50.0, 1), (10.0, 10.0, 5), (1.0, 20.0, 4), (40.0, 1.0, 5), (900.0, 1.0, 1)]
)
def test_few_steps_decide_where_the_time_is_short(first, later, measured, monkeypatch):
    plan, now = planned(monkeypatch, 100, lambda step: first if step == 1 else later)
    assert plan["measured_steps"] == measured and plan["steps"] >= measured + 1
    assert now + (plan["steps"] - measured) * later <= max(100, now + later)


def test_a_time_of_nothing_is_named():
    with pytest.raises(ValueError, match="`seconds`"):
        TimeBudget(0, 1, print)


# ---- in a run ----


@pytest.fixture
def folder(tmp_path):
    for name in ("trainA", "trainB"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index, image in enumerate(random_images(4, 32, seed=len(name))):
            images.save_png(tmp_path / "photos" / name / f"{index}.png", images.to_uint8(image))
    return tmp_path


@pytest.fixture
def a_second_a_step(monkeypatch):
    """Has every look at the clock be a second later."""
    times = itertools.count()
    monkeypatch.setattr(time_budget, "_now", lambda: float(next(times)))


def run(folder, *flags, name="run"):
    return main(["train", f"--dataset={folder / 'photos'}", f"--output-dir={folder / name}", *SMALL, *flags])


def newest(folder, name="run"):
    return keras.models.load_model(newest_checkpoint(folder / name / "checkpoints"))


def plan_of(folder, name="run"):
    return json.loads((folder / name / "config.json").read_text()).get("plan")


def assert_same(one, other):
    for ours, theirs in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


MINUTES = ["--minutes=0.2", "--epochs=1", "--decay-epochs=1", "--samples=1"]


@pytest.mark.graph
def test_a_run_of_minutes_has_the_steps_and_the_rates_of_its_plan(folder, a_second_a_step, capfd):
    assert run(folder, *MINUTES) == 0
    output, progress = capfd.readouterr()
    # Twelve seconds: after half of them three steps count, and what is left takes five more.
    assert plan_of(folder) == {"steps": 11, "measured_steps": 6, "seconds_a_step": 1.0}
    assert progress.count("minutes: ") == 1
    assert "0.2 minutes: 11 steps of 1 s, the learning rate falls from step 7 on." in progress
    assert "whole run" not in progress and "step 8/11 (72%)" in progress and "Trained to step 11 in" in output
    model = newest(folder)
    assert int(model.step) == 11
    rates = [float(model.discriminator_optimizer._learning_rate(step)) / 2e-4 for step in range(11)]
    assert rates == pytest.approx([1] * 6 + [5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7])
    assert len(list((folder / "run" / "samples").iterdir())) == 3


def test_a_run_that_goes_on_has_the_plan_of_its_beginning(folder, a_second_a_step, capfd):
    assert run(folder, *MINUTES, "--checkpoint-steps=1", "--keep-checkpoints=20") == 0
    checkpoints = folder / "run" / "checkpoints"
    for first, kept in ((7, True), (3, True), (3, False)):
        copy = folder / f"from_{first}_{kept}"
        shutil.copytree(folder / "run", copy)
        for path in (copy / "checkpoints").glob("*.keras"):
            if int(path.stem.removeprefix("step_")) > first:
                path.unlink()
        if not kept:
            (copy / "config.json").unlink()  # as if it had been killed before the decision
        capfd.readouterr()
        assert run(folder, *MINUTES, name=copy.name) == 0
        output, progress = capfd.readouterr()
        if kept:
            assert plan_of(folder, copy.name) == plan_of(folder)
            assert "0.2 minutes: 11 steps of 1 s" in output and "minutes: " not in progress
            assert_same(newest(folder, copy.name), newest(folder))
        else:
            assert plan_of(folder, copy.name)["measured_steps"] == 9 and "0.2 minutes: " in progress
    assert len(list(checkpoints.iterdir())) == 11


def test_a_finished_run_says_so_and_goes_on_by_steps_alone(folder, a_second_a_step, capfd):
    assert run(folder, *MINUTES) == 0
    assert run(folder, *MINUTES) == 0
    assert "The run is complete: 11 steps. --steps in the place of --minutes goes on" in capfd.readouterr().out
    assert run(folder, "--minutes=0.4", *MINUTES[1:]) == 2
    error = capfd.readouterr().err
    assert "--minutes must be 0.2" in error and "11 steps" in error and len(error.splitlines()) == 1
    assert run(folder, "--steps=12", "--epochs=5", "--samples=1") == 0
    assert "--minutes is now none, was 0.2." in capfd.readouterr().out
    assert int(newest(folder).step) == 12 and plan_of(folder) is None
    assert run(folder, *MINUTES) == 0  # twelve seconds more
    assert plan_of(folder)["measured_steps"] == 18


@pytest.mark.parametrize("schedule", ["linear", "step", "cosine", "constant"])
def test_every_schedule_is_planned(schedule):
    given = {"schedule": schedule, "epochs": 1, "decay_epochs": 3, "decay_rate": 0.3}
    settings = train_settings(minutes=1, **given).resolved().run.schedule
    plan = {"steps": 80, "measured_steps": 4, "seconds_a_step": 0.5}
    rate = learning_rate(settings, steps_per_epoch=7, plan=plan)
    expected = PlannedSchedule(settings.learning_rate, schedule, 1, 3, 0.3, total_steps=80, measured_steps=4)
    assert rate.get_config() == expected.get_config()
    assert plan_text(1, plan, rate).endswith("stays." if schedule == "constant" else " on.")


def test_a_last_part_that_lies_in_the_epoch_of_the_decision_gets_its_picture(folder, a_second_a_step):
    for index, image in enumerate(random_images(30, 32, seed=3)):
        images.save_png(folder / "photos" / "trainA" / f"more_{index}.png", images.to_uint8(image))
    assert run(folder, *MINUTES) == 0
    steps = plan_of(folder)["steps"]
    assert 5 < steps < 34 and int(newest(folder).step) == steps
    assert [path.name for path in (folder / "run" / "samples").iterdir()] == ["epoch_0001.png"]


def test_a_run_in_replicas_is_planned(folder, a_second_a_step):
    assert run(folder, *MINUTES, "--strategy=mirrored", name="mirrored") == 0
    assert plan_of(folder, "mirrored")["steps"] == int(newest(folder, "mirrored").step) == 11


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--minutes=0"], ["--minutes must be above 0"]),
        (["--minutes=-3"], ["--minutes", "-3"]),
        (["--minutes=nan"], ["--minutes", "nan"]),
        (["--minutes=5", "--steps=7"], ["--minutes", "--steps", "7"]),
        (["--minutes=5", "--strategy=multi_worker"], ["--minutes", "--strategy", "multi_worker"]),
        (
            ["--minutes=5", "--model=pix2pixhd", "--enhancers=1", "--stage-epochs", "1", "1"],
            ["--minutes", "--stage-epochs"],
        ),
    ],
)
def test_what_does_not_go_with_minutes_is_refused_by_name(flags, words, capfd):
    assert main(["train", "--dry-run", *flags]) == 2
    error = capfd.readouterr().err
    assert all(word in error for word in words) and len(error.splitlines()) == 1, error


def test_a_dry_run_says_what_minutes_will_do(capfd):
    assert main(["train", "--dry-run", "--minutes=10", "--epochs=6", "--decay-epochs=18"]) == 0
    output = capfd.readouterr().out
    assert "minutes: 10; the first steps are measured, then the number of steps is fixed" in output
    assert "in the proportion 6 : 18" in output and "20%   0.0004" in output and " 50%   0.0002" in output


@pytest.mark.parametrize(
    "settings, minutes",
    [
        ({}, 10),
        ({"minutes": 150}, 150),
        ({"steps": 9}, None),
        ({"epochs": 2}, None),
        ({"decay_epochs": 0}, None),
        ({"strategy": "multi_worker"}, None),
        ({"model": "unit"}, None),
        ({"dataset": "cycle_gan/horse2zebra"}, None),
    ],
)
def test_the_bundled_drawings_take_ten_minutes_where_no_length_is_given(settings, minutes):
    assert train_settings(**settings).resolved().run.schedule.minutes == minutes
