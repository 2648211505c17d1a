"""Loading state dicts: what fits, what is dropped, what is named."""

import numpy as np
import pytest
from conftest import golden, random_images

from tf_cyclegan import networks
from tf_cyclegan.pytorch import load_state_dict


def generator(**settings):
    return networks.resnet_generator((None, None, 3), **{"filters": 6, **settings})


def test_wrappers_and_old_running_statistics_are_dropped():
    _, state = golden("resnet_9blocks_instance")
    plain, wrapped = generator(), generator()
    load_state_dict(plain, state)
    old = {
        "model.2.running_mean": np.zeros(6),
        "model.2.running_var": np.ones(6),
        "model.2.num_batches_tracked": np.array(3),
    }
    load_state_dict(wrapped, {f"module._orig_mod.{name}": value for name, value in {**state, **old}.items()})
    np.testing.assert_array_equal(plain(random_images()), wrapped(random_images()))


def test_zero_padding_moves_the_blocks_convolutions_up():
    _, state = golden("resnet_9blocks_instance")
    moved = {name.replace("conv_block.1.", "conv_block.0.").replace("conv_block.5.", "conv_block.3."): v
             for name, v in state.items()}  # fmt: skip
    reflect, zero = generator(), generator(padding="zero")
    load_state_dict(reflect, state)
    load_state_dict(zero, moved)
    for ours, theirs in zip(zero.weights, reflect.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "settings, key",
    [
        ({"filters": 4}, "model.1.weight"),
        ({"residual_blocks": 8}, "model.18.weight"),
        ({"residual_blocks": 10}, "model.19.conv_block.1.weight"),
        ({"dropout": 0.5}, "model.10.conv_block.6.weight"),
        ({"normalization": "batch"}, "model.2.weight"),
        ({"upsampling": "resize"}, "model.20.weight"),
    ],
)
def test_a_misfit_is_named_and_nothing_is_loaded(settings, key):
    _, state = golden("resnet_9blocks_instance")
    network = generator(**settings)
    before = [weight.numpy() for weight in network.weights]
    with pytest.raises(ValueError, match=r"`state`") as error:
        load_state_dict(network, state)
    assert key in str(error.value)
    for weight, value in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_left_over_weights_are_named():
    _, state = golden("patchgan_basic_instance")
    network = networks.patchgan_discriminator((None, None, 3), filters=8)
    with pytest.raises(ValueError, match="model.14.weight"):
        load_state_dict(network, {**state, "model.14.weight": np.zeros((1, 1, 4, 4))})


def test_other_models_are_refused():
    import keras

    with pytest.raises(ValueError, match="`network`"):
        load_state_dict(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), {})
