"""The largest difference from PyTorch: none where there is none, and what the probe sees, drops and refuses."""

import importlib.util

import numpy as np
import pytest
from conftest import golden
from reference.probe import largest_difference
from reference.torch_cases import ANY, FAMILIES, TINY, TOLERANCE, random_network

from tf_cyclegan import networks
from tf_cyclegan.pytorch import load_state_dict, to_state_dict
from tf_cyclegan.weights.pytorch.architecture import Architecture

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `parity`)")


def probe(function, settings, change=lambda state: state, **kwargs):
    network = random_network(function, settings)
    return largest_difference(network, change(to_state_dict(network)), Architecture(function, settings), **kwargs)


@pytest.mark.parametrize("family", ["unet", "patchgan", "features", "multiscale", "UNIT's decoder", "shared encoder"])
def test_the_probe_finds_no_difference_between_equal_networks(family):
    assert 0 < probe(*FAMILIES[family]) < TOLERANCE


def test_the_probe_sees_one_changed_number():
    def changed(state):
        weight = state["model.10.conv_block.1.weight"].copy()
        weight[0, 0, 1, 1] += 0.5
        return {**state, "model.10.conv_block.1.weight": weight}

    assert probe("resnet_generator", TINY, changed) > 1e-3


def test_the_probe_sees_a_difference_that_only_the_border_has():
    """The Keras network pads with zeros where PyTorch mirrors; both have the same weights."""
    settings = {**TINY, "padding": "replicate"}
    network = random_network("resnet_generator", settings)
    assert largest_difference(network, to_state_dict(network), Architecture("resnet_generator", TINY)) > 1e-3


def test_the_probe_drops_what_has_no_effect():
    def wrapped(state):
        old = {"model.2.running_mean": np.zeros(2), "model.2.num_batches_tracked": np.array(3)}
        return {f"module._orig_mod.{name}": np.asarray(value, "float64") for name, value in {**state, **old}.items()}

    assert 0 < probe("resnet_generator", TINY, wrapped) < TOLERANCE


@pytest.mark.parametrize("function", ["unit_encoder", "unit_decoder"])
def test_the_probe_takes_its_half_of_a_file_in_half_precision(function):
    _, state = golden("unit_v11_vae_generator")
    settings = {"filters": 6, "residual_blocks": 2}
    network = getattr(networks, function)(**settings)
    load_state_dict(network, state)
    assert 0 < largest_difference(network, state, Architecture(function, settings)) < TOLERANCE


def test_the_probe_takes_sequences_of_layers():
    """As pix2pixHD's training without feature matching names them."""
    indices = {0: 0, 1: 2, 2: 5, 3: 8, 4: 11}

    def sequences(state):
        places = {name: name.split(".") for name in state}
        return {
            f"layer{place[5]}.{indices[int(place[-1])]}.{part}": state[name]
            for name, (place, _, part) in places.items()
        }

    assert 0 < probe("multiscale_discriminator", FAMILIES["multiscale"][1], sequences) < TOLERANCE


@pytest.mark.parametrize(
    "function, settings",
    [
        ("unet_generator", {"filters": 2}),  # 256 pixels and no others
        ("unet_generator", {"image_shape": (*ANY, 3), "filters": 2, "downsamplings": 2}),
        ("resnet_generator", {**TINY, "image_shape": (32, 40, 3)}),
        ("local_enhancer", {**TINY, "enhancers": 3}),  # 256 pixels at least
        ("unit_discriminator", {"image_shape": (*ANY, 3), "filters": 1, "layers": 5}),  # 125
        ("patchgan_discriminator", {"image_shape": (*ANY, 3), "filters": 1, "layers": 5}),
        ("multiscale_discriminator", {"image_shape": (*ANY, 3), "filters": 1, "layers": 1, "scales": 5}),
    ],
)
def test_the_probe_chooses_sizes_that_fit(function, settings):
    assert 0 < probe(function, settings) < TOLERANCE


def test_the_probe_refuses_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="`size`.*16.*40"):
        probe("unet_generator", {"image_shape": (*ANY, 3), "filters": 2, "downsamplings": 4}, size=40)


def test_the_probe_refuses_other_weights():
    settings = {**TINY, "residual_blocks": 2}
    network = networks.resnet_generator(**TINY)
    with pytest.raises(ValueError, match="`state`.*conv_block") as error:
        largest_difference(network, to_state_dict(networks.resnet_generator(**settings)))
    assert "\n" not in str(error.value)


def test_the_probe_is_repeatable_and_leaves_pytorch_as_it_was():
    threads, random = torch.get_num_threads(), torch.random.get_rng_state()
    network = random_network("resnet_generator", TINY)
    state = to_state_dict(network)
    first, again, other = (largest_difference(network, state, seed=s) for s in (3, 3, 4))
    assert first == again != other
    assert torch.get_num_threads() == threads and torch.equal(torch.random.get_rng_state(), random)


def test_without_pytorch_there_is_no_difference_to_tell(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == "torch" else find_spec(name))
    assert probe("resnet_generator", TINY) is None
