"""What the builders promise: sizes, parts, settings, initialization."""

import keras
import numpy as np
import pytest
from conftest import check_named, random_images

from tf_cyclegan import UNIT, networks

BUILDERS = {
    "resnet_generator": lambda **s: networks.resnet_generator((None, None, 3), filters=4, residual_blocks=1, **s),
    "unet_generator": lambda **s: networks.unet_generator((None, None, 3), filters=4, downsamplings=4, **s),
    "patchgan_discriminator": lambda **s: networks.patchgan_discriminator((None, None, 3), filters=4, **s),
    "four_stride_discriminator": lambda **s: networks.four_stride_discriminator((None, None, 3), filters=4, **s),
    "pixel_discriminator": lambda **s: networks.pixel_discriminator((None, None, 3), filters=4, **s),
}


def small_generator(**settings):
    return networks.resnet_generator((None, None, 3), filters=4, **{"residual_blocks": 1, **settings})


@pytest.mark.parametrize("blocks, parameters", [(9, 11_378_179), (6, 7_837_699)])
def test_generator_has_the_published_number_of_parameters(blocks, parameters):
    generator = networks.resnet_generator(residual_blocks=blocks)
    # The published count includes the biases that instance normalization removes.
    removed = sum(layer.filters for layer in _convolutions(generator) if not layer.use_bias)
    assert generator.count_params() + removed == parameters


def test_unet_has_the_published_number_of_parameters():
    generator = networks.unet_generator()
    assert sum(weight.numpy().size for weight in generator.trainable_weights) == 54_413_955


@pytest.mark.parametrize("placement, levels", [("reference", [5, 6, 7]), ("paper", [6, 7, 8])])
def test_dropout_of_the_unet_is_in_three_steps_of_the_decoder(placement, levels):
    generator = networks.unet_generator(filters=4, dropout_placement=placement)
    found = sorted(layer.name for layer in generator.layers if isinstance(layer, keras.layers.Dropout))
    assert found == [f"up{level}_dropout" for level in levels]


def test_unet_has_biases_where_no_normalization_removes_them():
    generator = networks.unet_generator(filters=4, downsamplings=4, image_shape=(16, 16, 3), normalization="instance")
    biased = {layer.name for layer in _convolutions(generator) if layer.use_bias}
    assert biased == {"down1_conv", "down4_conv", "head_conv"}


def test_a_bridge_at_full_size_adds_a_step_of_half_the_filters():
    settings = {"image_shape": (16, 16, 3), "filters": 8, "downsamplings": 2, "normalization": "instance"}
    generator = networks.unet_generator(**settings, upsampling="resize", full_size_skip=True)
    shapes = {layer.name: tuple(layer.kernel.shape) for layer in _convolutions(generator)}
    assert shapes == {
        "full_size_conv": (3, 3, 3, 4),
        "down1_conv": (4, 4, 4, 8),
        "down2_conv": (4, 4, 8, 16),
        "up2_conv": (3, 3, 16, 8),
        "up1_conv": (3, 3, 16, 4),
        "head_conv": (3, 3, 8, 3),
    }
    # The head sees the image's own pixels again: what is above the steps down is of the size of the image.
    assert generator.get_layer("up1_bridge").output.shape == (None, 16, 16, 8)


def test_a_unet_that_resizes_has_no_transposed_convolution():
    generator = networks.unet_generator((16, 16, 3), filters=4, downsamplings=3, upsampling="resize")
    assert not any(isinstance(layer, keras.layers.Conv2DTranspose) for layer in generator.layers)
    assert {layer.kernel_size for layer in _convolutions(generator) if layer.doubles} == {(3, 3)}
    assert generator(random_images(1, 16)).shape == (1, 16, 16, 3)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_resnet_halves_as_often_as_asked(steps):
    generator = networks.resnet_generator(filters=4, residual_blocks=1, downsamplings=steps)
    middle = generator.get_layer("transformer")
    assert middle.output_shape == (None, None, None, 4 * 2**steps)
    assert generator(random_images(1, 32)).shape == (1, 32, 32, 3)
    with pytest.raises(ValueError, match=f"multiples of {2**steps}"):
        networks.resnet_generator((33, 32, 3), downsamplings=steps)


def test_discriminator_has_the_published_number_of_parameters():
    discriminator = networks.patchgan_discriminator()
    removed = sum(layer.filters for layer in _convolutions(discriminator) if not layer.use_bias)
    assert discriminator.count_params() + removed == 2_764_737


def _convolutions(network):
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    return [layer for layer in network._flatten_layers() if isinstance(layer, kinds)]


# Every two values of two settings meet: of 18 combinations, nine.
@pytest.mark.parametrize(
    "normalization, padding, upsampling",
    [
        (normalization, padding, ("deconvolution", "resize")[(i + j) % 2])
        for i, normalization in enumerate(("instance", "batch", "none"))
        for j, padding in enumerate(("reflect", "replicate", "zero"))
    ],
)
def test_generator_keeps_the_size_with_every_setting(normalization, padding, upsampling):
    generator = small_generator(normalization=normalization, upsampling=upsampling, padding=padding)
    output = np.asarray(generator(random_images(2, 20, 36)))
    assert output.shape == (2, 20, 36, 3)
    assert np.isfinite(output).all() and np.abs(output).max() <= 1


def test_generator_changes_channels_and_may_have_a_fixed_size():
    generator = networks.resnet_generator((16, 24, 2), output_channels=5, filters=4, residual_blocks=2)
    assert generator.input_shape == (None, 16, 24, 2)
    assert generator.output_shape == (None, 16, 24, 5)


def test_parts_are_visible_in_code_and_summary():
    generator = small_generator(residual_blocks=3)
    lines = []
    generator.summary(print_fn=lines.append)
    for part in ("encoder", "transformer", "decoder"):
        assert isinstance(generator.get_layer(part), keras.Model)
        assert part in "".join(lines)
    assert sum(layer.name.endswith("_add") for layer in generator.get_layer("transformer").layers) == 3


def test_dropout_acts_in_training_only():
    generator = small_generator(dropout=0.5)
    x = random_images()
    np.testing.assert_array_equal(generator(x), generator(x))
    assert not np.array_equal(generator(x, training=True), generator(x, training=True))


@pytest.mark.parametrize("layers, size, output", [(1, 64, 30), (3, 256, 30), (3, 70, 6), (4, 256, 14), (2, 32, 6)])
def test_patchgan_sizes_are_the_references(layers, size, output):
    discriminator = networks.patchgan_discriminator((size, size, 3), filters=1, layers=layers)
    assert discriminator.output_shape == (None, output, output, 1)


def test_patchgan_sees_70_pixels():
    discriminator = networks.patchgan_discriminator(
        (256, 256, 3), filters=2, normalization="none", initializer="kaiming"
    )
    seen = [column for first in range(0, 256, 32) for column in _seen(discriminator, range(first, first + 32))]
    # Output 15 of 30 begins at pixel 15 * 8 - 23 with the padding of every layer.
    assert (seen[0], seen[-1]) == (15 * 8 - 23, 15 * 8 - 23 + 69)


def _seen(discriminator, columns):
    """Those columns of an image that change output 15, 15, each tried in an image of its own."""
    images = np.zeros((len(columns), 256, 256, 3), "float32")
    before = np.asarray(discriminator(images))
    images[range(len(columns)), :, columns] = 1
    changes = np.asarray(discriminator(images)) != before
    return [column for column, change in zip(columns, changes[:, 15, 15, 0], strict=True) if change]


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_networks_answer_in_at_least_float32(name, policy):
    network = BUILDERS[name](dtype=policy)
    output = network(random_images())
    assert output.dtype == ("float64" if policy == "float64" else "float32")
    assert {w.dtype for w in network.weights} == {"float64" if policy == "float64" else "float32"}


@pytest.mark.parametrize("name", BUILDERS)
def test_networks_take_the_ambient_policy_and_come_back(name, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = BUILDERS[name]()
    keras.config.set_dtype_policy("float32")
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(again(random_images()), network(random_images()))


DEVIATIONS = {
    "normal": 0.02,
    "xavier": 0.02 * (2 / (9 * 512)) ** 0.5,
    "kaiming": (2 / (9 * 256)) ** 0.5,
    "orthogonal": 0.02 / (9 * 256) ** 0.5,
}


@pytest.mark.parametrize("initializer, deviation", DEVIATIONS.items())
def test_initial_kernels(initializer, deviation):
    generator = networks.resnet_generator(filters=64, residual_blocks=2, initializer=initializer)
    kernels = [layer.kernel.numpy() for layer in _convolutions(generator.get_layer("transformer"))]
    for kernel in kernels:
        assert abs(kernel.mean()) < 0.02 * deviation
        assert kernel.std() == pytest.approx(deviation, rel=0.05)
    assert not np.array_equal(kernels[0], kernels[1]), "every layer draws its own numbers"


def test_own_initializer():
    generator = small_generator(initializer=keras.initializers.Constant(0.25))
    assert set(_convolutions(generator)[0].kernel.numpy().ravel()) == {0.25}


def test_batch_normalization_begins_as_the_reference():
    generator = networks.resnet_generator(filters=64, residual_blocks=1, normalization="batch")
    layer = generator.get_layer("transformer").get_layer("block1_1_normalization")
    assert layer.gamma.numpy().mean() == pytest.approx(1, abs=0.01)
    assert layer.gamma.numpy().std() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize(
    "builder, wrong",
    [
        ("resnet_generator", {"image_shape": (30, 32, 3)}),
        ("resnet_generator", {"image_shape": (32, 32, None)}),
        ("resnet_generator", {"filters": 0}),
        ("resnet_generator", {"residual_blocks": -1}),
        ("resnet_generator", {"residual_blocks": 2.5}),
        ("resnet_generator", {"normalization": "layer"}),
        ("resnet_generator", {"padding": "same"}),
        ("resnet_generator", {"upsampling": "subpixel"}),
        ("resnet_generator", {"dropout": 1.0}),
        ("resnet_generator", {"initializer": "zeroes"}),
        ("resnet_generator", {"output_channels": 0}),
        ("unet_generator", {"image_shape": (128, 128, 3)}),
        ("unet_generator", {"downsamplings": 1}),
        ("unet_generator", {"upsampling": "subpixel"}),
        ("resnet_generator", {"downsamplings": 0}),
        ("unet_generator", {"dropout": -0.5}),
        ("unet_generator", {"dropout_placement": "none"}),
        ("patchgan_discriminator", {"layers": 0}),
        ("patchgan_discriminator", {"image_shape": (16, 16, 3)}),
        ("pixel_discriminator", {"filters": -4}),
    ],
)
def test_wrong_settings_are_named(builder, wrong):
    check_named(getattr(networks, builder), wrong)


def test_impossible_sizes_name_the_multiple():
    with pytest.raises(ValueError, match="multiples of 4"):
        networks.resnet_generator((30, 32, 3))


def test_no_residual_blocks():
    assert small_generator(residual_blocks=0)(random_images()).shape == (1, 32, 32, 3)


FLOAT64 = {
    "resnet": lambda: networks.resnet_generator(filters=2, residual_blocks=1, dtype="float64"),
    "unet": lambda: networks.unet_generator((32, 32, 3), filters=2, downsamplings=2, dtype="float64"),
    "patchgan": lambda: networks.patchgan_discriminator((32, 32, 3), filters=2, dtype="float64"),
    "decoder of unit": lambda: networks.unit_decoder(filters=1, residual_blocks=1, dtype="float64"),
    "unit": lambda: UNIT((32, 32, 3), filters=2, variant="paper", dtype="float64").generator_ab,
}


@pytest.mark.parametrize("name", FLOAT64)
def test_float64_is_not_rounded_on_the_way_in(name):
    network = FLOAT64[name]()
    images = np.random.RandomState(0).uniform(-1, 1, (1, 32, 32, network.input_shape[-1]))
    assert not np.array_equal(network(images), network(images.astype("float32").astype("float64")))
