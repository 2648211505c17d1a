"""Sizes that the networks cannot be trained on, and modes that leave them open: found before the first step."""

import numpy as np
import pytest
from conftest import SMALL
from PIL import Image

from tf_cyclegan import CycleGAN, Pix2PixHD
from tf_cyclegan.cli import main
from tf_cyclegan.settings.train import train_settings

OPEN = {"image_shape": (None, None, 3), "pool_size": 0}
FLAGS = ["--filters=4", "--discriminator-filters=4", "--residual-blocks=1", "--samples=1", "--steps=1"]


@pytest.fixture
def photos(tmp_path):
    """Two domains, of which one has an image of 41x20 pixels, too low for the default discriminator."""
    for name, size in {"trainA/1": (40, 40), "trainB/1": (40, 40), "trainB/2": (41, 20)}.items():
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(path)
    return tmp_path / "photos"


def train(folder, *flags):
    return main(["train", f"--dataset={folder}", f"--output-dir={folder.parent / 'run'}", *FLAGS, *flags])


@pytest.mark.parametrize("flags", [["--resize-mode=none"], ["--resize-mode=scale_width", "--load-size=44"]])
def test_an_image_too_small_for_the_networks_is_found_before_the_first_step(flags, photos, capfd):
    assert train(photos, *flags) == 2
    error = capfd.readouterr().err
    assert "at least 24 pixels" in error and "trainB/2.png" in error and "20x4" in error and flags[0][:13] in error
    assert not (photos.parent / "run").exists()


def test_a_pool_of_differing_sizes_names_the_mode(photos, capfd):
    assert train(photos, "--resize-mode=none", "--pool-size=9") == 2
    assert "--pool-size must be 0 or left out with --resize-mode none" in capfd.readouterr().err
    assert train_settings(resize_mode="scale_width", model="cyclegan").resolved().of_model.pool_size == 0
    assert train_settings(model="cyclegan").resolved().of_model.pool_size == 50


def test_a_u_net_of_unknown_sizes_names_the_mode(photos, capfd):
    assert train(photos, "--resize-mode=none", "--generator-type=unet") == 2
    error = capfd.readouterr().err
    assert "--downsamplings must be given" in error and "--resize-mode=none" in error


@pytest.mark.parametrize(
    "settings, least", [({}, 24), ({"discriminator_layers": 1}, 8), ({"discriminator_type": "pixel"}, 5)]
)
def test_the_least_side_is_that_of_the_networks(settings, least):
    model = CycleGAN(**(SMALL | OPEN), residual_blocks=0, **settings)
    assert model.smallest_training_side == least


def test_discriminators_of_several_scales_take_any_size():
    settings = {"downsamplings": 1, "residual_blocks": 1, "lambda_perceptual": 0.0, "filters": 2}
    assert Pix2PixHD(image_shape=(None, None, 3), discriminator_filters=2, **settings).smallest_training_side < 8
