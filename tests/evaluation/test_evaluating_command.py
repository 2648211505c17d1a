"""The command `evaluate`, as a user runs it, on tiny runs."""

import json
import shutil

import keras
import numpy as np
import pytest
from conftest import random_images
from evaluating_fakes import save_features

from tf_cyclegan import load_dataset
from tf_cyclegan.cli import main
from tf_cyclegan.data import images
from tf_cyclegan.evaluation.metrics import inception
from tf_cyclegan.weights.run_files import load_newest

SMALL = ["--image-size=32", "--filters=4", "--discriminator-filters=4", "--residual-blocks=1", "--pool-size=3"]
QUICK = ["--metrics=l1,cycle", "--count=4"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on the emoji that was evaluated on the way, of which each test gets a copy."""
    folder = tmp_path_factory.mktemp("runs") / "emoji"
    flags = [*SMALL, "--steps=2", "--evaluate-count=2", "--batch-size=1", "--samples=1"]
    assert main(["train", f"--output-dir={folder}", *flags]) == 0
    return folder


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "emoji")


@pytest.fixture
def offline(monkeypatch):
    def fail(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(inception.keras.utils, "get_file", fail)
    monkeypatch.setattr(keras.applications, "VGG19", fail)


def evaluation(folder):
    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    return json.loads((folder / "evaluation.json").read_text(), parse_constant=refuse)


def test_one_command_scores_a_run_and_writes_a_report(run, offline, capfd):
    assert main(["evaluate", str(run), "--count=6"]) == 0
    output = capfd.readouterr().out
    found = evaluation(run / "evaluation")
    assert found["model"]["step"] == 2 and found["model"]["checkpoint"] == "step_00000002.keras"
    assert found["data"]["images"] == {"a": 6, "b": 6} and found["data"]["answers_known"]
    scores = found["directions"]["ba"]["scores"]
    assert {"l1", "psnr", "ssim", "cycle", "identity", "change", "diversity"} <= scores.keys()
    # Nobody is left to guess why there is no FID, and how to come by one.
    assert set(found["left_out"]) == {"fid", "kid", "perceptual"}
    assert "Left out: FID, KID: Inception's weights could not be downloaded (no network)" in output
    assert "as --features." in output and "as --perceptual-weights." in output
    assert "A to B" in output and "the input itself" in output and "report.html" in output
    page = (run / "evaluation" / "report.html").read_text("utf-8")
    assert "Evaluation of emoji" in page and "lambda_cycle" in page and "Scores over time" not in page  # one row


def test_the_error_is_that_of_the_drawings_by_hand(run):
    assert main(["evaluate", str(run), "--metrics=l1", "--count=100"]) == 0
    found = evaluation(run / "evaluation")["directions"]["ab"]
    model = load_newest(run / "checkpoints")[0]
    pairs = list(load_dataset("emoji", "test", image_size=32))
    errors = [float(np.abs(model.translate(a, "ab") - b).mean()) for a, b in pairs]
    np.testing.assert_allclose(found["per_image"]["l1"], errors, atol=1e-5)
    assert found["scores"]["l1"]["of_input"] == pytest.approx(
        np.mean([np.abs(a - b).mean() for a, b in pairs]), abs=1e-6
    )
    mean = np.mean([b[0] for _, b in load_dataset("emoji", "train", image_size=32, flip=False)], axis=0)
    of_mean = np.mean([np.abs(mean - b[0]).mean() for _, b in pairs])
    assert found["scores"]["l1"]["of_mean"] == pytest.approx(of_mean, rel=0.01)  # an epoch repeats one drawing of B


def test_the_best_is_evaluated_apart(run, capfd):
    best = json.loads((run / "checkpoints" / "best.json").read_text())
    assert best["step"] == 2 and best["score"] == "l1"
    assert main(["evaluate", str(run), "--metrics=cycle", "--count=4", "--checkpoint=best"]) == 0
    assert evaluation(run / "evaluation-best")["model"]["checkpoint"] == "best.keras"
    (run / "checkpoints" / "best.json").write_text(json.dumps(best | {"step": 1}))
    assert main(["evaluate", str(run), *QUICK]) == 0
    assert "The best by l1" in capfd.readouterr().out
    (run / "checkpoints" / "best.keras").unlink()
    assert main(["evaluate", str(run), *QUICK, "--checkpoint=best"]) == 2
    assert "--checkpoint best is kept by runs with --evaluate-every" in capfd.readouterr().err


def test_distances_with_features_of_one_s_own(run, tmp_path, capfd):
    features = save_features(tmp_path / "tiny.keras")
    flags = ["--metrics=frechet,kernel", f"--features={features}", "--resize=clean", "--count=6", "--direction=ba"]
    assert main(["evaluate", str(run), *flags, "-o", str(tmp_path / "out")]) == 0
    found = evaluation(tmp_path / "out")
    assert list(found["directions"]) == ["ba"]
    record = found["directions"]["ba"]["scores"]["frechet"]
    assert (record["features"], record["resize"], record["real"]) == ("features of tiny", "clean", 6)
    assert not record["is_inception"] and "FID" not in found["directions"]["ba"]["scores"]["kernel"]["name"]
    assert "biased upward" in capfd.readouterr().out


def test_a_checkpoint_knows_its_data_and_another_file_needs_to_be_told(run, tmp_path, capfd):
    checkpoint = shutil.copy(run / "checkpoints" / "step_00000002.keras", tmp_path / "checkpoint.keras")
    assert main(["evaluate", str(checkpoint), *QUICK]) == 0
    assert evaluation(tmp_path / "checkpoint-evaluation")["data"]["image_size"] == [32, 32]
    model = tmp_path / "model.keras"
    keras.models.load_model(checkpoint).save(model)
    assert main(["evaluate", str(model), *QUICK]) == 2
    assert "--dataset must be given where a model has no settings of a run" in capfd.readouterr().err
    assert main(["evaluate", str(model), *QUICK, "--dataset=emoji"]) == 0
    assert evaluation(tmp_path / "model-evaluation")["data"]["image_size"] == [32, 32]


def test_pairs_in_folders_have_right_answers(run, tmp_path, capfd):
    for domain, seed in (("A", 1), ("B", 2)):
        for split in ("train", "test"):
            folder = tmp_path / "pairs" / f"{split}{domain}"
            folder.mkdir(parents=True)
            for index, image in enumerate(random_images(3, 32, seed=seed)):
                images.save_png(folder / f"{index}.png", images.to_uint8(image))
    flags = [str(run), f"--dataset={tmp_path / 'pairs'}", "--image-size=32", "--metrics=l1"]
    assert main(["evaluate", *flags]) == 2
    assert main(["evaluate", *flags, "--paired"]) == 0
    assert evaluation(run / "evaluation")["directions"]["ab"]["scores"]["l1"]["images"] == 3


def test_other_data_than_the_run_s(run, tmp_path, capfd):
    for name in ("testA", "testB", "trainA", "trainB"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index, image in enumerate(random_images(2, 40)):
            images.save_png(tmp_path / "photos" / name / f"{index}.png", images.to_uint8(image))
    flags = [f"--dataset={tmp_path / 'photos'}", "--metrics=cycle", "--split=train"]
    assert main(["evaluate", str(run), *flags]) == 0
    found = evaluation(run / "evaluation")
    assert not found["data"]["answers_known"] and found["data"]["split"] == "train"
    assert main(["evaluate", str(run), *flags, "--metrics=l1"]) == 2
    assert "--metrics l1 cannot be computed here" in capfd.readouterr().err


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--metrics=l1,ssmi"], "--metrics must be one of fid, kid"),
        (["--metrics=,"], "--metrics must name at least one"),
        (["--count=1"], "--count must be an integer of at least 2"),
        (["--metrics=frechet", "--features=missing.pth"], "--features must be inception or the path of a file"),
        (["--dataset=nowhere"], "nowhere"),
    ],
)
def test_wrong_settings_are_one_line(run, flags, message, capfd):
    assert main(["evaluate", str(run), *flags]) == 2
    error = capfd.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (run / "evaluation").exists()


@pytest.fixture
def nothing_begun(monkeypatch):
    """Fails where something is downloaded, read or computed."""
    for name in ("open_instruments", "open_data"):
        monkeypatch.setattr(f"tf_cyclegan.evaluation.evaluate.{name}", lambda *_, **__: pytest.fail("begun"))


def test_a_missing_run_is_named_first(nothing_begun, tmp_path, capfd):
    assert main(["evaluate", str(tmp_path / "none")]) == 2
    assert "MODEL must be a run folder" in capfd.readouterr().err


def test_where_nothing_can_be_written_is_found_first(nothing_begun, run, capfd):
    (run / "file").touch()
    assert main(["evaluate", str(run), f"--output={run / 'file' / 'report'}"]) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: --output must be a folder to write to. Received: ") and error.count("\n") == 1
    (run / "evaluation").touch()
    assert main(["evaluate", str(run)]) == 2
    assert "--output must be a folder to write to" in capfd.readouterr().err
