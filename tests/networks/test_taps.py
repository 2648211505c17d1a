"""Features from inside of networks, and blocks whose normalization takes a style."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images

from tf_cyclegan import CycleGAN, networks
from tf_cyclegan.networks import tapped
from tf_cyclegan.networks.blocks import Blocks

# Those that CUT compares: the mirrored image, two convolutions before their norm, two residual blocks.
CUT = ["stem_pad", "down1_conv", "down2_conv", "block1_add", "block5_add"]


@pytest.fixture(scope="module")
def generator():
    keras.utils.set_random_seed(0)
    return networks.resnet_generator(filters=4, residual_blocks=6)


def test_the_layers_that_cut_compares(generator):
    images = random_images(2)
    found = tapped(generator, CUT)(images)
    assert list(found) == CUT
    shapes = [(38, 38, 3), (16, 16, 8), (8, 8, 16), (8, 8, 16), (8, 8, 16)]
    assert [tuple(features.shape[1:]) for features in found.values()] == shapes
    np.testing.assert_array_equal(found["stem_pad"], np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)), "reflect"))
    encoder, transformer = generator.get_layer("encoder"), generator.get_layer("transformer")
    before = keras.Model(encoder.input, encoder.get_layer("down2_conv").output)
    np.testing.assert_allclose(found["down2_conv"], before(images), atol=1e-6)
    block5 = keras.Model(transformer.input, transformer.get_layer("block5_add").output)
    np.testing.assert_allclose(found["block5_add"], block5(encoder(images)), atol=1e-6)


def test_nothing_is_computed_past_the_last_and_weights_are_shared(generator):
    features = tapped(generator, ["block1_add", "down1_conv"])
    names = [layer.name for layer in features.layers]
    assert "block2_1_conv" not in names and "head_conv" not in names
    ours = {id(variable) for variable in generator.trainable_variables}
    assert {id(variable) for variable in features.trainable_variables} < ours
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(features(random_images())["block1_add"] ** 2)
    assert all(np.any(gradient) for gradient in tape.gradient(loss, features.trainable_variables))


@pytest.mark.parametrize(
    "function, settings, name",
    [
        ("resnet_generator", {"residual_blocks": 1}, "head_tanh"),
        ("unet_generator", {"image_shape": (32, 32, 3), "downsamplings": 3}, "down2_conv"),
        ("global_generator", {"residual_blocks": 1}, "block1_add"),
        ("local_enhancer", {"residual_blocks": 1, "downsamplings": 1}, "enhancer1_sum"),
        ("unit_encoder", {"residual_blocks": 1}, "encoder_block1_add"),
    ],
)
def test_any_generator_can_be_tapped(function, settings, name):
    network = getattr(networks, function)(filters=2, **settings)
    answer = network(random_images())
    assert np.isfinite(tapped(network, [name])(random_images())[name]).all()
    np.testing.assert_array_equal(network(random_images()), answer)


def test_a_tapped_generator_is_saved_and_loaded_as_before(generator, tmp_path):
    fresh = networks.resnet_generator(filters=4, residual_blocks=6)
    fresh.save(tmp_path / "network.keras")
    fresh.save_weights(tmp_path / "network.weights.h5")
    tapped(fresh, CUT)
    for network in (keras.models.load_model(tmp_path / "network.keras"), generator):
        network.load_weights(tmp_path / "network.weights.h5")
        np.testing.assert_array_equal(network(random_images()), fresh(random_images()))
    fresh.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(again(random_images()), fresh(random_images()))


def test_a_model_hides_what_it_taps(tmp_path):
    model = CycleGAN((32, 32, 3), filters=2, residual_blocks=1, discriminator_filters=2, pool_size=0)
    before = [variable.path for variable in model.variables]
    object.__setattr__(model, "features", tapped(model.generator_ab, ["block1_add"]))
    assert [variable.path for variable in model.variables] == before


def test_layers_that_are_not_there_are_listed(generator):
    with pytest.raises(
        ValueError, match="(?s)`names`.*stem_pad, .*block6_add.*Received: 'block9_add', the name of 0"
    ) as error:
        tapped(generator, ["stem_pad", "block9_add"])
    assert "\n" not in str(error.value)


@keras.saving.register_keras_serializable(package="tests")
class Adaptive(keras.layers.Layer):
    """Shifts each channel by a number of the style."""

    def call(self, inputs, style):
        return inputs + style[:, None, None, : inputs.shape[-1]]


class AdaptiveBlocks(Blocks):
    def normalization_layer(self, name):
        return Adaptive(dtype=self.dtype, name=name)


def test_a_residual_block_takes_its_normalization_with_a_style():
    features, style = keras.Input((None, None, 4)), keras.Input((8,))
    blocks = AdaptiveBlocks(style=style)
    network = keras.Model([features, style], blocks.residual_block(features, "block1"))
    assert [layer.name for layer in network.layers if isinstance(layer, Adaptive)] == [
        "block1_1_normalization",
        "block1_2_normalization",
    ]
    x, styles = random_images(2, 8, channels=4), np.zeros((2, 8), "float32")
    plain = network([x, styles])
    styles[1] = 1
    styled = network([x, styles])
    np.testing.assert_array_equal(styled[0], plain[0])
    assert not np.array_equal(styled[1], plain[1])
