"""Weights trained with tensorflow_addons: what they answer here, what fits, what is refused; TensorFlow's padding."""

import functools
import json
import shutil

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL, TESTS, random_batches, random_images

from tf_cyclegan import CycleGAN, networks
from tf_cyclegan.layers import InstanceNormalization
from tf_cyclegan.networks.blocks import Blocks
from tf_cyclegan.weights.addons import addons_networks, load_addons_weights, read_addons_weights

FOLDER = TESTS / "data" / "addons"
EXPECTED = dict(np.load(FOLDER / "expected.npz"))
SIZES = {"square": (32, 32), "wide": (32, 48), "small": (16, 16)}
FOUR = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")
# As tensorflow_addons' users have them.
ADDONS = {"normalization": "affine_instance", "convolution_padding": "same"}
AFFINE = {"normalization": "affine_instance"}
ANY = (None, None, 3)


def generator(**settings):
    return networks.resnet_generator(ANY, **{"filters": 2, "residual_blocks": 2, **ADDONS, **settings})


def discriminator(**settings):
    return networks.patchgan_discriminator(ANY, **{"filters": 2, **ADDONS, **settings})


ANSWERS = [
    ("generator.h5", "generator_ab", "generator.h5/square"),
    ("generator.h5", "generator_ab", "generator.h5/wide"),
    ("whole_generator.h5", "generator_ab", "whole_generator.h5/small"),
    ("discriminator.h5", "discriminator_b", "discriminator.h5/square"),
    ("discriminator.h5", "discriminator_b", "discriminator.h5/wide"),
    ("discriminator", "discriminator_b", "discriminator/small"),
    ("discriminator.index", "discriminator_b", "discriminator/small"),
    ("discriminator.data-00000-of-00001", "discriminator_b", "discriminator/small"),
    ("nested_generator", "generator_ab", "nested_generator/small"),
    ("cyclegan", "generator_ab", "cyclegan/gen_G/small"),
    ("cyclegan", "generator_ba", "cyclegan/gen_F/small"),
    ("cyclegan", "discriminator_a", "cyclegan/disc_X/small"),
    ("cyclegan", "discriminator_b", "cyclegan/disc_Y/small"),
    ("cyclegan.h5", "generator_ab", "cyclegan/gen_G/small"),
    ("cyclegan.h5", "discriminator_b", "cyclegan/disc_Y/small"),
    ("objects", "generator_ab", "objects/G_A2B/small"),
    ("objects", "discriminator_b", "objects/D_B/small"),
]


@functools.cache
def networks_of(file):
    return addons_networks(FOLDER / file)


@pytest.mark.parametrize("file, part, answer", ANSWERS)
def test_networks_answer_as_with_tensorflow_addons(file, part, answer):
    images = random_images(1, *SIZES[answer.rsplit("/", 1)[1]])
    np.testing.assert_allclose(networks_of(file)[part](images), EXPECTED[answer], atol=1e-5)


def test_every_answer_is_compared():
    assert {answer for _, _, answer in ANSWERS} == set(EXPECTED)


def test_weights_load_into_a_network_of_ones_own():
    judge, translator = discriminator(), generator(filters=1)
    load_addons_weights(judge, FOLDER / "discriminator.h5")
    load_addons_weights(translator, FOLDER / "cyclegan", part="generator_ba")
    expected = EXPECTED["discriminator.h5/square"], EXPECTED["cyclegan/gen_F/small"]
    np.testing.assert_allclose(judge(random_images()), expected[0], atol=1e-5)
    np.testing.assert_allclose(translator(random_images(1, 16)), expected[1], atol=1e-5)


def test_explicit_padding_is_another_function():
    explicit = generator(convolution_padding="explicit")
    load_addons_weights(explicit, FOLDER / "generator.h5")
    assert np.abs(explicit(random_images()) - EXPECTED["generator.h5/square"]).max() > 0.1


def test_parts_have_the_name_here_or_the_files():
    assert set(read_addons_weights(FOLDER / "cyclegan")) == set(addons_networks(FOLDER / "cyclegan")) == set(FOUR)
    by_file, by_us = generator(filters=1, residual_blocks=1), generator(filters=1, residual_blocks=1)
    load_addons_weights(by_file, FOLDER / "objects", part="G_A2B")
    load_addons_weights(by_us, FOLDER / "objects", part="generator_ab")
    np.testing.assert_array_equal(by_file(random_images()), by_us(random_images()))


@pytest.mark.parametrize("part", [None, "generator_c"])
def test_a_file_of_several_networks_wants_a_part_that_it_has(part):
    with pytest.raises(ValueError, match="`part` must be one of 'generator_ab', 'generator_ba', 'discriminator_a', '"):
        load_addons_weights(generator(), FOLDER / "cyclegan", part)


def test_optimizers_are_left_out():
    held = read_addons_weights(FOLDER / "whole_generator.h5")["network"]
    assert [sorted(weights) for weights in held.values()].count(["beta", "gamma"]) == 5 and len(held) == 11
    assert all(array.ndim in (1, 4) for weights in held.values() for array in weights.values())


def test_a_bias_that_the_normalization_removes_is_dropped(tmp_path):
    path = shutil.copy(FOLDER / "generator.h5", tmp_path)
    with h5py.File(path, "r+") as file:
        name = next(name for name in file.attrs["layer_names"] if name.startswith("conv2d"))
        file[name].attrs["weight_names"] = [f"{name}/kernel:0", f"{name}/bias:0"]
        file[name][name]["bias:0"] = np.ones(2, "float32")
    network = addons_networks(path)["generator_ab"]
    np.testing.assert_allclose(network(random_images()), EXPECTED["generator.h5/square"], atol=1e-5)


@pytest.mark.parametrize(
    "network, words",
    [
        (lambda: generator(filters=4), ["'stem_conv'", "(7, 7, 3, 4)", "(7, 7, 3, 2)", "`filters`"]),
        (
            lambda: generator(residual_blocks=3),
            ["'block3_1_conv'", "(3, 3, 8, 8)", "(3, 3, 4, 8)", "`residual"],
        ),
        (lambda: generator(residual_blocks=1), ["'up1_conv'", "(3, 3, 4, 8)", "(3, 3, 8, 8)", "`residual_blocks`"]),
        (lambda: generator(normalization="instance"), ["'down1_conv'", "'gamma'", "normalization='affine_instance'"]),
        (lambda: generator(normalization="batch"), ["'stem_normalization'", "'moving_mean'", "convolution_padding='"]),
        (lambda: generator(upsampling="resize"), ["'up1_conv'", "(3, 3, 8, 4)", "(3, 3, 4, 8)"]),
        (lambda: generator(output_channels=1), ["'head_conv'", "(7, 7, 2, 1)", "`output_channels`"]),
        (discriminator, ["'patch1_conv'", "(4, 4, 3, 2)", "(7, 7, 3, 2)", "discriminator"]),
    ],
)
def test_a_misfit_is_named_and_nothing_is_loaded(network, words):
    network = network()
    before = [weight.numpy() for weight in network.weights]
    with pytest.raises(ValueError, match="`network` does not fit") as error:
        load_addons_weights(network, FOLDER / "generator.h5")
    assert [word for word in words if word not in str(error.value)] == [] and "\n" not in str(error.value)
    for weight, value in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def refused(path, match, readers=(read_addons_weights, addons_networks)):
    """All readers refuse a file in one line."""
    for read in readers:
        with pytest.raises(ValueError, match=match) as error:
            read(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("name", ["generator.h5", "whole_generator.h5"])
def test_hdf5_files_cut_short_are_refused(tmp_path, name, share):
    data = (FOLDER / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(share * len(data))])
    refused(tmp_path / name, "`path` must be an .h5 file")


@pytest.mark.parametrize("share", [None, 0, 0.3, 0.999])
@pytest.mark.parametrize("cut", ["nested_generator.index", "nested_generator.data-00000-of-00001"])
def test_checkpoints_cut_short_are_refused(tmp_path, cut, share):
    for source in FOLDER.glob("nested_generator.*"):
        data = source.read_bytes()
        if source.name != cut or share is not None:
            (tmp_path / source.name).write_bytes(data[: int(share * len(data))] if source.name == cut else data)
    if cut.endswith("index") and share is None:
        with pytest.raises(FileNotFoundError):
            read_addons_weights(tmp_path / "nested_generator")
    else:
        refused(tmp_path / "nested_generator", "`path` must be an .h5 file or TensorFlow checkpoint")


def classifier(path):
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(2, 7)(image)
    keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x))).save(path)


def keras_3_weights(path):
    generator().save_weights(path)


def without_layers(path):
    keras.Sequential([keras.Input((2,)), keras.layers.ReLU()]).save(path)


def first_tensorflow(path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        weight = tf.compat.v1.get_variable("generator/conv/kernel", (7, 7, 3, 2))
        session.run(weight.initializer)
        tf.compat.v1.train.Saver().save(session, str(path))


@pytest.mark.parametrize(
    "write, name, match",
    [
        (classifier, "classifier.h5", r"kernels of convolutions alone\. Found \(1352, 2\)"),
        (without_layers, "empty.h5", "Expected weights. Found none"),
        (lambda path: h5py.File(path, "w").close(), "empty.h5", "`layer_names`"),
        (lambda path: path.write_bytes(b""), "nothing.h5", "an HDF5 file"),
        (lambda path: generator().save(path), "model.keras", "`keras.models.load_model`"),
        (keras_3_weights, "new.weights.h5", r"Keras 3's own example has GroupNormalization\(groups=1\)"),
        (first_tensorflow, "model.ckpt", "which layer follows which"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*HDF5.*")
def test_foreign_files_are_refused(tmp_path, write, name, match):
    write(tmp_path / name)
    with pytest.raises(ValueError, match=match) as error:
        addons_networks(tmp_path / name)
    assert "`path`" in str(error.value) and "\n" not in str(error.value)


def test_the_features_of_vgg_are_no_generator(tmp_path):
    with h5py.File(tmp_path / "vgg.h5", "w") as file:
        file.attrs["layer_names"] = [f"block1_conv{number}" for number in (1, 2)]
        for name, shape in (("block1_conv1", (3, 3, 3, 64)), ("block1_conv2", (3, 3, 64, 64))):
            file[f"{name}/{name}/kernel:0"] = np.zeros(shape, "float32")
            file[name].attrs["weight_names"] = [f"{name}/kernel:0"]
    refused(tmp_path / "vgg.h5", r"the first \(3, 3, 3, 64\)$", [addons_networks])
    load = functools.partial(load_addons_weights, generator())
    refused(tmp_path / "vgg.h5", r"'stem_conv': expected .*\(3, 3, 3, 64\)", [load])


def edited(tmp_path, edit, name="whole_generator.h5"):
    """A copy of a whole model in which the settings of its normalizations are edited."""
    path = shutil.copy(FOLDER / name, tmp_path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Addons>InstanceNormalization":
                edit(layer)
        file.attrs["model_config"] = json.dumps(config)
    return path


def with_groups(groups):
    def edit(layer):
        layer["class_name"] = "GroupNormalization"
        layer["config"]["groups"] = groups

    return edit


@pytest.mark.parametrize(
    "edit, found",
    [
        (lambda layer: layer["config"].update(epsilon=1e-5), "epsilon=1e-05"),
        (lambda layer: layer.update(class_name="LayerNormalization"), "LayerNormalization"),
        (lambda layer: layer.update(class_name="BatchNormalization"), "BatchNormalization"),
        (with_groups(2), r"GroupNormalization\(groups=2"),
    ],
)
def test_other_normalizations_are_refused(tmp_path, edit, found):
    refused(edited(tmp_path, edit), f"an epsilon of 1e-3. Found '.*{found}")


def test_groups_of_one_channel_are_instance_normalization(tmp_path):
    path = edited(tmp_path, with_groups(-1))
    network = addons_networks(path)["generator_ab"]
    np.testing.assert_allclose(network(random_images(1, 16)), EXPECTED["whole_generator.h5/small"], atol=1e-5)


def test_weights_named_after_another_normalization_are_refused(tmp_path):
    path = shutil.copy(FOLDER / "generator.h5", tmp_path)
    with h5py.File(path, "r+") as file:
        names = [name.replace("instance_norm", "group_norm") for name in file.attrs["layer_names"]]
        for old, new in zip(file.attrs["layer_names"], names, strict=True):
            if old != new:
                file.move(old, new)
        file.attrs["layer_names"] = names
    refused(path, "Found 'group_normalization")


def test_a_file_that_claims_more_than_it_holds_is_refused(tmp_path):
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.attrs["layer_names"] = ["conv2d"]
        file.create_dataset("conv2d/conv2d/kernel:0", (7, 7, 3, 1 << 34), "float32", chunks=(7, 7, 3, 64))
        file["conv2d"].attrs["weight_names"] = ["conv2d/kernel:0"]
    refused(tmp_path / "huge.h5", "weights that stand in the file")


# ---- the settings that such weights need ----


@pytest.mark.parametrize("build", [generator, discriminator])
def test_networks_with_these_settings_are_saved_and_loaded(build, tmp_path):
    network = build()
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(again(random_images()), network(random_images()))


def test_affine_instance_normalization_is_that_of_the_addons():
    layer = generator().get_layer("encoder").get_layer("stem_normalization")
    assert isinstance(layer, InstanceNormalization) and layer.epsilon == 1e-3
    assert layer.gamma.numpy().tolist() == [1, 1] and layer.beta.numpy().tolist() == [0, 0]


@pytest.mark.parametrize("size, scores", [(32, 4), (33, 5), (8, 1)])
def test_same_padding_scores_every_patch_of_tensorflow(size, scores):
    network = networks.patchgan_discriminator((size, size, 3), filters=2, **ADDONS)
    assert network.output_shape == (None, scores, scores, 1)
    chain = keras.Sequential([keras.Input((size, size, 3))])
    for width, stride in ((2, 2), (4, 2), (8, 2), (16, 1), (1, 1)):
        chain.add(keras.layers.Conv2D(width, 4, stride, "same"))
    assert chain.output_shape == network.output_shape


@pytest.mark.parametrize(
    "kernel_size, stride, size", [(4, 2, 8), (4, 2, 9), (4, 1, 8), (3, 2, 8), (3, 2, 9), (3, 1, 8)]
)
def test_same_padding_is_kerass(kernel_size, stride, size):
    image = keras.Input((size, size, 3))
    x = Blocks("none", convolution_padding="same").padded_convolution(image, 2, kernel_size, "one", stride)
    ours = keras.Model(image, x)
    theirs = keras.layers.Conv2D(2, kernel_size, stride, "same")
    theirs.build((None, size, size, 3))
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(random_images(1, size)), theirs(random_images(1, size)), atol=1e-7)


def test_a_model_with_these_settings_trains_and_comes_back(tmp_path):
    model = CycleGAN(**SMALL, residual_blocks=0, **ADDONS)
    assert model.discriminator_b.output_shape == (None, 4, 4, 1)
    assert not any(layer.name.endswith("_crop") for layer in model.generator_ab._flatten_layers())
    model.compile()
    before = model.generator_ab.get_layer("encoder").get_layer("stem_normalization").gamma.numpy()
    history = model.fit(random_batches(2), verbose=0, shuffle=False).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert not np.array_equal(model.generator_ab.get_layer("encoder").get_layer("stem_normalization").gamma, before)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_config()["convolution_padding"] == "same"
    np.testing.assert_array_equal(again.translate(random_images()), model.translate(random_images()))


def test_loaded_networks_make_a_model():
    model = CycleGAN(**SMALL, **addons_networks(FOLDER / "cyclegan"))
    np.testing.assert_allclose(model.translate(random_images(1, 16)), EXPECTED["cyclegan/gen_G/small"], atol=1e-5)


@pytest.mark.parametrize("discriminator_type", ["pixel", "four_stride"])
def test_other_discriminators_keep_their_padding(discriminator_type):
    same = CycleGAN(**SMALL, residual_blocks=0, discriminator_type=discriminator_type, **ADDONS)
    explicit = CycleGAN(**SMALL, residual_blocks=0, discriminator_type=discriminator_type)
    assert same.discriminator_a.output_shape == explicit.discriminator_a.output_shape


@pytest.mark.parametrize("build", [generator, discriminator])
def test_wrong_padding_is_named(build):
    with pytest.raises(ValueError, match="`convolution_padding` must be one of explicit, same. Received: .*'valid'"):
        build(convolution_padding="valid")


@pytest.mark.parametrize(
    "network",
    [
        lambda: networks.unet_generator((16, 16, 3), filters=2, downsamplings=4, **AFFINE),
        lambda: networks.global_generator(ANY, filters=2, downsamplings=2, residual_blocks=1, **AFFINE),
        lambda: networks.local_enhancer((32, 32, 3), filters=2, downsamplings=2, residual_blocks=1, **AFFINE),
        lambda: networks.multiscale_discriminator(ANY, filters=2, layers=2, **AFFINE),
        lambda: networks.pixel_discriminator(ANY, filters=2, **AFFINE),
        lambda: networks.four_stride_discriminator(ANY, filters=2, **AFFINE),
    ],
)
def test_every_network_with_a_normalization_takes_the_affine_one(network):
    network = network()
    outputs = keras.tree.flatten(network(random_images(1, network.input_shape[1] or 64)))
    assert any(weight.name == "gamma" for weight in network.weights)
    assert all(np.isfinite(output).all() for output in outputs)
