"""Training that begins with the networks of another model: all of them, with the settings that made them."""

import keras
import numpy as np
import pytest

from tf_cyclegan import CycleGAN, networks
from tf_cyclegan.cli import main
from tf_cyclegan.models import MODELS, PretrainedGenerator
from tf_cyclegan.settings.fields import facts_of
from tf_cyclegan.settings.models import MODEL_SETTINGS, CycleGANSettings
from tf_cyclegan.settings.train import TRAIN_FACTS, train_settings
from tf_cyclegan.training import initial_weights
from tf_cyclegan.training.initial_weights import copy_weights, load_initial_model
from tf_cyclegan.training.run_model import new_model

pytestmark = pytest.mark.eager
SMALL = {"image_shape": (32, 32, 3), "filters": 4, "residual_blocks": 1, "pool_size": 0, "discriminator_filters": 4}


def changed(model):
    """The same model with all weights drawn anew."""
    random = np.random.RandomState(0)
    for variable in model.trainable_variables:
        variable.assign(random.normal(0, 0.1, variable.shape))
    return model


@pytest.mark.parametrize(
    "kind, settings",
    [
        ("cyclegan", {**SMALL, "padding": "replicate", "normalization": "batch"}),
        ("cyclegan", {**SMALL, "convolution_padding": "same", "normalization": "affine_instance"}),
        ("cyclegan", {**SMALL, "generator_type": "unet", "downsamplings": 3}),
        ("cyclegan", {**SMALL, "generator_type": "unet", "upsampling": "resize", "full_size_skip": True}),
        ("cyclegan", {**SMALL, "downsamplings": 1}),
        ("pix2pix", {**SMALL, "generator_type": "resnet", "direction": "ba", "inference_statistics": "moving"}),
        (
            "pix2pix",
            {"image_shape": (32, 32, 3), "filters": 4, "discriminator_filters": 4, "dropout_placement": "paper"},
        ),
        (
            "pix2pixhd",
            {
                "image_shape": (32, 32, 2),
                "label_classes": 3,
                "instance_features": 2,
                "filters": 4,
                "downsamplings": 1,
                "residual_blocks": 1,
                "discriminator_filters": 4,
                "lambda_perceptual": 0,
            },
        ),
        ("unit", {**SMALL, "variant": "paper", "residual_blocks": 2}),
    ],
)
def test_a_run_begins_with_all_networks_of_a_model_of_its_kind(tmp_path, kind, settings):
    model = changed(MODELS[kind](**settings))
    model.save(tmp_path / "model.keras")
    config = train_settings(
        model=kind, initial_model=tmp_path / "model.keras", image_size="32", output_dir=tmp_path / "run"
    )
    initial_model, config = load_initial_model(config)
    begun = new_model(config.resolved(), "float32")
    copy_weights(initial_model, begun)
    of_networks = {name for name, facts in TRAIN_FACTS.items() if facts.networks}
    expected = {name: value for name, value in model.get_config().items() if name in of_networks}
    assert {name: begun.get_config()[name] for name in expected} == expected
    for ours, theirs in zip(begun.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=theirs.path)


@pytest.mark.parametrize(
    "made, direction, flags",
    [
        (lambda: networks.resnet_generator((None, None, 1), filters=4, residual_blocks=1), "ba", {}),
        (lambda: networks.resnet_generator(filters=4, residual_blocks=1, downsamplings=1), "ba", {}),
        (lambda: networks.unet_generator((None, None, 1), filters=4, downsamplings=3), "ba", {}),
        (
            lambda: networks.unet_generator(
                (None, None, 1), filters=4, downsamplings=2, upsampling="resize", full_size_skip=True
            ),
            "ab",
            {},
        ),
        (lambda: networks.unet_generator((None, None, 1), filters=4, downsamplings=5), "ab", {"model": "pix2pix"}),
        (lambda: networks.unet_generator((None, None, 1), filters=4, downsamplings=5), "ba", {"model": "pix2pix"}),
        (lambda: networks.resnet_generator(filters=4, residual_blocks=1), "ab", {"model": "pix2pix"}),
        (lambda: networks.resnet_generator(filters=4, residual_blocks=1), "ab", {"model": "pix2pixhd"}),
        (
            lambda: networks.resnet_generator(
                filters=4, residual_blocks=1, convolution_padding="same", normalization="affine_instance"
            ),
            "ab",
            {},
        ),
    ],
)
def test_a_run_begins_with_a_generator_alone(tmp_path, made, direction, flags):
    network = made()
    PretrainedGenerator(network, direction).save(tmp_path / "model.keras")
    config = train_settings(
        initial_model=tmp_path / "model.keras", image_size="32", output_dir=tmp_path / "run", **flags
    )
    initial_model, config = load_initial_model(config)
    model = new_model(config.resolved(), "float32")
    copy_weights(initial_model, model)
    for ours, theirs in zip(model.generator(direction).weights, network.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_that_was_added_begins_with_a_generator(monkeypatch):
    class Added(CycleGAN):
        """One of CONTRIBUTING's."""

    monkeypatch.setitem(MODELS, "added", Added)
    monkeypatch.setitem(MODEL_SETTINGS, "added", CycleGANSettings)
    model = PretrainedGenerator(networks.unet_generator((None, None, 1), filters=4, downsamplings=3))
    config = train_settings(model="added")
    initial_weights._check_model(model, config.model)
    found = initial_weights._network_settings(model, config.of_model, facts_of(config.of_model))
    assert (found["generator_type"], found["filters"], found["downsamplings"]) == ("unet", 4, 3)
    monkeypatch.setattr(Added, "generator_functions", ())
    with pytest.raises(ValueError, match="`model` must be cyclegan or pix2pix for a unet_generator"):
        initial_weights._check_model(model, config.model)


def test_a_run_that_has_begun_needs_the_initial_model_no_more(tmp_path):
    CycleGAN(**SMALL).save(tmp_path / "model.keras")
    flags = [f"--initial-model={tmp_path / 'model.keras'}", f"--output-dir={tmp_path / 'run'}", "--image-size=32"]
    flags += ["--batch-size=1", "--samples=1", "--pool-size=0"]
    assert main(["train", *flags, "--steps=1"]) == 0
    (tmp_path / "model.keras").unlink()
    assert main(["train", *flags, "--steps=2"]) == 0
    assert main(["train", *flags, "--steps=2", f"--output-dir={tmp_path / 'other'}"]) == 2


def test_training_begins_with_imported_networks(tmp_path):
    model = CycleGAN(**{**SMALL, "filters": 5}, lambda_identity=0.5)
    model.save(tmp_path / "model.keras")
    flags = [f"--initial-model={tmp_path / 'model.keras'}", f"--output-dir={tmp_path / 'run'}", "--image-size=32"]
    code = main(["train", *flags, "--steps=1", "--batch-size=1", "--learning-rate=1e-30", "--samples=1"])
    assert code == 0
    (path,) = (tmp_path / "run" / "checkpoints").glob("step_*.keras")
    trained = keras.models.load_model(path)
    assert trained.filters == 5 and trained.upsampling == "deconvolution"
    for ours, theirs in zip(trained.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-20)


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--filters=6"], "--filters must be 4, as in --initial-model"),
        (["--model=pix2pix"], "--model must be cyclegan"),
    ],
)
def test_settings_against_the_initial_model_are_named(tmp_path, capsys, flags, told):
    CycleGAN(**SMALL).save(tmp_path / "model.keras")
    code = main(["train", f"--initial-model={tmp_path / 'model.keras'}", "--dry-run", *flags])
    assert code == 2 and told in capsys.readouterr().err
