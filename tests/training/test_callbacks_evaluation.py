"""Scores during training: the table, the best checkpoint, and what a resumed run makes of both."""

import csv
import json

import keras
import numpy as np
import pytest
from callbacks_fake import FakeModel, batches
from conftest import random_images

from tf_cyclegan.cli import main
from tf_cyclegan.data import images
from tf_cyclegan.evaluation.metrics import inception
from tf_cyclegan.training.callbacks import Checkpoints, Evaluation
from tf_cyclegan.weights.run_files import load_newest

# By step: the best is the second of four.
ERRORS = {4: 0.5, 8: 0.2, 12: 0.4, 16: 0.3}


def error(model):
    return {"l1_ab": ERRORS[int(model.step)] - 0.1, "l1_ba": ERRORS[int(model.step)] + 0.1}


def fit(model, folder, epochs, initial_epoch=0, score=error, **settings):
    checkpoints = Checkpoints(folder / "checkpoints", keep=1)
    checkpoints.set_model(model)
    evaluation = Evaluation(score, folder, **{"best_by": "l1", "save": checkpoints.save, **settings})
    callbacks = [evaluation, checkpoints]
    model.fit(batches(), epochs=epochs, initial_epoch=initial_epoch, verbose=0, callbacks=callbacks)
    return evaluation


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return [(int(row["step"]), float(row["l1_ab"])) for row in csv.DictReader(file)]


def best(folder):
    model = keras.models.load_model(folder / "checkpoints" / "best.keras")
    found = json.loads((folder / "checkpoints" / "best.json").read_text())
    assert found["step"] == int(model.step)
    return found


def test_the_table_has_every_evaluation_and_the_best_model_stays(tmp_path):
    lines = []
    evaluation = fit(FakeModel(), tmp_path, 4, report=lines.append)
    assert rows(tmp_path) == [(step, pytest.approx(value - 0.1)) for step, value in ERRORS.items()]
    assert best(tmp_path) == {"step": 8, "score": "l1", "value": pytest.approx(0.2), "better": "lower"}
    assert evaluation.best["step"] == 8
    assert lines[0] == "Scores at step 4: l1 0.4 / 0.6" and "Best l1 so far: 0.5" in lines[1]
    # What goes on from the newest checkpoint is not led astray by the best one.
    assert int(load_newest(tmp_path / "checkpoints")[0].step) == 16
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "best.json",
        "best.keras",
        "step_00000016.keras",
    ]


def test_every_second_epoch(tmp_path):
    fit(FakeModel(), tmp_path, 4, every=2)
    assert [step for step, _ in rows(tmp_path)] == [8, 16]


def test_of_psnr_more_is_better(tmp_path):
    fit(
        FakeModel(),
        tmp_path,
        4,
        score=lambda model: {"l1_ab": 0, "psnr_ab": ERRORS[int(model.step)]},
        best_by="psnr_ab",
    )
    assert best(tmp_path)["step"] == 4


def test_without_a_way_to_save_the_model_itself_is_saved(tmp_path):
    fit(FakeModel(), tmp_path, 3, save=None)
    assert best(tmp_path)["step"] == 8


def test_a_resumed_run_has_one_row_a_step_and_forgets_a_left_future(tmp_path):
    fit(FakeModel(), tmp_path, 4)
    model = FakeModel()
    model.step.assign(12)  # as if the newest checkpoint could not be read
    fit(model, tmp_path, 4, initial_epoch=3)
    assert [step for step, _ in rows(tmp_path)] == [4, 8, 12, 16]
    assert best(tmp_path)["step"] == 8
    model = FakeModel()
    model.step.assign(4)
    fit(model, tmp_path, 2, initial_epoch=1)
    assert [step for step, _ in rows(tmp_path)] == [4, 8]
    assert best(tmp_path)["step"] == 8
    model = FakeModel()
    model.step.assign(4)
    fit(model, tmp_path, 1, initial_epoch=1)  # nothing trained: the best of the left run is set aside
    assert best(tmp_path)["step"] == 4
    assert (tmp_path / "checkpoints" / "best.keras.old").exists()


def test_a_run_killed_between_the_row_and_the_model_keeps_the_best_when_it_goes_on(tmp_path):
    fit(FakeModel(), tmp_path, 2)
    (tmp_path / "checkpoints" / "best.json").unlink()
    model = keras.models.load_model(tmp_path / "checkpoints" / "step_00000008.keras")
    fit(model, tmp_path, 3, initial_epoch=2)
    assert best(tmp_path)["step"] == 8


def test_an_epoch_whose_end_met_the_stop_is_scored_when_the_run_goes_on(tmp_path):
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(stop.model, "stop_training", True))
    model = FakeModel()
    evaluation = Evaluation(error, tmp_path, steps_per_epoch=4)
    model.fit(batches(), epochs=1, verbose=0, callbacks=[stop, evaluation])
    assert not (tmp_path / "metrics.csv").exists()
    model.fit(batches(), epochs=2, initial_epoch=1, verbose=0, callbacks=[evaluation])
    assert [step for step, _ in rows(tmp_path)] == [4, 8]


def test_nan_is_never_the_best_and_a_wrong_name_is_told(tmp_path):
    fit(FakeModel(), tmp_path, 2, score=lambda model: {"l1": float("nan") if int(model.step) == 4 else 1.0})
    assert best(tmp_path)["step"] == 8
    with pytest.raises(ValueError, match="`best_by` must be one of the scores l1_ab, l1_ba. Received: best_by='kid'"):
        fit(FakeModel(), tmp_path / "other", 1, best_by="kid")
    with pytest.raises(ValueError, match="`every` must be an integer of at least 1"):
        Evaluation(error, tmp_path, every=0)


def test_tensorboard_gets_the_scores(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(FakeModel(), tmp_path, 2, log_dir=tmp_path / "logs")
    found = EventAccumulator(str(tmp_path / "logs")).Reload()
    assert "scores/l1_ab" in found.Tags()["tensors"]


# ---- in a run ----

SMALL = ["--image-size=32", "--filters=4", "--discriminator-filters=4", "--residual-blocks=1", "--pool-size=3"]


@pytest.fixture
def folder(tmp_path):
    """Three images of each domain to train on, two to test."""
    for name, count in {"trainA": 3, "trainB": 3, "testA": 2, "testB": 2}.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index, image in enumerate(random_images(count, 32, seed=len(name) + ord(name[-1]))):
            images.save_png(tmp_path / "photos" / name / f"{index}.png", images.to_uint8(image))
    return tmp_path / "photos"


def run(folder, output, *flags):
    epochs = ["--epochs=2", "--decay-epochs=1"]
    return main(["train", f"--dataset={folder}", f"--output-dir={output}", *SMALL, *epochs, *flags])


def test_a_run_with_evaluation_equals_one_without_and_so_does_a_resumed_one(folder, tmp_path, capfd):
    evaluated = ["--evaluate-every=1", "--best-by=cycle"]
    assert run(folder, tmp_path / "plain") == 0
    assert run(folder, tmp_path / "evaluated", *evaluated) == 0
    output = capfd.readouterr().out
    assert "Last: cycle" in output and "Best: " in output and "tf-cyclegan evaluate" in output
    for steps in (3, 4):  # at the end of an epoch, and within the next
        assert run(folder, tmp_path / "pieces", *evaluated, f"--steps={steps}") == 0
    assert run(folder, tmp_path / "pieces", *evaluated) == 0
    plain, whole, pieces = (
        load_newest(tmp_path / name / "checkpoints")[0] for name in ("plain", "evaluated", "pieces")
    )
    for one, two, three in zip(plain.variables, whole.variables, pieces.variables, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=one.path)
        np.testing.assert_array_equal(one, three, err_msg=one.path)
    table, of_pieces = ((tmp_path / name / "metrics.csv").read_text().splitlines() for name in ("evaluated", "pieces"))
    assert [line.split(",")[0] for line in table] == ["step", "3", "6", "9"]
    assert [line for line in of_pieces if not line.startswith("4,")] == table  # 4 was the end of a piece
    assert not (tmp_path / "plain" / "metrics.csv").exists()


def test_what_cannot_be_had_is_told_before_the_first_step(folder, tmp_path, capfd, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(inception.keras.utils, "get_file", offline)
    assert run(folder, tmp_path / "run", "--best-by=l1") == 2
    assert "--best-by must be one of" in capfd.readouterr().err
    assert run(folder, tmp_path / "run", "--evaluate-every=1") == 2  # not pairs: nothing but a distance tells
    error = capfd.readouterr().err
    assert "as --evaluate-features; or take another --best-by, for example cycle" in error and "no network" in error
    assert run(folder, tmp_path / "run", "--evaluate-every=-1") == 2
    assert "--evaluate-every must be an integer of at least 0" in capfd.readouterr().err
