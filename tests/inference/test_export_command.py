"""The export command, the files of other runtimes, and the configuration of TensorFlow Serving."""

import dataclasses
import os
import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import SMALL, command_settings, random_images
from google.protobuf import text_format

from tf_cyclegan import CycleGAN
from tf_cyclegan.data import images
from tf_cyclegan.export import run_export
from tf_cyclegan.inference.export import formats
from tf_cyclegan.inference.export.publishing import write_deployment
from tf_cyclegan.serving.engine import Engine
from tf_cyclegan.settings.commands import ExportSettings


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """`(model, run folder)`: as a run leaves it, with a damaged checkpoint on top."""
    keras.utils.set_random_seed(0)
    model = CycleGAN(**SMALL, residual_blocks=1, upsampling="resize")
    run = tmp_path_factory.mktemp("runs") / "my photos"
    (run / "checkpoints").mkdir(parents=True)
    model.save(run / "checkpoints" / "step_00000001.keras")
    (run / "checkpoints" / "step_00000002.keras").write_bytes(b"cut off")
    return model, run


def export(model, output, **settings):
    """The exit code and what was reported."""
    lines = []
    return run_export(command_settings(ExportSettings, Path(model), Path(output), **settings), lines.append), "\n".join(
        lines
    )


# ---- SavedModels ----


def test_a_run_becomes_two_models_and_what_serves_them(trained, tmp_path):
    model, run = trained
    code, report = export(run, tmp_path / "exported", static_sizes=("32x48",), keep=1)
    assert code == 0
    assert "step_00000002.keras" in report and "differs from the Keras model by at most" in report
    names = ["README.md", "batching.config", "models.config", "monitoring.config", "my_photos_ab", "my_photos_ba"]
    assert sorted(os.listdir(tmp_path / "exported")) == names
    image = random_images(1, 41, 34)
    for direction in model.directions:
        engine = Engine(tmp_path / "exported" / f"my_photos_{direction}" / "1")
        answer = engine.run("uint8", {"image": images.to_uint8(image)})["translated"]
        expected = model.translate(images.to_float(images.to_uint8(image)), direction)
        assert np.abs(answer.astype(int) - images.to_uint8(expected)).max() <= 1
        assert "static_32x48" in engine.signatures
        engine.close()


def test_one_direction_of_a_file_under_another_name(trained, tmp_path):
    model, run = trained
    model.save(tmp_path / "model.keras")
    assert export(tmp_path / "model.keras", tmp_path / "out", name="zebra", direction="ba", keep=1)[0] == 0
    assert export(run, tmp_path / "out", name="zebra", direction="ba", keep=1)[0] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == ["zebra_ba"]
    assert os.listdir(tmp_path / "out" / "zebra_ba") == ["2"]


# ---- other formats ----


needs_runtimes = pytest.mark.skipif(
    any(not formats.is_installed(package) for entry in formats.FORMATS.values() for package in entry.packages),
    reason="the packages of the extra export are not installed",
)


@needs_runtimes
def test_files_of_other_runtimes_answer_as_the_model(trained, tmp_path):
    model, run = trained
    names = ("tflite", "tflite_float16", "tflite_int8", "onnx")
    code, report = export(run, tmp_path, name="m", direction="ab", formats=", ".join(names))
    assert code == 0
    assert report.count("at most") == report.count("multiples of 4") == 4
    files = ["m_ab.onnx", "m_ab.tflite", "m_ab_float16.tflite", "m_ab_int8.tflite"]
    assert sorted(os.listdir(tmp_path)) == files
    image = random_images(2, 36, 52)
    expected = model.generator("ab")(image, training=False)
    for name in names:
        entry = formats.FORMATS[name]
        answer = entry.run(Path(f"{tmp_path / 'm_ab'}{entry.suffix}").read_bytes(), image)
        assert np.abs(answer - expected).max() <= entry.tolerance
    sizes = [os.path.getsize(tmp_path / f"m_ab{suffix}.tflite") for suffix in ("", "_float16", "_int8")]
    assert sizes[0] > sizes[1] > sizes[2]


@needs_runtimes
def test_a_file_that_answers_otherwise_is_refused_with_the_figure(trained, tmp_path, monkeypatch):
    entry = dataclasses.replace(formats.FORMATS["tflite_float16"], tolerance=1e-9)
    monkeypatch.setitem(formats.FORMATS, "tflite_float16", entry)
    (tmp_path / "m_ab_float16.tflite").write_bytes(b"an earlier one")
    code, report = export(trained[1], tmp_path, name="m", direction="ab", formats="tflite_float16,tflite")
    assert code == 1
    assert "m_ab: tflite_float16 is refused: it differs from the Keras model by" in report and "1e-09" in report
    assert sorted(os.listdir(tmp_path)) == ["m_ab.tflite", "m_ab_float16.tflite"]
    assert (tmp_path / "m_ab_float16.tflite").read_bytes() == b"an earlier one"


@pytest.mark.parametrize("outcome", [np.nan, 0.5])
def test_a_file_that_answers_nonsense_is_refused(outcome, trained, tmp_path, monkeypatch):
    entry = formats.Format(".x", 0.1, (), lambda network: b"", lambda data, images: np.full(images.shape, outcome))
    monkeypatch.setitem(formats.FORMATS, "x", entry)
    with pytest.raises(formats.FormatRefused, match="differs"):
        formats.export_format(trained[0].generator("ab"), tmp_path / "m", "x")
    assert not os.listdir(tmp_path)


def test_a_converter_that_fails_is_a_refusal(trained, tmp_path, monkeypatch):
    def fail(network):
        raise RuntimeError("no such operation\nmany lines of MLIR")

    monkeypatch.setitem(formats.FORMATS, "x", formats.Format(".x", 0.1, (), fail, None))
    with pytest.raises(formats.FormatRefused, match="x cannot be made of this network: no such operation$"):
        formats.export_format(trained[0].generator("ab"), tmp_path / "m", "x")


def test_formats_whose_packages_are_missing_are_found_before_anything_is_done(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ValueError, match=r"tf_cyclegan\[export\]"):
        export(trained[1], tmp_path / "out", formats="saved_model,onnx")
    assert not (tmp_path / "out").exists()


# ---- the configuration of TensorFlow Serving ----


def deployed(tmp_path, *names):
    for name in names:
        (tmp_path / name / "1").mkdir(parents=True, exist_ok=True)
    return write_deployment(tmp_path)


def test_the_list_of_models_is_what_tensorflow_serving_reads(tmp_path):
    model_server_config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    (tmp_path / "no model").mkdir()
    assert deployed(tmp_path, "a_ab", "a_ba") == []
    text = (tmp_path / "models.config").read_text()
    models = text_format.Parse(text, model_server_config.ModelServerConfig()).model_config_list.config
    assert [(model.name, model.base_path) for model in models] == [("a_ab", "/models/a_ab"), ("a_ba", "/models/a_ba")]
    assert all(model.model_platform == "tensorflow" for model in models)


def test_the_readme_has_the_command(tmp_path):
    deployed(tmp_path, "a_ab")
    text = (tmp_path / "README.md").read_text()
    assert "docker run" in text and "--model_config_file=/models/models.config" in text
    assert "v1/models/a_ab:predict" in text
    for flag, name in re.findall(r"--(\w+)=/models/([\w.]+)", text):
        assert (tmp_path / name).exists(), flag
    assert 'path: "/monitoring/prometheus/metrics"' in (tmp_path / "monitoring.config").read_text()
    # The last size of a batch must be the largest there is.
    batching = (tmp_path / "batching.config").read_text()
    assert batching.split()[-1] == re.search(r"max_batch_size { value: (\d+)", batching)[1]


def test_new_models_are_added_but_changed_files_are_left_alone(tmp_path):
    deployed(tmp_path, "a_ab")
    (tmp_path / "batching.config").write_text("max_batch_size { value: 2 }\n")
    assert deployed(tmp_path, "b_ab") == ["batching.config"]
    assert 'name: "b_ab"' in (tmp_path / "models.config").read_text()
    assert (tmp_path / "batching.config").read_text() == "max_batch_size { value: 2 }\n"


# ---- what is refused ----


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"formats": "saved_model,tflight"}, ["`formats`", "tflite", "tflight"]),
        ({"static_sizes": ("32by48",)}, ["`static_sizes`", "32by48"]),
        ({"static_sizes": ("8x48",)}, ["`static_sizes`", "16 pixels"]),
        ({"keep": 0}, ["`keep`", "0"]),
        ({"name": "a/b"}, ["`name`", "a/b"]),
        ({"direction": "up"}, ["`direction`", "ab, ba", "up"]),
    ],
)
def test_wrong_settings(settings, words, trained, tmp_path):
    with pytest.raises(ValueError) as error:
        export(trained[1], tmp_path / "out", **settings)
    assert all(word in str(error.value) for word in words), error.value
    assert not list(tmp_path.rglob("saved_model.pb"))


def test_models_that_cannot_be_read(trained, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "served" / "1").mkdir(parents=True)
    (tmp_path / "served" / "1" / "saved_model.pb").write_bytes(b"")
    (tmp_path / "broken.keras").write_bytes(b"cut off")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    expected = {
        "nowhere": "no such file",
        "empty": "must be a run folder",
        "served": "a SavedModel, which is exported already",
        "served/1": "a SavedModel, which is exported already",
        "broken.keras": "cannot be read: it is not a whole .keras file",
        "other.keras": "must hold a whole model",
    }
    for name, words in expected.items():
        with pytest.raises(ValueError, match="`model`") as error:
            export(tmp_path / name, tmp_path / "out")
        assert words in str(error.value)
    assert not (tmp_path / "out").exists()
