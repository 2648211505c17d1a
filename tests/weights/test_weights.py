"""Trained weights: bundled, in a folder, at an address."""

import functools
import http.server
import json
import shlex
import shutil
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import SMALL, random_images

import tf_cyclegan
from tf_cyclegan import UNIT, CycleGAN, Pix2Pix, Pix2PixHD, files, from_pretrained, save_pretrained
from tf_cyclegan.cli import main
from tf_cyclegan.models import PretrainedGenerator
from tf_cyclegan.settings.parsing import parsed_train
from tf_cyclegan.settings.train import train_settings
from tf_cyclegan.weights import bundled_folder, bundled_names, provenance, read_document
from tf_cyclegan.weights.trained_models import load_trained
from tf_cyclegan.weights.weight_folders import DOCUMENT, WEIGHTS

KINDS = [
    (CycleGAN, {**SMALL, "residual_blocks": 1, "upsampling": "resize", "lambda_cycle": (10.0, 5.0)}),
    (Pix2Pix, {**SMALL, "direction": "ba"}),
    (Pix2PixHD, {"image_shape": (32, 32, 1), "channels_b": 3, "label_classes": 4, "filters": 4, "downsamplings": 2,
                 "residual_blocks": 1, "enhancers": 1, "local_residual_blocks": 1, "stage_epochs": (1, 1),
                 "discriminator_filters": 4, "lambda_perceptual": 0.0}),
    (UNIT, {**SMALL, "variant": "paper"}),
    (UNIT, {**SMALL, "residual_blocks": 1, "scales": 1}),
]  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tf_cyclegan"


def small_cyclegan():
    model = CycleGAN(**SMALL, residual_blocks=1)
    for network in model.generators:
        for weight in network.weights:
            weight.assign(keras.random.normal(weight.shape, stddev=0.2))
    return model


@pytest.fixture
def folder(tmp_path):
    save_pretrained(small_cyclegan(), tmp_path / "small", license="free")
    return tmp_path / "small"


def change(folder, **values):
    document = json.loads((folder / DOCUMENT).read_text())
    (folder / DOCUMENT).write_text(json.dumps(document | values))


# ---- bundled ----


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_weights_translate_and_state_their_terms(name):
    model = from_pretrained(name)
    for direction in model.directions:
        translated = np.asarray(model.translate(random_images(1, 30, 64), direction))
        assert translated.shape == (1, 30, 64, 3) and np.abs(translated).max() <= 1
    folder = bundled_folder(name)
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 4e6
    document = read_document(folder)
    assert "MIT" in document["license"] and "Apache-2.0" in document["license"] and "Microsoft" in document["license"]
    assert "Permission is hereby granted" in (folder / "LICENSE").read_text()
    assert document["command"].startswith("tf-cyclegan train ") and "/" not in document["command"].split("--dataset")[0]


def test_the_bundled_emoji_are_a_cyclegan():
    assert "emoji" in bundled_names()
    assert isinstance(from_pretrained("emoji"), CycleGAN)


def test_a_folder_of_that_name_is_not_taken_for_the_bundled_weights(tmp_path, monkeypatch):
    (tmp_path / "emoji").mkdir()
    monkeypatch.chdir(tmp_path)
    assert isinstance(from_pretrained("emoji"), CycleGAN)
    with pytest.raises(ValueError, match="`name` must be a run folder"):
        from_pretrained("./emoji/")


def test_an_unknown_name_is_told_what_there_is():
    with pytest.raises(ValueError, match=r"(?s)`name` must be a run folder.*http.*bundled weights: emoji.*'emojis'"):
        from_pretrained("emojis")


# ---- folders ----


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_weights_come_back_rounded_to_half_precision(tmp_path, kind, settings):
    model = kind(**settings)
    model.to_last_stage()
    save_pretrained(model, tmp_path / "weights")
    again = from_pretrained(tmp_path / "weights")
    assert type(again) is kind and again.directions == model.directions
    for direction in model.directions:
        ours, theirs = model.generator(direction).get_weights(), again.generator(direction).get_weights()
        assert len(ours) == len(theirs) > 0
        for one, two in zip(ours, theirs, strict=True):
            assert two.dtype == np.float32
            np.testing.assert_array_equal(one.astype("float16").astype("float32"), two)
    left_out = {"name", "dtype"}
    configs = [json.loads(json.dumps(one.get_config())) for one in (model, again)]
    assert all(configs[0][name] == configs[1][name] for name in configs[0].keys() - left_out)


def test_the_document_says_what_it_is(tmp_path):
    model = small_cyclegan()
    save_pretrained(model, tmp_path, license="free", command="make", scores={"ab": {"l1": 0.1}}, value_range=(0.0, 4.0))
    document = read_document(tmp_path)
    assert document["model"] == "cyclegan" and document["settings"]["filters"] == 4
    assert document["license"] == "free" and document["command"] == "make" and document["scores"]["ab"] == {"l1": 0.1}
    assert document["value_range"] == [0.0, 4.0] and document["versions"]["tf_cyclegan"] == tf_cyclegan.__version__
    parameters = sum(network.count_params() for network in model.generators)
    assert document["weights"]["bytes"] == (tmp_path / WEIGHTS).stat().st_size < 2 * parameters + 10_000


def test_numbers_beyond_half_precision_stay_what_they_are(tmp_path):
    model = small_cyclegan()
    weight = model.generator_ab.weights[0]
    weight.assign(weight * 0 + 1e6)
    save_pretrained(model, tmp_path)
    np.testing.assert_array_equal(from_pretrained(tmp_path).generator_ab.weights[0], weight)


def test_precision_is_the_ambient_one_or_as_asked(tmp_path):
    save_pretrained(CycleGAN(**SMALL, residual_blocks=1, dtype="mixed_bfloat16"), tmp_path)
    assert from_pretrained(tmp_path).dtype_policy.name == "float32"
    assert from_pretrained(tmp_path, dtype="mixed_bfloat16").dtype_policy.name == "mixed_bfloat16"
    keras.config.set_dtype_policy("mixed_float16")
    assert from_pretrained(tmp_path).generator_ab.layers[1].compute_dtype == "float16"


def test_other_models_are_taken_with_their_own_precision(tmp_path):
    model = small_cyclegan()
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    model.save(tmp_path / "run" / "checkpoints" / "step_00000001.keras")
    model.save(tmp_path / "model.keras")
    images = random_images()
    for path in (tmp_path / "run", str(tmp_path / "model.keras")):
        np.testing.assert_array_equal(from_pretrained(path).translate(images), model.translate(images))
    with pytest.raises(ValueError, match="`dtype` must be None"):
        from_pretrained(tmp_path / "model.keras", dtype="float32")


def test_generators_that_no_settings_make_are_refused(tmp_path):
    model = small_cyclegan()
    with pytest.raises(ValueError, match="`model` must have generators that its settings make.*`generator_ab`"):
        save_pretrained(CycleGAN(**SMALL, generator_ab=model.generator_ab), tmp_path / "own")
    with pytest.raises(ValueError, match="`model` must be one of CycleGAN.*PretrainedGenerator"):
        save_pretrained(PretrainedGenerator(model.generator_ab), tmp_path / "own")
    assert not (tmp_path / "own").exists()
    save_pretrained(CycleGAN(**SMALL, residual_blocks=1, discriminator_a=model.discriminator_a), tmp_path / "own")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1]), "digest"),
        (lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1] + b"?"), "digest"),
        (lambda folder: (folder / WEIGHTS).unlink(), "weights.safetensors"),
        (lambda folder: (folder / DOCUMENT).write_text("{"), "model.json is damaged"),
        (lambda folder: (folder / DOCUMENT).write_text("[1]"), "model.json is damaged"),
        (lambda folder: (folder / DOCUMENT).write_text("[" * 100_000), "model.json is damaged"),
        (lambda folder: change(folder, format=2), "has the format 2, and this version"),
        (lambda folder: change(folder, model="gan"), "`model` must be one of cyclegan"),
        (lambda folder: change(folder, weights={}), "model.json is damaged"),
        (lambda folder: change(folder, settings={"fliters": 4}), "other settings.*fliters"),
        (lambda folder: change(folder, settings={**SMALL, "filters": 6, "residual_blocks": 1}), r"ab\.0\..*\(7, 7, 3"),
        (lambda folder: change(folder, settings={"generator_ab": {"class_name": "Lambda"}}), "numbers, text and lists"),
    ],
)  # fmt: skip
def test_damage_is_told_in_one_line(folder, damage, told):
    damage(folder)
    with pytest.raises(ValueError, match=rf"`name` cannot be read: .*{told}.*small") as error:
        from_pretrained(folder)
    assert "\n" not in str(error.value)


def test_a_loaded_model_trains_on(folder):
    model = from_pretrained(folder)
    model.compile(run_eagerly=True)
    losses = model.train_on_batch(random_images(), random_images(seed=1), return_dict=True)
    assert all(np.isfinite(value) for value in losses.values())


# ---- addresses ----


@pytest.fixture
def site(tmp_path):
    """A server of `tmp_path`, and the paths that were asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, text, *arguments):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def leftovers(cache):
    return [path for path in cache.rglob("*") if path.is_file()] if cache.exists() else []


def test_weights_of_an_address_are_downloaded_once(folder, site, cache):
    url, asked = site
    expected = from_pretrained(folder).translate(random_images())
    for address in (f"{url}/small", f"{url}/small/", f"{url}/small/{DOCUMENT}"):
        np.testing.assert_array_equal(from_pretrained(address).translate(random_images()), expected)
    assert asked == [f"/small/{DOCUMENT}", f"/small/{WEIGHTS}"]
    (kept,) = (cache / "weights").iterdir()
    (kept / WEIGHTS).write_bytes(b"damaged")
    np.testing.assert_array_equal(from_pretrained(f"{url}/small").translate(random_images()), expected)
    assert len(asked) == 4
    assert [path.name for path in (cache / "weights").iterdir()] == [kept.name]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: shutil.rmtree(folder), f"cannot be downloaded: HTTP 404: .*/small/{DOCUMENT}"),
        (lambda folder: (folder / WEIGHTS).unlink(), f"cannot be downloaded: HTTP 404: .*/small/{WEIGHTS}"),
        (lambda folder: (folder / DOCUMENT).write_text("<html>"), f"has no weights: .*/small/{DOCUMENT}"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"short"), f"has damaged weights: .*/small/{WEIGHTS}"),
    ],
)
def test_a_failed_download_leaves_nothing(folder, site, cache, damage, told):
    damage(folder)
    with pytest.raises(ValueError, match=f"^`name` {told}") as error:
        from_pretrained(f"{site[0]}/small")
    assert "\n" not in str(error.value) and leftovers(cache) == []


def test_an_address_where_nobody_answers(cache):
    with pytest.raises(ValueError, match=r"`name` cannot be downloaded: .*http://127\.0\.0\.1:9/emoji/model\.json"):
        from_pretrained("http://127.0.0.1:9/emoji")
    assert leftovers(cache) == []


def test_a_path_has_lost_a_slash_of_the_address(folder, site):
    model = load_trained(Path(f"{site[0]}/small"))
    assert isinstance(model, CycleGAN)


# ---- the cache ----


def test_a_cache_that_cannot_be_written_is_done_without(folder, site, cache):
    cache.parent.write_text("no folder")
    assert isinstance(from_pretrained(f"{site[0]}/small"), CycleGAN)
    assert cache.parent.read_text() == "no folder"


def test_cached_folders_are_whole_or_made_again(cache):
    calls = []

    def fill(folder):
        calls.append(folder)
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("content")

    path = files.cached_folder("some/thing", fill)
    assert path == cache / "some" / "thing" and files.cached_folder("some/thing", fill) == path
    assert len(calls) == 1
    (path / "deep" / "file").unlink()
    files.cached_folder("some/thing", fill)
    assert len(calls) == 2 and (path / "deep" / "file").read_text() == "content"
    assert [entry.name for entry in path.parent.iterdir()] == ["thing"]


def test_a_folder_that_cannot_be_filled_leaves_nothing(cache):
    def fail(folder):
        (folder / "file").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.cached_folder("some/thing", fail)
    assert leftovers(cache) == []


def test_who_is_second_takes_the_folder_of_the_first(cache):
    def slow(folder):
        (folder / "file").write_text("second")
        files.cached_folder("thing", lambda other: (other / "file").write_text("first"))

    assert (files.cached_folder("thing", slow) / "file").read_text() == "first"
    assert [entry.name for entry in cache.iterdir()] == ["thing"]


# ---- the command line ----


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "tiny"
    (folder / "checkpoints").mkdir(parents=True)
    small_cyclegan().save(folder / "checkpoints" / "step_00000000.keras")
    settings = train_settings(dataset="emoji", filters=4, residual_blocks=1, flip=False, output_dir=folder)
    (folder / "config.json").write_text(json.dumps(settings.resolved().to_dict()))
    (folder / "evaluation").mkdir()
    result = {"model": {"step": 0}, "data": {"name": "emoji", "split": "test", "images": {"a": 100, "b": 100}}}
    result["directions"] = {"ab": {"scores": {"l1": {"value": 0.1, "images": 100}}}}
    (folder / "evaluation" / "evaluation.json").write_text(json.dumps(result))
    return folder


def test_a_run_becomes_a_folder_of_weights(run, tmp_path, capsys):
    command = ["convert", str(run), "-o", str(tmp_path / "out"), "--format=pretrained"]
    assert main(command) == 0 and "MB" in capsys.readouterr().out
    document = read_document(tmp_path / "out")
    assert "MIT" in document["license"] and document["scores"]["ab"] == {"l1": 0.1}
    _, _, *flags = shlex.split(document["command"])
    asked, made = (train_settings(**json_config(run)), parsed_train(flags).resolved())
    assert {name for name in made.to_dict() if made.to_dict()[name] != asked.to_dict()[name]} == {"output_dir"}
    assert main(command) == 2 and "exists" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--license=mine"]) == 0
    assert read_document(tmp_path / "out")["license"] == "mine"
    assert main([*command[:2], "-o", str(tmp_path / "out.pth"), "--format=pretrained"]) == 2


def json_config(run):
    settings = json.loads((run / "config.json").read_text())
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


def test_scores_of_another_step_and_runs_on_other_data_say_nothing(run):
    assert provenance.scores_of(run, 7) is None
    assert provenance.terms_of({"dataset": "photos"}) is None and provenance.command_of({}) is None


def test_training_goes_on_from_bundled_weights(tmp_path):
    run = ["train", "--initial-model=emoji", f"--output-dir={tmp_path}", "--steps=1", "--batch-size=1"]
    assert main([*run, "--evaluate-every=0", "--samples=1"]) == 0
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["filters"] == read_document(bundled_folder("emoji"))["settings"]["filters"]


def test_bundled_weights_are_evaluated_and_exported(tmp_path, capsys):
    flags = ["--dataset=emoji", "--metrics=l1", "--count=2", "-o", str(tmp_path / "evaluation")]
    assert main(["evaluate", "emoji", *flags]) == 0
    result = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert result["model"]["checkpoint"] == "emoji" and result["directions"]["ba"]["scores"]["l1"]["images"] == 2
    assert main(["export", "emoji", str(tmp_path / "exported"), "--direction=ab"]) == 0
    assert (tmp_path / "exported" / "emoji_ab" / "1" / "saved_model.pb").is_file()


def test_a_command_names_no_setting_that_follows_from_another():
    settings = train_settings(epochs=3, decay_epochs=2).resolved().to_dict()
    assert settings["minutes"] is None
    assert (
        provenance.command_of(settings)
        == "tf-cyclegan train --model=cyclegan --dataset=emoji --epochs=3 --decay-epochs=2"
    )
