"""What the tests share: tiny models and images, and a clean Keras for each test."""

import dataclasses
import gc
import inspect
import os
import struct
import zlib
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_cyclegan.settings.fields import names_of, replaced

TESTS = Path(__file__).parent
ROOT = TESTS.parent
GOLDEN = TESTS / "data" / "golden"
# As small as the networks allow: 32 pixels, 4 filters.
SMALL = {"image_shape": (32, 32, 3), "filters": 4, "discriminator_filters": 4, "pool_size": 2}


def open_dataset(*arguments, **named):
    """The data set behind `load_dataset`, by the same arguments."""
    from tf_cyclegan.data import load_dataset, loading

    given = inspect.signature(load_dataset).bind(*arguments, **named)
    given.apply_defaults()
    return loading.open_dataset(*loading.as_groups(given.arguments))


def command_settings(kind, *arguments, **named):
    """The settings of a command from their flat names."""
    own = {field.name for field in dataclasses.fields(kind)}
    top = {name: value for name, value in named.items() if name in own}
    assert named.keys() <= set(names_of(kind))
    return replaced(kind(*arguments, **top), named)


def check_named(function, wrong):
    """Calls a function with one wrong setting, which its error must name, with the value."""
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"(?s)`{name}`.*") as error:
        function(**wrong)
    assert str(value) in str(error.value)


def pytest_addoption(parser):
    parser.addoption("--base-url", help="server that test_serving_contract.py asks, in the place of one of its own")
    parser.addoption("--hostile-requests", type=int, default=2000, help="requests of test_serving_hostile.py")


@pytest.fixture(autouse=True)
def fresh_keras():
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
    # Collecting garbage is left to `small_heap`: after every test it would take longer than most of the tests.
    keras.backend.clear_session(free_memory=False)


@pytest.fixture(autouse=True)
def measuring(monkeypatch):
    """No run measures which precision is faster, as what a test trains must not depend on time. Gives what it hides."""
    from tf_cyclegan.training import precision

    needs_measuring = precision.needs_measuring
    monkeypatch.setattr(precision, "needs_measuring", lambda: False)
    return needs_measuring


@pytest.fixture(autouse=True, scope="module")
def small_heap():
    """Hides from Python's garbage collector what outlives a file of tests.

    TensorFlow alone is 300,000 objects, and every train step that was traced leaves 15,000 more that nothing frees.
    Each collection would go through all of them again, a whole one in seconds towards the end of the suite.
    """
    yield
    gc.collect()
    gc.freeze()


def pytest_collection_finish():
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Has each process take its share of the files one after the other, and so build what a file shares but once."""
    if config.getoption("dist") == "load":
        from xdist.scheduler import WorkStealingScheduling

        return WorkStealingScheduling(config, log)


@pytest.fixture(autouse=True)
def eager_steps(request, monkeypatch):
    """Trains and evaluates without a graph where a test or file is marked `eager`.

    A graph of a step takes as long to make as dozens of small steps take to run.
    """
    if request.node.get_closest_marker("eager") and not request.node.get_closest_marker("graph"):
        from tf_cyclegan.models import TranslationModel

        compiled = TranslationModel.compile
        monkeypatch.setattr(TranslationModel, "compile", lambda *a, **k: compiled(*a, **{"run_eagerly": True, **k}))


def random_images(batch=1, height=32, width=None, channels=3, seed=0):
    """Uniform noise in [-1, 1], float32."""
    shape = (batch, height, width or height, channels)
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype("float32")


def random_batches(count=3, batch=1, size=32, channels_b=3):
    """A data set of `count` batches of noise in two domains."""
    images_a = random_images(count * batch, size, seed=1)
    images_b = random_images(count * batch, size, channels=channels_b, seed=2)
    return tf.data.Dataset.from_tensor_slices((images_a, images_b)).batch(batch, drop_remainder=True)


def golden(name):
    """The arrays of a golden file, and its state dict by PyTorch's names."""
    arrays = dict(np.load(GOLDEN / f"{name}.npz"))
    return arrays, part(arrays, "state_dict/")


def part(arrays, prefix):
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def channels_last(images, dtype="float32"):
    return np.asarray(images, dtype).transpose(0, 2, 3, 1)


def gray_png(rows, depth):
    """A gray PNG of 1, 2, 4 or 8 bits a pixel, which PIL does not write: bytes of a file."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = np.shape(rows)
    bits = np.unpackbits(np.asarray(rows, np.uint8)[..., None], axis=-1)[..., 8 - depth :].reshape(height, -1)
    lines = b"".join(b"\0" + line.tobytes() for line in np.packbits(bits, axis=-1))
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks
