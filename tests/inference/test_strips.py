"""Strips: each layer by its rows, whole networks, what they take, and what is refused."""

import errno
import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tf_cyclegan.inference.strips import Walk, scratch, strip_stages
from tf_cyclegan.inference.strips.layer_rules import rule_of
from tf_cyclegan.inference.strips.statistics import Moments, mean_and_factor, strip_sums
from tf_cyclegan.inference.strips.strip_stages import Plan
from tf_cyclegan.inference.strips.walking import flattened
from tf_cyclegan.networks import (
    global_generator,
    local_enhancer,
    resnet_generator,
    shared_latent_decoder,
    shared_latent_encoder,
    unet_generator,
    unit_decoder,
    unit_encoder,
)
from tf_cyclegan.networks import layers as own
from tf_cyclegan.networks.instance_maps import LabelEncoding
from tf_cyclegan.networks.layers.convolution import Conv2D
from tf_cyclegan.networks.layers.layer_normalization import LayerNormalization
from tf_cyclegan.networks.layers.resizing import AtLeastTwoPixels, BilinearEnlargement2D, HalvingPooling2D

GIGABYTE = 10**9

LAYERS = {
    "relu": lambda: layers.ReLU(),
    "batch": lambda: own.BatchNormalization(),
    "reflect": lambda: own.ReflectionPadding2D(3),
    "replicate": lambda: own.ReplicationPadding2D(2),
    "zero": lambda: layers.ZeroPadding2D(((2, 1), (0, 3))),
    "crop": lambda: own.Cropping2D(((1, 0), (1, 0))),
    "crop all sides": lambda: layers.Cropping2D(((1, 2), (0, 3))),
    "valid": lambda: Conv2D(5, 3),
    "strided": lambda: layers.Conv2D(5, 4, 2, activation="relu"),
    "same": lambda: Conv2D(5, 4, 2, "same"),
    "same, odd": lambda: Conv2D(2, (3, 5), (2, 3), "same"),
    "dilated": lambda: layers.Conv2D(5, 3, dilation_rate=2),
    "head": lambda: Conv2D(3, 7),
    "doubling": lambda: Conv2D(5, 3, padding="same", doubles=True),
    "doubling, wide": lambda: Conv2D(5, (3, 5), padding="same", doubles=True, activation="relu"),
    "transposed": lambda: layers.Conv2DTranspose(5, 3, 2),
    "transposed same": lambda: layers.Conv2DTranspose(5, 3, 2, "same"),
    "transposed 4x4": lambda: layers.Conv2DTranspose(5, 4, 2, "same"),
    "nearest": lambda: layers.UpSampling2D(2),
    "bilinear": lambda: BilinearEnlargement2D(4),
    "halving": lambda: HalvingPooling2D(),
    "labels": lambda: LabelEncoding(4, instance_edges=True),
    "growth": lambda: AtLeastTwoPixels(),
}


@pytest.mark.parametrize("name", LAYERS)
def test_rows_of_a_layer_are_those_of_the_whole(name):
    layer = LAYERS[name]()
    layer(np.zeros((1, 16, 16, 2), "float32"))
    for weight in layer.weights:
        weight.assign(np.random.RandomState(1).uniform(0.1, 1, weight.shape))
    rule = rule_of(layer)

    @settings(max_examples=10, deadline=None, derandomize=True)
    @given(st.data())
    def check(data):
        size = data.draw(st.tuples(st.integers(8, 20), st.integers(8, 20)))
        x = random_images(1, *size, channels=2, seed=sum(size))
        whole = np.asarray(layer(x))
        assert rule.size([size]) == whole.shape[1:3]
        start = data.draw(st.integers(0, whole.shape[1] - 1))
        stop = data.draw(st.integers(start + 1, whole.shape[1]))
        ((first, last),), local = rule.window(start, stop, [size])
        assert 0 <= first < last <= size[0]
        rows = np.asarray(rule.rows([tf.constant(x[:, first:last])], local))
        np.testing.assert_allclose(rows, whole[:, start:stop], atol=1e-4, rtol=1e-5)

    check()


def test_a_side_of_one_pixel_is_doubled():
    rule, x = rule_of(AtLeastTwoPixels()), random_images(1, 1, 1)
    needs, local = rule.window(0, 2, [(1, 1)])
    assert needs == [(0, 1)]
    np.testing.assert_array_equal(rule.rows([x], local), np.broadcast_to(x, (1, 2, 2, 3)))


# ---- statistics ----


def test_moments_of_strips_are_those_of_the_whole():
    x = random_images(1, 50, 40, channels=4) * [1, 1e-3, 5, 1] + [0, 1000, -3, 20]
    x = x.astype("float32")
    moments = Moments()
    for start, stop in ((0, 1), (1, 30), (30, 50)):
        moments.add((stop - start) * 40, *strip_sums(tf.constant(x[:, start:stop])))
    wide = x.astype("float64")
    np.testing.assert_allclose(moments.mean, wide.mean((0, 1, 2)), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(moments.variance, wide.var((0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [own.InstanceNormalization(), LayerNormalization(), own.BatchNormalization("image", epsilon=1e-2)],
    ids=lambda layer: type(layer).__name__,
)
def test_a_normalization_by_its_mean_and_factor(layer):
    x = random_images(1, 12, channels=4) * 3 + 2
    layer(x)
    for index, weight in enumerate(layer.weights):
        weight.assign(random_images(1, 1, 4, 1, index).reshape(4) + 2)
    moments = Moments()
    moments.add(144, *strip_sums(tf.constant(x)))
    rows = rule_of(layer).rows([tf.constant(x)], (), *mean_and_factor(layer, moments))
    np.testing.assert_allclose(rows, layer(x), atol=2e-5)


# ---- whole networks ----


def translator(encoder, decoder, **more):
    image = keras.Input((None, None, 3))
    parts = {"filters": 4, "residual_blocks": 1}
    return keras.Model(image, decoder(**parts)(encoder(**parts)(image)))


NETWORKS = {
    "resnet": lambda: resnet_generator(filters=4, residual_blocks=2),
    "resnet, affine": lambda: resnet_generator(filters=4, residual_blocks=1, normalization="affine_instance"),
    "resnet, moving": lambda: resnet_generator(filters=4, residual_blocks=1, normalization="batch", padding="zero"),
    "resnet, batch": lambda: resnet_generator(
        filters=4, residual_blocks=1, normalization="batch", inference_statistics="image", dropout=0.5
    ),
    "resnet, none": lambda: resnet_generator(filters=4, residual_blocks=1, normalization="none", padding="replicate"),
    "resnet, resized": lambda: resnet_generator(filters=4, residual_blocks=1, upsampling="resize"),
    "resnet, TensorFlow": lambda: resnet_generator(filters=4, residual_blocks=1, convolution_padding="same"),
    "unet": lambda: unet_generator((None, None, 3), filters=4, downsamplings=3, normalization="instance"),
    "unet, at full size": lambda: unet_generator(
        (None, None, 3), filters=4, downsamplings=3, normalization="instance", upsampling="resize", full_size_skip=True
    ),
    "global": lambda: global_generator(filters=4, downsamplings=2, residual_blocks=1),
    "enhancers": lambda: local_enhancer(
        filters=4, downsamplings=1, residual_blocks=1, local_residual_blocks=1, enhancers=1
    ),
    "unit": lambda: translator(unit_encoder, unit_decoder),
    "unit, paper": lambda: translator(shared_latent_encoder, shared_latent_decoder),
}


def randomized(network):
    """Weights that leave no layer without effect."""
    for index, weight in enumerate(network.weights):
        if weight.dtype == "float32":
            values = np.random.RandomState(index).normal(0, 0.2, weight.shape)
            weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return network


def walk(network, x, folder, memory=GIGABYTE):
    return Walk(network, x.shape[1:3], memory, folder)


def assembled(walked, x, **callbacks):
    pieces = list(walked.translate(lambda start, stop: x[:, start:stop], **callbacks))
    assert [first for first, _ in pieces] == list(np.cumsum([0, *(len(rows) for _, rows in pieces)])[:-1])
    return np.concatenate([rows for _, rows in pieces])


@pytest.mark.parametrize("name", NETWORKS)
def test_strips_make_the_translation_of_the_whole(name, tmp_path, monkeypatch):
    monkeypatch.setattr(strip_stages, "_LARGEST_TENSOR", 12_000)
    network = randomized(NETWORKS[name]())
    x = random_images(1, 40, 24)
    walked = walk(network, x, tmp_path)
    assert max(40 // stage.height for stage in walked.plan.stages) >= 4
    np.testing.assert_allclose(assembled(walked, x), network(x)[0], atol=1e-4)


def test_single_rows_and_one_strip_agree(tmp_path, monkeypatch):
    network = randomized(resnet_generator(filters=2, residual_blocks=1))
    x = random_images(1, 16, 20)
    monkeypatch.setattr(strip_stages, "_LARGEST_TENSOR", 1)
    low = walk(network, x, tmp_path)
    monkeypatch.undo()
    high = walk(network, x, tmp_path)
    assert [stage.height for stage in low.plan.stages][2] == 1
    assert [len(list(high.plan.strips(stage))) for stage in high.plan.stages] == [1] * len(high.plan.stages)
    np.testing.assert_allclose(assembled(low, x), assembled(high, x), atol=1e-5)


def test_a_first_layer_that_normalizes_and_a_shared_network(tmp_path):
    image, features = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    block = keras.Model(features, layers.Conv2D(3, 3, padding="same")(features))
    x = own.InstanceNormalization()(image)
    network = randomized(keras.Model(image, layers.Add()([block(x), block(block(x))])))
    x = random_images(1, 12)
    np.testing.assert_allclose(assembled(walk(network, x, tmp_path), x), network(x)[0], atol=1e-4)


def test_half_precision_keeps_half_the_scratch(tmp_path):
    narrow = resnet_generator(filters=4, residual_blocks=1, dtype="mixed_bfloat16")
    x = random_images(1, 16)
    walked, wide = (walk(each, x, tmp_path) for each in (narrow, resnet_generator(filters=4, residual_blocks=1)))
    assert 2 * walked.plan.scratch_bytes == wide.plan.scratch_bytes
    np.testing.assert_allclose(assembled(walked, x), narrow(x)[0], atol=0.05)


def test_work_is_reported_whole(tmp_path):
    done = []
    x = random_images(1, 16)
    walked = walk(resnet_generator(filters=4, residual_blocks=0), x, tmp_path)
    assembled(walked, x, progress=done.append)
    assert sum(done) == pytest.approx(walked.plan.work) and min(done) >= 0


# ---- what it takes ----


@pytest.fixture(scope="module")
def paper():
    """The nodes of the paper's generator, whose plans need no arithmetic."""
    return flattened(resnet_generator())


@pytest.mark.parametrize("memory", [0.2, 0.5, 2, 50])
def test_plans_keep_to_their_memory(memory, paper):
    plan = Plan(paper, (8192, 8192), memory * GIGABYTE)
    assert plan.memory_bytes <= memory * GIGABYTE
    # Four maps of a sixteenth of the pixels with 256 filters: the sums of two blocks, and a convolution of each.
    assert plan.scratch_bytes == 4 * (4 * 2048**2 * 256)
    # 756,096 multiplications for a pixel, and the first and the last map's once more.
    assert plan.work / 8192**2 == pytest.approx(756_096 + 49 * 3 * 64 + 9 * 128 * 64 / 4, rel=1e-3)


def test_strips_of_one_shape_share_a_trace(paper):
    plan = Plan(paper, (1024, 1024), GIGABYTE // 10)
    for stage in plan.stages:
        strips = list(plan.strips(stage))
        assert len({strip.steps for strip in strips}) <= min(len(strips), 4)
        assert [strip.start for strip in strips] == [0, *(strip.stop for strip in strips[:-1])]


def test_an_image_too_wide_for_the_memory(paper):
    with pytest.raises(ValueError, match=r"`tile_memory` must leave \d+ MiB .* 8,192 pixels .* Received: 9 MiB"):
        Plan(paper, (8192, 8192), GIGABYTE // 100)


# ---- scratch files ----


@pytest.fixture
def maps(monkeypatch):
    """The maps that are made."""
    made, make = [], scratch.Map.__init__

    def remembered(self, *args):
        make(self, *args)
        made.append(self)

    monkeypatch.setattr(scratch.Map, "__init__", remembered)
    return made


def stop(work):
    raise KeyboardInterrupt


def test_scratch_files_have_no_name_and_end_with_the_work(tmp_path, maps):
    x = random_images(1, 16)
    walked = walk(resnet_generator(filters=4, residual_blocks=1), x, tmp_path)
    assembled(walked, x, progress=lambda work: not any(tmp_path.iterdir()) or stop(work))
    assert maps and all(each.file.closed for each in maps)


def test_scratch_files_end_with_an_error(tmp_path, maps):
    x = random_images(1, 16)
    walked = walk(resnet_generator(filters=16, residual_blocks=0), x, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        assembled(walked, x, progress=lambda work: maps and stop(work))
    assert maps and all(each.file.closed for each in maps)


def test_a_map_comes_back_as_it_was_written(tmp_path):
    rows = random_images(1, 6, 5)
    for dtype in ("float32", "bfloat16"):
        whole = scratch.Map(tmp_path, 6, 5, 3, dtype)
        whole.write(2, tf.cast(rows[:, 2:], dtype))
        whole.write(0, tf.cast(rows[:, :2], dtype))
        np.testing.assert_array_equal(whole.read(1, 5), tf.cast(rows[:, 1:5], dtype))
        whole.close()


def test_too_little_space_is_known_before(tmp_path, monkeypatch):
    usage = scratch.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(scratch.shutil, "disk_usage", lambda folder: usage._replace(free=5))
    with pytest.raises(ValueError, match="`scratch_dir` must have .* GB free .* Received: .* with 0.0 GB"):
        walk(resnet_generator(filters=16, residual_blocks=0), random_images(1, 16), tmp_path)


def test_a_disk_that_fills_up(tmp_path, monkeypatch):
    class Full(io.RawIOBase):
        def seek(self, place):
            return place

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    x = random_images(1, 16)
    walked = walk(resnet_generator(filters=16, residual_blocks=0), x, tmp_path)
    monkeypatch.setattr(scratch.tempfile, "TemporaryFile", lambda **options: Full())
    with pytest.raises(ValueError, match=f"`scratch_dir` must have more space: '{tmp_path}' is full"):
        assembled(walked, x)


def test_a_scratch_folder_that_is_none(tmp_path):
    with pytest.raises(ValueError, match="`scratch_dir` must be a folder to write to. Received: .*nowhere"):
        walk(resnet_generator(filters=16, residual_blocks=0), random_images(1, 16), tmp_path / "nowhere")


# ---- what is refused ----


def image_network(layer):
    image = keras.Input((None, None, 3))
    return keras.Model(image, layer(image))


@pytest.mark.parametrize(
    "layer",
    [
        layers.MaxPooling2D(name="odd_one"),
        layers.UpSampling2D(interpolation="bilinear", name="odd_one"),
        layers.Conv2DTranspose(3, 2, 3, name="odd_one"),
        layers.Activation(lambda x: tf.reverse(x, [1]), name="odd_one"),
        own.InstanceNormalization(axis=1, name="odd_one"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_without_a_rule_is_named(layer):
    network = keras.Model(image := keras.Input((8, 8, 3)), layer(image))
    with pytest.raises(ValueError, match=rf"`tile_statistics` must be 'tile' .* odd_one \({type(layer).__name__}\)"):
        flattened(network)


def test_a_network_that_is_not_functional():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="`tile_statistics` must be 'tile' .* Received: a Own"):
        flattened(Own())
