"""The generators of pix2pixHD: the reference's numbers, sizes, shared layers, settings."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import channels_last, check_named, golden, random_images

from tf_cyclegan import networks
from tf_cyclegan.networks.coarse_to_fine import enhancer_layers
from tf_cyclegan.networks.instance_maps import InstanceMeans
from tf_cyclegan.networks.layers.resizing import BilinearEnlargement2D, HalvingPooling2D
from tf_cyclegan.pytorch import load_state_dict

ANY = (None, None)
NETWORKS = {
    "pix2pixhd_global_generator": lambda: networks.global_generator(
        (*ANY, 3), filters=4, downsamplings=2, residual_blocks=3
    ),
    "pix2pixhd_local_enhancer": lambda: networks.local_enhancer(
        (*ANY, 5), filters=4, downsamplings=2, residual_blocks=2, local_residual_blocks=2
    ),
}
SMALL = {"filters": 2, "downsamplings": 2, "residual_blocks": 1}
BUILDERS = {
    "global_generator": lambda **s: networks.global_generator((*ANY, 3), **{**SMALL, **s}),
    "local_enhancer": lambda **s: networks.local_enhancer((*ANY, 3), **{**SMALL, "local_residual_blocks": 1, **s}),
    "feature_encoder": lambda **s: networks.feature_encoder((*ANY, 3), **{"filters": 2, "downsamplings": 2, **s}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_generators_agree_with_the_reference(name):
    arrays, state = golden(name)
    network = NETWORKS[name]()
    load_state_dict(network, state)
    output = network(channels_last(arrays["input"]), training=False)
    np.testing.assert_allclose(output, channels_last(arrays["output"]), rtol=0, atol=1e-4)


def test_encoder_and_means_agree_with_the_reference():
    arrays, state = golden("pix2pixhd_feature_encoder")
    encoder = networks.feature_encoder((*ANY, 3), filters=4, downsamplings=2)
    load_state_dict(encoder, state)
    instances = tf.constant(arrays["instance_map"][:, 0])
    output = InstanceMeans()(encoder(channels_last(arrays["input"])), instances)
    np.testing.assert_allclose(output, channels_last(arrays["output"]), rtol=0, atol=1e-4)


def test_a_misfit_is_named():
    _, state = golden("pix2pixhd_local_enhancer")
    with pytest.raises(ValueError, match="model1_2"):
        load_state_dict(
            networks.local_enhancer((*ANY, 5), filters=4, downsamplings=2, residual_blocks=2, local_residual_blocks=1),
            state,
        )


def test_biases_beside_batch_normalization_are_loaded():
    """The reference has them: dropped, they would shift what the moving averages are averages of."""
    arrays, state = golden("pix2pixhd_global_generator")
    network = networks.global_generator((*ANY, 3), filters=4, downsamplings=2, residual_blocks=0, normalization="batch")
    prefixes = {"stem": 1, "down1": 4, "down2": 7, "up1": 10, "up2": 13}
    source = {1: 1, 4: 4, 7: 7, 10: 13, 13: 16}
    wanted = {}
    for index in prefixes.values():
        for part in ("weight", "bias"):
            wanted[f"model.{index}.{part}"] = state[f"model.{source[index]}.{part}"]
        channels = len(wanted[f"model.{index}.bias"])
        for part in ("weight", "bias", "running_mean", "running_var"):
            wanted[f"model.{index + 1}.{part}"] = np.full(channels, 0.5)
    wanted |= {f"model.17.{part}": state[f"model.20.{part}"] for part in ("weight", "bias")}
    load_state_dict(network, wanted)
    np.testing.assert_array_equal(network.get_layer("up1_conv").bias, wanted["model.10.bias"])


@pytest.mark.parametrize("enhancers", [1, 2])
def test_the_coarse_network_is_the_global_generator_inside(enhancers):
    settings = {**SMALL, "local_residual_blocks": 1, "enhancers": enhancers}
    coarse, fine = networks.coarse_and_fine((*ANY, 3), **settings)
    images = random_images(2, 32, 48)
    halved = images
    for _ in range(enhancers):
        halved = HalvingPooling2D()(halved)
    alone = networks.global_generator((*ANY, 3), **{**SMALL, "filters": 2 * 2**enhancers})
    alone.set_weights(coarse.get_weights())
    np.testing.assert_allclose(coarse(images), alone(halved), atol=1e-6)
    assert fine(images).shape == (2, 32, 48, 3)
    assert all(coarse.get_layer(layer.name) is layer for layer in fine.layers if layer.name.startswith(("down", "up")))


def test_enhancers_halve_the_width_and_only_they_are_theirs():
    fine = networks.local_enhancer((*ANY, 3), **SMALL, enhancers=2, local_residual_blocks=0)
    widths = [fine.get_layer(f"{part}_conv").filters for part in ("stem", "enhancer1_stem", "enhancer2_stem")]
    assert widths == [8, 4, 2]
    ours = {id(v) for layer in enhancer_layers(fine) for v in layer.trainable_variables}
    others = [layer.name for layer in fine.layers for v in layer.trainable_variables if id(v) not in ours]
    assert others == ["stem_conv", "down1_conv", "down2_conv", "block1_1_conv", "block1_2_conv", "up1_conv", "up2_conv"]


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_networks_answer_in_at_least_float32(name, policy):
    output = BUILDERS[name](dtype=policy)(random_images())
    assert output.dtype == ("float64" if policy == "float64" else "float32")
    assert np.isfinite(output).all()


@pytest.mark.parametrize("name", BUILDERS)
def test_networks_take_the_ambient_policy_and_come_back(name, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = BUILDERS[name]()
    keras.config.set_dtype_policy("float32")
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(again(random_images()), network(random_images()))


@pytest.mark.parametrize("normalization", ["instance", "batch", "none"])
@pytest.mark.parametrize("name", BUILDERS)
def test_networks_keep_the_size(name, normalization):
    output = np.asarray(BUILDERS[name](normalization=normalization, output_channels=2)(random_images(2, 16, 40)))
    assert output.shape == (2, 16, 40, 2) and np.abs(output).max() <= 1


def test_an_image_that_one_pixel_is_left_of_is_translated():
    generator = networks.global_generator((*ANY, 3), filters=2, downsamplings=3, residual_blocks=2)
    for height, width in ((8, 8), (8, 16), (16, 8)):
        assert generator(random_images(1, height, width)).shape == (1, height, width, 3)
        traced = tf.function(generator, input_signature=[tf.TensorSpec((None, None, None, 3))])
        np.testing.assert_allclose(
            traced(random_images(1, height, width)), generator(random_images(1, height, width)), atol=1e-5
        )


@pytest.mark.parametrize("height, width", [(4, 6), (5, 7), (1, 1)])
def test_halving_averages_what_is_inside(height, width):
    images = random_images(1, height, width)
    halved = np.asarray(HalvingPooling2D()(images))
    assert halved.shape == (1, -(-height // 2), -(-width // 2), 3)
    for row in range(halved.shape[1]):
        for column in range(halved.shape[2]):
            window = images[0, max(2 * row - 1, 0) : 2 * row + 2, max(2 * column - 1, 0) : 2 * column + 2]
            np.testing.assert_allclose(halved[0, row, column], window.mean((0, 1)), atol=1e-6)


def test_enlargement_is_bilinear_and_of_any_size():
    images = tf.constant([0.0, 1.0], shape=(1, 1, 2, 1))
    enlarge = tf.function(BilinearEnlargement2D(2), input_signature=[tf.TensorSpec((None, None, None, 1))])
    np.testing.assert_allclose(np.asarray(enlarge(images))[0, :, :, 0], [[0, 0.25, 0.75, 1]] * 2)


@pytest.mark.parametrize(
    "builder, wrong",
    [
        ("global_generator", {"image_shape": (40, 32, 3)}),
        ("global_generator", {"image_shape": (16, 32, 3)}),
        ("global_generator", {"downsamplings": 0}),
        ("global_generator", {"residual_blocks": -1}),
        ("global_generator", {"normalization": "layer"}),
        ("local_enhancer", {"image_shape": (48, 64, 3)}),
        ("local_enhancer", {"enhancers": 0}),
        ("local_enhancer", {"local_residual_blocks": 1.5}),
        ("local_enhancer", {"filters": 0}),
        ("feature_encoder", {"output_channels": 0}),
    ],
)
def test_wrong_settings_are_named(builder, wrong):
    check_named(getattr(networks, builder), wrong)


def test_impossible_sizes_say_what_to_change():
    with pytest.raises(ValueError, match="multiples of 32.*`downsamplings` or `enhancers`"):
        networks.local_enhancer((48, 64, 3))
