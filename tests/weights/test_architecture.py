"""Networks out of files: the architecture by names and shapes, the weights there and back."""

import functools

import numpy as np
import pytest
from conftest import golden, part, random_images

from tf_cyclegan import networks
from tf_cyclegan.pytorch import infer, load_state_dict, network_from_state_dict, to_state_dict
from tf_cyclegan.weights.pytorch.architecture import architecture_of

ANY = (None, None, 3)
NETWORKS = {
    "resnet": ("resnet_generator", {}),
    "resnet of 6 blocks, 1 to 4 channels": (
        "resnet_generator",
        {"image_shape": (None, None, 1), "output_channels": 4, "residual_blocks": 6},
    ),
    "resnet with dropout": ("resnet_generator", {"dropout": 0.5}),
    "resnet padded by zeros": ("resnet_generator", {"padding": "zero", "residual_blocks": 1}),
    "resnet padded by zeros, dropout": ("resnet_generator", {"padding": "zero", "dropout": 0.5}),
    "resnet with batch normalization": ("resnet_generator", {"normalization": "batch"}),
    "resnet with batch normalization, dropout": ("resnet_generator", {"normalization": "batch", "dropout": 0.5}),
    "resnet without normalization": ("resnet_generator", {"normalization": "none"}),
    "resnet that enlarges": ("resnet_generator", {"upsampling": "resize", "residual_blocks": 2}),
    "unet": ("unet_generator", {"image_shape": ANY}),
    "unet of 5 steps": ("unet_generator", {"image_shape": ANY, "downsamplings": 5, "normalization": "instance"}),
    "unet of 2 steps": ("unet_generator", {"image_shape": ANY, "downsamplings": 2, "normalization": "none"}),
    "global": ("global_generator", {"residual_blocks": 2}),
    "global with batch normalization": ("global_generator", {"downsamplings": 2, "normalization": "batch"}),
    "encoder": ("global_generator", {"residual_blocks": 0, "downsamplings": 3}),
    "enhancer": ("local_enhancer", {"residual_blocks": 1, "downsamplings": 2}),
    "two enhancers": (
        "local_enhancer",
        {"residual_blocks": 2, "downsamplings": 1, "enhancers": 2, "local_residual_blocks": 1},
    ),
    "patchgan": ("patchgan_discriminator", {"image_shape": ANY}),
    "patchgan of 1 layer": ("patchgan_discriminator", {"image_shape": ANY, "layers": 1, "normalization": "batch"}),
    "patchgan of 5 layers": ("patchgan_discriminator", {"image_shape": ANY, "layers": 5, "normalization": "none"}),
    "four strides": ("four_stride_discriminator", {"image_shape": ANY}),
    "pixel": ("pixel_discriminator", {"image_shape": ANY}),
    "pixel with batch normalization": ("pixel_discriminator", {"image_shape": ANY, "normalization": "batch"}),
    "scales": ("multiscale_discriminator", {"image_shape": (None, None, 6), "scales": 3, "layers": 2}),
    "unit encoder": ("unit_encoder", {"residual_blocks": 2}),
    "unit decoder": ("unit_decoder", {"residual_blocks": 1}),
    "unit discriminator": ("unit_discriminator", {"image_shape": ANY, "scales": 2, "layers": 3}),
    "shared encoder": ("shared_latent_encoder", {}),
    "shared decoder": ("shared_latent_decoder", {"residual_blocks": 1}),
}


@functools.cache
def network(name):
    """Made once for all tests, which only read it."""
    function, settings = NETWORKS[name]
    made = getattr(networks, function)(**{"filters": 4, **settings})
    random = np.random.RandomState(1)
    # Without normalization the reference has no biases but at the ends: those here would make it another network.
    unbiased = settings.get("normalization") == "none"
    for weight in made.weights:  # also what begins at 0 or 1: one in the wrong place must show
        if not (unbiased and weight.name == "bias"):
            weight.assign(random.uniform(0.1, 0.5, weight.shape))
    return made


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back_from_its_state_dict(name):
    made = network(name)
    state = to_state_dict(made)
    found = infer(state)
    function, settings = NETWORKS[name]
    assert found.function == function
    assert {key: found.settings.get(key, value) for key, value in settings.items()} == settings
    again = network_from_state_dict(state)
    for ours, theirs in zip(again.weights, made.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=theirs.path)


FILES = [
    "resnet_9blocks_instance",
    "cyclegan_upsampling_generator",
    "resnet_6blocks_batch_dropout",
    "unet_256_batch_dropout",
    "patchgan_basic_instance",
    "patchgan_n2_batch",
    "pixel_batch",
    "cyclegan_four_stride_discriminator",
    "pix2pixhd_global_generator",
    "pix2pixhd_local_enhancer",
    "pix2pixhd_multiscale_discriminator",
    "pix2pixhd_feature_encoder",
    "unit_shared_latent/encoder",
    "unit_shared_latent/generator",
    "unit_v11_multiscale_discriminator",
]
# What no network computes with: the count of a normalization's batches, and biases that its mean removes.
WITHOUT_EFFECT = ("num_batches_tracked", "running_mean", "running_var", "bias")


@pytest.mark.parametrize("name", FILES)
def test_golden_files_come_back_bit_equal(name):
    name, _, network_name = name.partition("/")
    arrays, state = golden(name)
    state = state or part(arrays, f"{network_name}/")
    written = to_state_dict(network_from_state_dict(state))
    assert sorted(written) == sorted(state)
    for key, value in state.items():
        same = np.array_equal(written[key], value.astype("float32"))
        assert same or (key.endswith(WITHOUT_EFFECT) and not written[key].any()), key
        assert written[key].shape == value.shape


def test_the_halves_of_unit_are_found_in_one_file():
    _, state = golden("unit_v11_vae_generator")
    encoder = network_from_state_dict(state)
    decoder = network_from_state_dict({key: value for key, value in state.items() if key.startswith("dec.")})
    written = to_state_dict(encoder) | to_state_dict(decoder)
    assert sorted(written) == sorted(state)


def test_a_file_that_claims_a_huge_network_takes_no_memory():
    state = {name: np.broadcast_to(np.zeros(()), (20000, 3, 7, 7)) for name in ["model.1.weight"]}
    claimed = {"model.4.weight": (40000, 20000, 3, 3), "model.7.weight": (80000, 40000, 3, 3)}
    claimed |= {f"model.10.conv_block.{index}.weight": (80000, 80000, 3, 3) for index in (1, 5)}
    claimed |= {"model.17.weight": (3, 20000, 7, 7)}  # with no step up
    state |= {name: np.broadcast_to(np.float32(0), shape) for name, shape in claimed.items()}
    with pytest.raises(ValueError, match="`state` must have 'model"):
        network_from_state_dict(state)


def test_settings_given_take_the_place_of_those_found():
    state = to_state_dict(network("resnet"))
    assert infer(state).settings["padding"] == "reflect"
    made = network_from_state_dict(state, padding="replicate", name="mirrored")
    assert made.name == "mirrored" and "Replication" in type(made.get_layer("transformer").layers[1]).__name__
    with pytest.raises(ValueError, match="`scales` is no setting"):
        network_from_state_dict(state, scales=2)


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"filters": 6}, "filters=4, the network has 6"),
        ({"residual_blocks": 8}, "residual_blocks=9, the network has 8"),
        ({"dropout": 0.5}, "dropout=0.0, the network has 0.5"),
        ({"normalization": "batch"}, "normalization='instance', the network has 'batch'"),
        ({"image_shape": (None, None, 1)}, "image_shape=(None, None, 3), the network has (None, None, 1)"),
        ({"output_channels": 1}, "output_channels=3, the network has 1"),
        ({"padding": "zero"}, "padding='reflect', the network has 'zero'"),
        ({"upsampling": "resize"}, "upsampling='deconvolution', the network has 'resize'"),
    ],
)
def test_a_misfit_is_explained_by_its_setting(settings, told):
    state = to_state_dict(network("resnet"))
    with pytest.raises(ValueError, match="model.") as error:
        load_state_dict(networks.resnet_generator(**{"filters": 4, **settings}), state)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_a_file_of_another_network_is_named():
    with pytest.raises(ValueError, match="is of a patchgan_discriminator, the network is a resnet_generator"):
        load_state_dict(networks.resnet_generator(filters=4), to_state_dict(network("patchgan")))


@pytest.mark.parametrize(
    "state, told",
    [
        ({"conv1.weight": np.zeros((4, 3, 7, 7))}, "'conv1.weight'"),
        ({"model.7.filt": np.zeros((4, 1, 3, 3)), "model.1.weight": np.zeros((4, 3, 7, 7))}, "CUT"),
        ({"model.1.weight": np.zeros((4, 3, 7, 7))}, "`state`"),
        ({"model.1.weight": np.zeros(())}, "`state`"),
        ({"net.0.bias": np.zeros(4)}, "net.0.weight"),
        ({"scale0_layer0.0.weight": np.zeros((4, 3))}, "`state`"),
        (
            {"model.1.weight": np.zeros((4, 3, 7, 7)), "model99999_1.1.weight": np.zeros((4, 3, 7, 7))},
            "model1_1.1.weight",
        ),
        ({}, "`state`"),
    ],
)
def test_strange_states_are_refused(state, told):
    with pytest.raises(ValueError, match="`state`") as error:
        network_from_state_dict(state)
    assert told in str(error.value)


def test_biases_that_batch_normalization_does_not_remove_are_not_dropped():
    state = to_state_dict(network("resnet with batch normalization"))
    with pytest.raises(ValueError, match=r"model.1.bias"):
        load_state_dict(
            networks.resnet_generator(filters=4, normalization="batch"), {**state, "model.1.bias": np.ones(4)}
        )


def test_the_same_is_computed_again():
    made = networks.resnet_generator(filters=4, residual_blocks=2, normalization="batch", dropout=0.5)
    again = network_from_state_dict(to_state_dict(made))
    np.testing.assert_array_equal(made(random_images()), again(random_images()))


@pytest.mark.parametrize(
    "made",
    [
        lambda: networks.resnet_generator(filters=4, residual_blocks=1, convolution_padding="same"),
        lambda: networks.patchgan_discriminator(filters=4, convolution_padding="same"),
        lambda: networks.resnet_generator(filters=4, residual_blocks=1, normalization="affine_instance"),
        lambda: networks.unet_generator((16, 16, 3), filters=4, downsamplings=2, upsampling="resize"),
        lambda: networks.unet_generator((16, 16, 3), filters=4, downsamplings=2, full_size_skip=True),
    ],
)
def test_networks_that_pytorch_does_not_have_are_refused(made):
    with pytest.raises(ValueError, match="`network` must be one that PyTorch"):
        to_state_dict(made())


@pytest.mark.parametrize(
    "made",
    [networks.resnet_generator, networks.global_generator, networks.pixel_discriminator, networks.unet_generator],
)
def test_biases_that_pytorch_has_no_place_for_are_refused(made):
    network = made((256, 256, 3), filters=2, normalization="none")
    instance = to_state_dict(made((256, 256, 3), filters=2, normalization="instance"))
    biased = {name: value + 1 if name.endswith("bias") else value for name, value in instance.items()}
    with pytest.raises(ValueError, match="without normalization.*normalization='instance', the network has 'none'"):
        load_state_dict(network, biased)
    load_state_dict(network, to_state_dict(network))
    middle = ("down2_conv/bias", "pixel2_conv/bias")
    bias = next(weight for weight in network.weights if weight.path.endswith(middle))
    bias.assign(np.ones(bias.shape))
    with pytest.raises(ValueError, match="without normalization"):
        to_state_dict(network)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_architecture_of_a_network_is_read_from_its_layers(name):
    function, settings = NETWORKS[name]
    found = architecture_of(network(name))
    defaults = {key: value.default for key, value in found.parameters.items()}
    assert found.function == function
    for key, value in {**defaults, "filters": 4, **settings}.items():
        shallow = key.startswith("dropout") and settings.get("downsamplings", 8) <= 5  # a U-Net without any
        if key not in ("image_shape", "initializer", "name", "dtype") and not shallow:
            assert found.settings.get(key, defaults[key]) == value, key


@pytest.mark.parametrize(
    "function, settings",
    [
        ("resnet_generator", {"padding": "replicate", "dropout": 0.2, "normalization": "affine_instance"}),
        ("resnet_generator", {"padding": "zero", "normalization": "batch", "inference_statistics": "image"}),
        ("resnet_generator", {"convolution_padding": "same", "upsampling": "resize"}),
        ("unet_generator", {"downsamplings": 7, "dropout_placement": "paper", "inference_statistics": "image"}),
        ("unet_generator", {"downsamplings": 6, "dropout": 0.0, "normalization": "none"}),
        ("unet_generator", {"downsamplings": 3, "upsampling": "resize", "output_channels": 5}),
        ("unet_generator", {"downsamplings": 2, "upsampling": "resize", "full_size_skip": True}),
        ("unet_generator", {"downsamplings": 2, "full_size_skip": True, "image_shape": (None, None, 1)}),
        ("patchgan_discriminator", {"convolution_padding": "same", "normalization": "none"}),
        ("multiscale_discriminator", {"normalization": "none"}),
    ],
)
def test_what_only_layers_show_is_found(function, settings):
    made = getattr(networks, function)(**{"image_shape": ANY, "filters": 2, **settings})
    found = architecture_of(made).settings
    assert {name: found[name] for name in settings} == settings
