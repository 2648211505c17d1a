"""The networks compute what PyTorch computes with the same weights, run side by side."""

import keras
import numpy as np
import pytest
from conftest import channels_last, golden, part, random_images
from reference.torch_cases import ANY, FAMILIES, TINY, TOLERANCE, random_network

from tf_cyclegan import networks
from tf_cyclegan.pytorch import load_state_dict, read_checkpoint, to_state_dict, write_checkpoint

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `parity`)")

from reference.torch_networks import torch_network  # noqa: E402


def loaded(function, settings, state):
    """PyTorch's network with all weights of a state dict, and no others."""
    state = {name: torch.as_tensor(value) for name, value in state.items()}
    module = torch_network(function, settings)
    module.load_state_dict(state, strict=True)
    return module


def answers(module, images):
    """PyTorch's outputs in a flat list, channels last, for images that have theirs last."""
    with torch.inference_mode():
        outputs = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return [channels_last(output.numpy()) for output in keras.tree.flatten(outputs)]


def assert_equal_outputs(network, module, images):
    ours = keras.tree.flatten(network(images, training=False))
    for mine, theirs in zip(ours, answers(module, images), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=TOLERANCE)
        assert theirs.size == 1 or theirs.std() > 0.02  # or anything would be close


# ---- PyTorch's side is the reference: its golden files load strictly and give its numbers ----

# File: builder, settings, prefix of its state dict, names of the input and of the outputs.
GOLDEN = {
    "resnet_9blocks_instance": ("resnet_generator", {"filters": 6}),
    "cyclegan_upsampling_generator": (
        "resnet_generator",
        {"filters": 8, "residual_blocks": 2, "upsampling": "resize"},
    ),
    "resnet_6blocks_batch_dropout": (
        "resnet_generator",
        {"filters": 8, "residual_blocks": 6, "normalization": "batch", "dropout": 0.5},
    ),
    "unet_256_batch_dropout": ("unet_generator", {"filters": 4}),
    "patchgan_basic_instance": ("patchgan_discriminator", {"filters": 8}),
    "patchgan_n2_batch": (
        "patchgan_discriminator",
        {"image_shape": (*ANY, 6), "filters": 8, "layers": 2, "normalization": "batch"},
    ),
    "pixel_batch": ("pixel_discriminator", {"image_shape": (*ANY, 6), "filters": 8, "normalization": "batch"}),
    "cyclegan_four_stride_discriminator": ("four_stride_discriminator", {"filters": 8}),
    "pix2pixhd_global_generator": ("global_generator", {"filters": 4, "downsamplings": 2, "residual_blocks": 3}),
    "pix2pixhd_local_enhancer": (
        "local_enhancer",
        {
            "image_shape": (*ANY, 5),
            "filters": 4,
            "downsamplings": 2,
            "residual_blocks": 2,
            "local_residual_blocks": 2,
        },
    ),
}
# This file's generator saturates tanh and amplifies rounding: PyTorch itself, run on another CPU, is 1.8e-4 away.
GOLDEN_TOLERANCE = {"resnet_6blocks_batch_dropout": 2e-4}


def assert_golden(function, settings, state, images, wanted, tolerance=TOLERANCE):
    # The files hold float16 values that float32 holds exactly.
    state = {name: np.asarray(value, "float32" if value.dtype == "float16" else None) for name, value in state.items()}
    outputs = answers(loaded(function, settings, state), channels_last(images))
    for output, theirs in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(output, channels_last(theirs), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_networks(name):
    arrays, state = golden(name)
    tolerance = GOLDEN_TOLERANCE.get(name, TOLERANCE)
    assert_golden(*GOLDEN[name], state, arrays["input"], [arrays["output"]], tolerance)


def test_golden_multiscale_discriminator():
    arrays, state = golden("pix2pixhd_multiscale_discriminator")
    wanted = [arrays[f"output/scale{scale}/layer{layer}"] for scale in range(2) for layer in range(5)]
    settings = {"image_shape": (*ANY, 8), "filters": 6}
    assert_golden("multiscale_discriminator", settings, state, arrays["input"], wanted)


def test_golden_unit_discriminator():
    arrays, state = golden("unit_v11_multiscale_discriminator")
    wanted = [arrays[f"output/scale{scale}"] for scale in range(3)]
    assert_golden("unit_discriminator", {"filters": 6}, state, arrays["fake"], wanted)


def test_golden_unit_encoder_and_decoder():
    arrays, state = golden("unit_v11_vae_generator")
    halves = {half: {name: value for name, value in state.items() if name.startswith(half)} for half in ("enc", "dec")}
    settings = {"filters": 6, "residual_blocks": 2}
    assert_golden("unit_encoder", settings, halves["enc"], arrays["input"], [arrays["latent"]])
    assert_golden("unit_decoder", settings, halves["dec"], arrays["latent"], [arrays["output_mean"]])


def test_golden_networks_with_shared_blocks():
    arrays, _ = golden("unit_shared_latent")
    encoder, decoder = part(arrays, "encoder/"), part(arrays, "generator/")
    assert_golden("shared_latent_encoder", {"filters": 6}, encoder, arrays["input"], [arrays["mean"]])
    assert_golden("shared_latent_decoder", {"filters": 6}, decoder, arrays["latent"], [arrays["output"]])


def test_golden_feature_encoder():
    """The file's features are averaged over each object."""
    arrays, state = golden("pix2pixhd_feature_encoder")
    state = {name: value.astype("float32") for name, value in state.items()}
    module = loaded("feature_encoder", {"filters": 4, "downsamplings": 2}, state)
    (features,) = answers(module, channels_last(arrays["input"]))
    instances, wanted = arrays["instance_map"][0, 0], channels_last(arrays["output"])[0]
    for instance in np.unique(instances):
        inside = instances == instance
        np.testing.assert_allclose(features[0][inside].mean(0), wanted[inside][0], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "function, settings, parameters",
    [
        ("resnet_generator", {}, 11_378_179),
        ("resnet_generator", {"residual_blocks": 6}, 7_837_699),
        ("unet_generator", {}, 54_413_955),
        ("patchgan_discriminator", {}, 2_764_737),
        ("patchgan_discriminator", {"image_shape": (*ANY, 6), "normalization": "batch"}, 2_768_705),
    ],
)
def test_the_references_number_of_parameters(function, settings, parameters):
    with torch.device("meta"):
        assert sum(weight.numel() for weight in torch_network(function, settings).parameters()) == parameters


# ---- our weights in PyTorch ----


def is_biased(settings):
    """PyTorch's CycleGAN and pix2pix have no biases without normalization."""
    return settings.get("normalization") != "none"


def question(network, height, width):
    channels = network.input_shape[-1]
    scale = 4 if network.name.endswith("decoder") else 1
    return random_images(1, height // scale, width // scale, channels)


def assert_parity(function, settings, *sizes):
    network = random_network(function, settings, is_biased(settings))
    module = loaded(function, settings, to_state_dict(network))
    for size in sizes:
        assert_equal_outputs(network, module, question(network, *size))


SQUARE, LARGE, WIDE = (64, 64), (256, 256), (128, 192)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_written_file_loads_strictly_and_gives_the_same_answers(family, tmp_path):
    function, settings = FAMILIES[family]
    network = random_network(function, settings)
    write_checkpoint(tmp_path / "net.pth", to_state_dict(network))
    module = loaded(function, settings, torch.load(tmp_path / "net.pth", weights_only=True))
    for size in (SQUARE, WIDE) if family == "resnet of the paper" else (SQUARE, LARGE, WIDE):
        assert_equal_outputs(network, module, question(network, *size))


# ---- every setting that changes the structure ----


@pytest.mark.parametrize("normalization", ["instance", "batch", "none"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("padding", ["reflect", "replicate", "zero"])
@pytest.mark.parametrize("upsampling", ["deconvolution", "resize"])
def test_settings_of_the_resnet(normalization, dropout, padding, upsampling):
    settings = {"normalization": normalization, "dropout": dropout, "padding": padding, "upsampling": upsampling}
    assert_parity("resnet_generator", {**TINY, **settings}, (32, 48))


@pytest.mark.parametrize("normalization", ["instance", "batch", "none"])
@pytest.mark.parametrize("downsamplings", [5, 7, 8])
def test_settings_of_the_unet(normalization, downsamplings):
    size = 2**downsamplings
    settings = {"filters": 2, "downsamplings": downsamplings, "normalization": normalization, "output_channels": 2}
    assert_parity("unet_generator", {"image_shape": (*ANY, 1), **settings}, (size, size), (size, 2 * size))


@pytest.mark.parametrize("function", ["resnet_generator", "unet_generator"])
def test_batch_normalization_by_the_images_own_statistics(function):
    depth = {"downsamplings": 5} if function == "unet_generator" else {}
    settings = {"filters": 2, "normalization": "batch", "inference_statistics": "image", **depth}
    assert_parity(function, {"image_shape": (*ANY, 3), **settings}, (32, 64))


# pix2pixHD has no networks without normalization.
PATCHES = {"patchgan_discriminator": ("instance", "batch", "none"), "multiscale_discriminator": ("instance", "batch")}


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "function, normalization", [(name, normalization) for name, choices in PATCHES.items() for normalization in choices]
)
def test_layers_of_the_patches(function, normalization, layers):
    settings = {"image_shape": (*ANY, 4), "filters": 2, "layers": layers, "normalization": normalization}
    assert_parity(function, settings, (64, 70))


@pytest.mark.parametrize("function", ["four_stride_discriminator", "pixel_discriminator"])
@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_normalizations_of_other_discriminators(function, normalization):
    assert_parity(function, {"image_shape": (*ANY, 3), "filters": 2, "normalization": normalization}, (64, 48))


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_scales(scales):
    settings = {"image_shape": (*ANY, 3), "filters": 2, "scales": scales}
    assert_parity("multiscale_discriminator", settings, (64, 50))
    assert_parity("unit_discriminator", {**settings, "layers": 2}, (64, 50))


@pytest.mark.parametrize("enhancers", [1, 2])
@pytest.mark.parametrize("normalization", ["instance", "batch"])
def test_enhancers(enhancers, normalization):
    settings = {**TINY, "downsamplings": 2, "local_residual_blocks": 2, "enhancers": enhancers}
    assert_parity("local_enhancer", {**settings, "normalization": normalization}, (32, 64))


@pytest.mark.parametrize("downsamplings", [1, 3])
def test_depths_of_the_global_generator(downsamplings):
    settings = {**TINY, "downsamplings": downsamplings, "normalization": "batch"}
    assert_parity("global_generator", settings, (32, 64))


def test_the_deviation_of_units_layer_normalization():
    """Of so few pixels it shows which they are divided by."""
    assert_parity("unit_decoder", TINY, (8, 12))


# ---- PyTorch's weights here ----


def random_module(function, settings):
    torch.manual_seed(0)
    module = torch_network(function, settings)
    for name, value in module.state_dict().items():
        if value.ndim == 4:
            torch.nn.init.kaiming_normal_(value)
        elif name.endswith("running_var"):
            torch.nn.init.uniform_(value, 0.7, 1.3)
        elif value.ndim == 1:
            value += 0.1 * torch.randn_like(value)
    return module


def assert_read(module, function, settings, path):
    network = getattr(networks, function)(**settings)
    load_state_dict(network, read_checkpoint(path))
    assert_equal_outputs(network, module, question(network, 64, 128))


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "resnet of the paper"])
def test_a_file_of_pytorch_gives_the_same_answers_here(family, tmp_path):
    function, settings = FAMILIES[family]
    module = random_module(function, settings)
    torch.save(module.state_dict(), tmp_path / "net.pth")
    assert_read(module, function, settings, tmp_path / "net.pth")


def save_legacy(state, path):
    torch.save(state, path, _use_new_zipfile_serialization=False)


def save_safetensors(state, path):
    pytest.importorskip("safetensors.torch", reason="safetensors is not installed").save_file(state, path)


@pytest.mark.parametrize("save, name", [(save_legacy, "net.pth"), (save_safetensors, "net.safetensors")])
def test_other_formats_of_pytorch_give_the_same_answers_here(save, name, tmp_path):
    function, settings = FAMILIES["resnet with batch normalization"]
    module = random_module(function, settings)
    save(module.state_dict(), tmp_path / name)
    assert_read(module, function, settings, tmp_path / name)


def test_names_and_layouts_survive_the_way_through_keras():
    settings = {**TINY, "normalization": "batch", "dropout": 0.5}
    theirs = random_module("resnet_generator", settings).state_dict()
    network = networks.resnet_generator(**settings)
    load_state_dict(network, {name: value.numpy() for name, value in theirs.items()})
    ours = to_state_dict(network)
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)


@pytest.mark.parametrize(
    "function, settings, message",
    [
        ("vgg19_features", {}, "`function`.*resnet_generator.*vgg19_features"),
        ("resnet_generator", {"depth": 3}, "`settings`.*filters.*depth=3"),
        ("resnet_generator", {"normalization": "affine_instance"}, "`normalization`.*affine_instance"),
        ("resnet_generator", {"convolution_padding": "same"}, "`convolution_padding`.*same"),
    ],
)
def test_what_no_reference_has_is_refused(function, settings, message):
    with pytest.raises(ValueError, match=message):
        torch_network(function, settings)
