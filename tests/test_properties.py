"""What holds for any size, number, type or seed: examples are drawn by hypothesis, the same in every run."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tf_cyclegan import CycleGAN, networks
from tf_cyclegan.data import images, labels
from tf_cyclegan.data.domains import Images
from tf_cyclegan.data.pipelines import TranslationDataset
from tf_cyclegan.data.sources import Source
from tf_cyclegan.data.transforms import RESIZE_MODES, Sizing, center_crop, crop_and_flip
from tf_cyclegan.export import export_saved_model
from tf_cyclegan.inference import outputs
from tf_cyclegan.models.image_pool import ImagePool
from tf_cyclegan.pytorch import read_checkpoint, write_checkpoint
from tf_cyclegan.serving.engine import Engine
from tf_cyclegan.serving.model_signatures import TensorInfo
from tf_cyclegan.serving.rest.json_inputs import read_inputs
from tf_cyclegan.serving.rest.json_parser import read_document
from tf_cyclegan.serving.rest.json_reply import write_reply
from tf_cyclegan.settings.data import DataSettings
from tf_cyclegan.training.schedules import ConstantThenLinearDecay, CosineDecay, StepDecay

# Function-scoped fixtures are the clean Keras of conftest.py, which may as well be shared by the examples of a test.
ALLOWED = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large)


def examples(count):
    return settings(max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=ALLOWED)


SIDES = st.integers(1, 40)
SEEDS = st.integers(0, 2**32 - 1)


def pixels(seed, height, width, channels):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


# ---- networks: built once, for any size ----

GENERATORS = {
    "resnet": (networks.resnet_generator, {"residual_blocks": 1}, 4),
    "unet": (networks.unet_generator, {"downsamplings": 3, "normalization": "instance"}, 8),
    "global": (networks.global_generator, {"downsamplings": 2, "residual_blocks": 1}, 4),
    "enhancer": (networks.local_enhancer, {"downsamplings": 1, "residual_blocks": 1, "local_residual_blocks": 1}, 4),
}
DISCRIMINATORS = {
    "patchgan": (networks.patchgan_discriminator, {"layers": 2}),
    "pixel": (networks.pixel_discriminator, {}),
    "multiscale": (networks.multiscale_discriminator, {"layers": 1, "scales": 2}),
}


@pytest.fixture(scope="module")
def network():
    """`network(name, channels, policy)`, built at its first use."""
    built = {}

    def get(name, channels=3, policy="float32"):
        builder, options, *_ = (GENERATORS | DISCRIMINATORS)[name]
        key = name, channels, policy
        if key not in built:
            built[key] = builder((None, None, channels), filters=4, initializer="xavier", dtype=policy, **options)
        return built[key]

    return get


@pytest.mark.parametrize("name", GENERATORS)
@examples(6)
@given(rows=st.integers(1, 5), columns=st.integers(1, 5), batch=st.integers(1, 3), channels=st.sampled_from([1, 3]))
def test_a_generator_keeps_every_size(network, name, rows, columns, batch, channels):
    multiple = max(8, GENERATORS[name][2])
    image = random_images(batch, 8 + multiple * rows, 8 + multiple * columns, channels, seed=rows)
    generator = network(name, channels)
    output = np.asarray(generator(image, training=False))
    assert output.shape == (*image.shape[:3], 3) and output.dtype == np.float32
    assert np.abs(output).max() <= 1
    # Each image of a batch is translated by itself.
    np.testing.assert_allclose(np.asarray(generator(image[-1:], training=False))[0], output[-1], atol=1e-4)


@pytest.mark.parametrize("name", ["resnet", "patchgan"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float16"])
@examples(3)
@given(rows=st.integers(2, 5), columns=st.integers(2, 5))
def test_networks_of_narrow_types_answer_in_float32(network, name, policy, rows, columns):
    output = network(name, policy=policy)(random_images(1, 8 * rows, 8 * columns), training=False)
    assert output.dtype == "float32" and np.isfinite(np.asarray(output)).all()


@pytest.mark.parametrize("name", DISCRIMINATORS)
@examples(6)
@given(height=st.integers(24, 70), width=st.integers(24, 70), batch=st.integers(1, 2))
def test_a_discriminator_scores_every_size(network, name, height, width, batch):
    output = network(name)(random_images(batch, height, width), training=False)
    scales = [scale[-1] for scale in output] if name == "multiscale" else [output]
    sizes = {
        "patchgan": [(height // 4 - 2, width // 4 - 2)],
        "pixel": [(height, width)],
        "multiscale": [_twice(height, width), _twice((height + 1) // 2, (width + 1) // 2)],
    }[name]
    assert [tuple(scores.shape) for scores in scales] == [(batch, *size, 1) for size in sizes]
    assert all(scores.dtype == "float32" and np.isfinite(np.asarray(scores)).all() for scores in scales)


def _twice(*sides):
    """The scores of one strided convolution and two others of 4x4 in HD's discriminator, which pads by 2."""
    return tuple(side // 2 + 1 + 1 + 1 for side in sides)


@pytest.fixture(scope="module")
def model():
    return CycleGAN((32, 32, 3), filters=4, discriminator_filters=4, residual_blocks=0, pool_size=0)


@examples(8)
@given(
    height=st.integers(5, 40),
    width=st.integers(5, 40),
    batch=st.integers(1, 2),
    direction=st.sampled_from(["ab", "ba"]),
)
def test_a_model_translates_every_size(model, height, width, batch, direction):
    image = random_images(batch, height, width, seed=height)
    translated = np.asarray(model.translate(image, direction))
    assert translated.shape == image.shape and np.abs(translated).max() <= 1
    paddings = [(0, 0), (0, -height % 4), (0, -width % 4), (0, 0)]
    whole = np.asarray(model.translate(np.pad(image, paddings, mode="symmetric"), direction))
    np.testing.assert_allclose(translated, whole[:, :height, :width], atol=1e-5)


# ---- transforms ----


@examples(100)
@given(
    seed=SEEDS, height=SIDES, width=SIDES, channels=st.integers(1, 4), data=st.data(), flip=st.booleans(),
    draws=st.tuples(*[st.floats(0, 1, exclude_max=True, width=32)] * 3),
)  # fmt: skip
def test_a_crop_is_a_part_of_the_image(seed, height, width, channels, data, flip, draws):
    image = pixels(seed, height, width, channels)
    size = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    part = crop_and_flip(image, size, np.float32(draws), flip)
    assert part.shape == (*size, channels) and np.shares_memory(part, image)
    part = part[:, ::-1] if flip and draws[2] >= 0.5 else part
    top, left = (int(np.float32(draw) * (a - b + 1)) for draw, a, b in zip(draws, image.shape, size, strict=False))
    np.testing.assert_array_equal(part, image[top : top + size[0], left : left + size[1]])
    assert center_crop(image, size).shape == (*size, channels)


@examples(200)
@given(
    mode=st.sampled_from(RESIZE_MODES), size=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    crop=st.tuples(st.integers(1, 300), st.integers(1, 300)), more=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    augment=st.booleans(), multiple=st.integers(1, 64),
)  # fmt: skip
def test_a_target_holds_the_crop_or_is_of_the_multiple(mode, size, crop, more, augment, multiple):
    load_size = crop[0] + more[0], crop[1] + more[1]
    sizing = Sizing(mode, crop, load_size, augment, multiple)
    try:
        target = sizing.target(size)
    except ValueError as error:
        assert ("smaller than the crop" in str(error)) == (mode == "crop" and (size[0] < crop[0] or size[1] < crop[1]))
        return
    output = sizing.output(target)
    assert all(0 < cut <= side for cut, side in zip(output, target, strict=True))
    assert output == crop if sizing.crops else (output == target and not any(side % multiple for side in output))


# ---- the order of batches ----


def dataset(counts, batch_size=1, seed=0, paired=False):
    """Images of one color, which says which image it is."""
    domains = []
    for count in counts:
        contents = [np.full((6, 5, 3), index, np.uint8) for index in range(count)]
        domains.append(Images([str(index) for index in range(count)], contents))
    sizing = Sizing("crop", (4, 4), (4, 4))
    settings = DataSettings(batch_size=batch_size, seed=seed)
    return TranslationDataset(Source("colors", *domains, paired), sizing, sizing, settings)


@examples(10)
@given(
    counts=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(-(2**40), 2**40),
    epoch=st.integers(0, 10**6),
)
def test_every_epoch_is_a_permutation(counts, seed, epoch):
    data = dataset(counts, seed=seed)
    drawn = [data.names(step) for step in range(epoch * max(counts), (epoch + 1) * max(counts))]
    for domain, count in enumerate(counts):
        names = [int(names[domain][0]) for names in drawn]
        passes = [names[i : i + count] for i in range(0, len(names), count)]
        assert all(sorted(each) == list(range(count)) for each in passes[: len(names) // count])
        assert len(set(passes[-1])) == len(passes[-1])


@examples(4)
@given(
    counts=st.tuples(st.integers(2, 6), st.integers(2, 6)), seed=SEEDS, batch_size=st.integers(1, 2),
    start=st.integers(0, 15), paired=st.booleans(),
)  # fmt: skip
def test_a_stream_resumes_at_any_step(counts, seed, batch_size, start, paired):
    counts = (counts[0],) * 2 if paired else counts
    whole = list(dataset(counts, batch_size, seed, paired).stream().take(start + 3))
    data = dataset(counts, batch_size, seed, paired)
    for step, batch in enumerate(data.stream(start).take(3), start):
        for images_here, images_there, names in zip(batch, whole[step], data.names(step), strict=True):
            np.testing.assert_array_equal(images_here, images_there)
            assert np.rint((images_here[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist() == [int(name) for name in names]


# ---- images as numbers and as files ----


@examples(50)
@given(levels=arrays.arrays(np.uint8, arrays.array_shapes(max_dims=4, max_side=6)))
def test_levels_come_back(levels):
    values = images.to_float(levels)
    assert values.dtype == np.float32 and np.abs(values).max() <= 1
    np.testing.assert_array_equal(images.to_uint8(values), levels)


@examples(50)
@given(values=arrays.arrays(np.float32, 7, elements=st.floats(-3, 3, width=32)))
def test_values_are_rounded_to_the_nearest_level(values):
    levels = images.to_uint8(values)
    assert (np.abs(images.to_float(levels) - np.clip(values, -1, 1)) <= 0.5001 / 127.5).all()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".npy"])
@examples(10)
@given(seed=SEEDS, height=SIDES, width=SIDES, channels=st.sampled_from([1, 3]))
def test_translations_come_back_from_files(suffix, seed, height, width, channels, tmp_path):
    image = pixels(seed, height, width, channels)
    path = tmp_path / f"x{suffix}"
    outputs.save(path, images.to_float(image))
    found = images.read_image(path, channels, (-1, 1))
    np.testing.assert_allclose(found, image, atol=1e-4 if suffix == ".npy" else 0)
    assert images.read_header(path, channels, (-1, 1)) == (height, width, found.dtype.name)


@examples(30)
@given(
    data=st.binary(max_size=60),
    start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\x93NUMPY\x01\x00", b"BM", b"\xff\xd8\xff"]),
)
def test_any_bytes_are_an_image_or_one_line(data, start):
    for read in (images.read_image, images.read_header, labels.read_ids, labels.read_ids_header):
        try:
            read(start + data)
        except ValueError as error:
            assert str(error).startswith("Cannot read the ") and "\n" not in str(error)


# ---- schedules and pools ----


@examples(15)
@given(
    rate=st.floats(1e-6, 1), steps=st.integers(1, 5000), epochs=st.integers(1, 200), decay=st.integers(1, 200),
    factor=st.floats(0.1, 0.9), last=st.integers(0, 4999),
)  # fmt: skip
def test_rates_never_rise_and_end_low(rate, steps, epochs, decay, factor, last):
    whole = epochs + decay
    schedules = {
        "linear": (ConstantThenLinearDecay(rate, steps, epochs, decay), rate / (decay + 1)),
        "cosine": (CosineDecay(rate, steps, whole), rate),
        "step": (StepDecay(rate, steps, decay, factor), rate * factor ** ((whole - 1) // decay)),
    }
    for name, (schedule, end) in schedules.items():
        places = np.linspace(0, whole - 1, 8).astype(int)
        rates = [float(schedule(int(epoch) * steps)) for epoch in places]
        assert rates[0] == pytest.approx(rate, rel=1e-5), name
        assert all(after <= before * (1 + 1e-6) for before, after in zip(rates, rates[1:], strict=False)), name
        assert 0 <= rates[-1] <= end * (1 + 1e-3), name
        assert rates[-1] > 0 or name == "step", "a power of the factor may be too small for a float"
        assert float(schedule((whole - 1) * steps + last % steps)) == rates[-1], "the same throughout an epoch"
    linear = schedules["linear"][0]
    assert rates and float(linear((whole - 1) * steps)) == pytest.approx(rate / (decay + 1), rel=1e-3)


@examples(8)
@given(size=st.integers(1, 5), batches=st.lists(st.integers(1, 4), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_a_pool_loses_and_invents_nothing(size, batches, seed):
    pool = ImagePool(size, seed=seed)
    shown, returned, number = [], [], 0
    for batch in batches:
        numbers = np.arange(number, number + batch, dtype=np.float32)
        number += batch
        out = np.asarray(pool(tf.constant(numbers.reshape(-1, 1, 1, 1)))).ravel().tolist()
        assert len(out) == batch
        shown, returned = shown + numbers.tolist(), returned + out
        held = np.asarray(pool.images).ravel()[: int(pool.count)].tolist()
        assert int(pool.count) == min(size, len(shown)) and len(set(held)) == len(held)
        # While it fills, an image is returned and held; from then on it is either held or was returned.
        assert set(held) | set(returned) == set(shown)
        assert all(count <= 2 for count in np.unique(returned, return_counts=True)[1])


# ---- files and requests of others ----

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(
    lambda name: name.strip(".") == name and ".." not in name
)
DTYPES = st.sampled_from(["float16", "float32", "float64", "bool", "uint8", "int8", "int16", "int32", "int64"])


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@examples(40)
@given(
    state=st.dictionaries(
        NAMES, arrays.arrays(DTYPES, arrays.array_shapes(min_dims=0, min_side=0)), min_size=1, max_size=5
    )
)
def test_any_state_comes_back_from_a_checkpoint(suffix, state, tmp_path):
    path = tmp_path / f"net.{suffix}"
    write_checkpoint(path, state)
    found = read_checkpoint(path)
    assert sorted(found) == sorted(state)
    for name, value in state.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert found[name].tobytes() == value.tobytes()


@examples(60)
@given(
    dtype=st.sampled_from(["float32", "float64", "uint8", "int32", "int64", "uint64", "bool"]),
    shape=arrays.array_shapes(max_dims=4, max_side=4),
    rows=st.booleans(),
    data=st.data(),
)
def test_requests_and_replies_are_the_same_numbers(dtype, shape, rows, data):
    values = data.draw(arrays.arrays(dtype, shape))
    reply = write_reply({"y": values}, rows)
    (shown,) = json.loads(reply).values()
    request = json.dumps({"instances" if rows else "inputs": shown})
    found, by_rows = read_inputs(read_document(request.encode()), {"x": TensorInfo(dtype, None)})
    assert by_rows == rows and found["x"].dtype == dtype
    np.testing.assert_array_equal(found["x"], values)


# ---- an exported model ----


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """`(generator, engine)` of one tiny export."""
    generator = networks.resnet_generator((None, None, 3), 3, filters=4, residual_blocks=1, initializer="xavier")
    engine = Engine(export_saved_model(generator, tmp_path_factory.mktemp("models") / "x_ab"))
    yield generator, engine
    engine.close()


@examples(6)
@given(height=st.integers(16, 50), width=st.integers(16, 50), batch=st.integers(1, 3))
def test_an_exported_model_takes_every_size(exported, height, width, batch):
    generator, engine = exported
    image = random_images(batch, height, width, seed=width)
    found = engine.run("tensor", {"image": image})["translated"]
    paddings = [(0, 0), (0, -height % 4), (0, -width % 4), (0, 0)]
    whole = np.asarray(generator(np.pad(image, paddings, mode="symmetric"), training=False))
    np.testing.assert_allclose(found, whole[:, :height, :width], atol=1e-4)
    stream = io.BytesIO()
    images.Image.fromarray(pixels(width, height, width, 3)).save(stream, "PNG")
    reply = engine.run("serving_default", {"image_bytes": np.array([stream.getvalue()], object)})
    assert images.read_image(reply["translated_bytes"][0]).shape == (height, width, 3)
