"""VGG19's features: Keras's network, its files, and what happens without them."""

import keras
import numpy as np
import pytest
from conftest import random_images

from tf_cyclegan.networks import vgg

RELUS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1")


def test_features_are_those_of_keras_for_colors_in_deviations_of_imagenet():
    theirs = keras.applications.VGG19(weights=None, include_top=False)
    ours = vgg.vgg19_features(weights=None)
    vgg._load(ours, [layer.get_weights() for layer in theirs.layers if isinstance(layer, keras.layers.Conv2D)])
    images = random_images(1, 32, 48)
    pixels = images[..., ::-1] * 57.63
    wanted = keras.Model(theirs.input, [theirs.get_layer(name).output for name in RELUS])(pixels)
    for found, expected in zip(ours(images), wanted, strict=True):
        np.testing.assert_allclose(57.63 * np.asarray(found), expected, atol=1e-3, rtol=1e-4)


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(vgg, "_BLOCKS", ((2, 2), (2, 2), (3, 4), (3, 4), (3, 1)))


def narrow_keras(top=False):
    """A network with the names of Keras's, and convolutions beyond those that are needed."""
    x = image = keras.Input((None, None, 3))
    for block, (filters, count) in enumerate(((2, 2), (2, 2), (3, 4), (3, 4), (3, 4)), start=1):
        for index in range(1, count + 1):
            settings = {"padding": "same", "name": f"block{block}_conv{index}", "bias_initializer": "normal"}
            x = keras.layers.Conv2D(filters, 3, **settings)(x)
    if top:
        x = keras.layers.Dense(4, name="fc1")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, x)


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("name", ["whole.keras", "only.weights.h5", "legacy.h5"])
def test_every_kind_of_file_is_read(narrow, tmp_path, name, top):
    source = narrow_keras(top)
    source.compile("adam", "mse")
    path = tmp_path / name
    (source.save_weights if name.startswith("only") else source.save)(path)
    network = vgg.vgg19_features(str(path))
    for ours, theirs in (("block1_1", "block1_conv1"), ("block4_4", "block4_conv4"), ("block5_1", "block5_conv1")):
        found = network.get_layer(f"{ours}_conv").get_weights()
        for array, wanted in zip(found, source.get_layer(theirs).get_weights(), strict=True):
            np.testing.assert_array_equal(array, wanted)


def test_files_that_are_not_vgg_are_named(narrow, tmp_path):
    text = tmp_path / "text.h5"
    text.write_text("no weights")
    with pytest.raises(ValueError, match="`weights`.*text.h5"):
        vgg.vgg19_features(str(text))
    with pytest.raises(ValueError, match="`weights`.*missing.h5"):
        vgg.vgg19_features(str(tmp_path / "missing.h5"))
    other = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(5, 3)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match=r"`weights`.*VGG19.*\(3, 3, 3, 5\)"):
        vgg.vgg19_features(str(tmp_path / "other.weights.h5"))


def test_a_failed_download_says_what_to_do(monkeypatch):
    def fail(**_):
        raise OSError("no route to\nhost")

    monkeypatch.setattr(keras.applications, "VGG19", fail)
    with pytest.raises(vgg.WeightsUnavailable, match="no route to host.*`perceptual_weights`.*`lambda_perceptual`"):
        vgg.vgg19_features()
    assert issubclass(vgg.WeightsUnavailable, ValueError)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16", "float64"])
def test_features_are_at_least_float32_and_nothing_is_trained(narrow, policy):
    network = vgg.vgg19_features(weights=None, dtype=policy)
    assert network.trainable_variables == []
    for features in network(random_images()):
        assert features.dtype == ("float64" if policy == "float64" else "float32")


def test_it_comes_back_and_stays_fixed(narrow, tmp_path):
    network = vgg.vgg19_features(weights=None, dtype="mixed_bfloat16")
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    assert again.trainable_variables == []
    np.testing.assert_array_equal(again(random_images())[4], network(random_images())[4])
