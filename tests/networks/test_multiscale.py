"""The discriminator of pix2pixHD: the reference's numbers, scales, widths."""

import keras
import numpy as np
import pytest
from conftest import channels_last, golden, random_images

from tf_cyclegan import networks
from tf_cyclegan.networks.layers.resizing import HalvingPooling2D
from tf_cyclegan.pytorch import load_state_dict

ANY = (None, None)


def small(**settings):
    return networks.multiscale_discriminator((*ANY, 3), **{"filters": 2, "layers": 2, **settings})


def as_sequences(state):
    """The names that the reference's training without feature matching writes."""
    indices = {0: 0, 1: 2, 2: 5, 3: 8, 4: 11}
    parts = {name: name.split(".") for name in state}
    return {
        f"layer{place[5]}.{indices[int(place[-1])]}.{part}": state[name] for name, (place, _, part) in parts.items()
    }


@pytest.mark.parametrize("names", [dict, as_sequences])
def test_features_and_scores_agree_with_the_reference(names):
    arrays, state = golden("pix2pixhd_multiscale_discriminator")
    network = networks.multiscale_discriminator((*ANY, 8), filters=6)
    load_state_dict(network, names(state))
    outputs = network(channels_last(arrays["input"]))
    assert [len(scale) for scale in outputs] == [5, 5]
    for i, scale in enumerate(outputs):
        for j, layer in enumerate(scale):
            wanted = channels_last(arrays[f"output/scale{i}/layer{j}"])
            np.testing.assert_allclose(layer, wanted, rtol=0, atol=1e-4, err_msg=f"scale {i}, layer {j}")


def test_each_scale_judges_half_the_size_of_the_one_before_with_weights_of_its_own():
    network = small(scales=3)
    images = random_images(2, 32, 48)
    outputs = network(images)
    halved = network(HalvingPooling2D()(images))
    assert len(outputs) == 3
    assert [scale[-1].shape for scale in outputs[1:]] == [scale[-1].shape for scale in halved[:2]]
    assert not np.allclose(outputs[1][-1], halved[0][-1])
    kernels = [network.get_layer(f"scale{scale}_patch1_conv").kernel for scale in range(3)]
    assert len({id(kernel) for kernel in kernels}) == 3


def test_widths_double_up_to_512():
    network = networks.multiscale_discriminator((*ANY, 3), filters=96, layers=4, scales=1)
    assert [features.shape[-1] for features in network.outputs] == [96, 192, 384, 512, 512, 1]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_scores_are_at_least_float32(policy):
    for *_, scores in small(dtype=policy)(random_images()):
        assert scores.dtype == ("float64" if policy == "float64" else "float32")


def test_it_comes_back_as_it_was(tmp_path):
    network = small(normalization="batch", dtype="mixed_bfloat16")
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    outputs = [network(random_images()), again(random_images())]
    for ours, theirs in zip(*map(keras.tree.flatten, outputs), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("size", [1, 7, 32])
def test_any_size_is_judged(size):
    for *_, scores in small()(random_images(1, size)):
        assert scores.shape[1] >= 1


@pytest.mark.parametrize(
    "wrong", [{"layers": 0}, {"scales": 0}, {"filters": -1}, {"normalization": "layer"}, {"image_shape": (8, 8)}]
)
def test_wrong_settings_are_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"`{name}`") as error:
        networks.multiscale_discriminator(**wrong)
    assert str(value) in str(error.value)
