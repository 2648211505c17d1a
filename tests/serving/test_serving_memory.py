"""Memory of requests: it is measured for a pixel, and images that do not fit are refused before they run."""

import base64
import io
import json

import numpy as np
import psutil
import pytest
import serving_models
import tensorflow as tf
from PIL import Image
from serving_asgi import ask_now

from tf_cyclegan.serving import memory
from tf_cyclegan.serving.engine import Engine
from tf_cyclegan.serving.errors import ServingError, invalid
from tf_cyclegan.serving.limits import Limits, check_inputs
from tf_cyclegan.serving.memory import MemoryBudget, bytes_a_pixel, free_bytes
from tf_cyclegan.serving.model_signatures import Signature, TensorInfo
from tf_cyclegan.serving.repository import Repository
from tf_cyclegan.serving.rest.app import create_app


def png(height, width):
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


def engine_of(path, model):
    serving_models.write(path, model)
    return Engine(path)


# ---- what there is ----


@pytest.fixture
def group(monkeypatch, tmp_path):
    """Makes a control group, of which the process is, with a limit, a use and what of that is cache."""
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_FILES", {key: (tmp_path / "fs", names) for key, (_, names) in memory._FILES.items()})
    (tmp_path / "cgroup").write_text("3:cpu:/x\n")

    def make(controllers, place, *texts):
        (tmp_path / "cgroup").write_text(f"3:cpu:/x\n1:{controllers}:/pod/inner\n")
        folder = tmp_path / "fs" / place
        folder.mkdir(parents=True)
        for name, text in zip(memory._FILES[controllers][1], texts, strict=True):
            (folder / name).write_text(text)

    return make


def test_memory_is_the_machine_s_without_a_container(group):
    assert free_bytes() == pytest.approx(psutil.virtual_memory().available, rel=0.2)


@pytest.mark.parametrize("controllers", ["", "memory"])
@pytest.mark.parametrize("place", ["pod/inner", "pod", "."])
def test_a_container_has_what_its_limit_leaves(group, controllers, place):
    group(controllers, place, "5000\n", "1000\n", "anon 5\ninactive_file 200\ntotal_inactive_file 200\n")
    assert free_bytes() == 5000 - 1000 + 200


def test_a_container_without_a_limit_has_the_machine_s(group):
    group("", "pod", "max\n", "1000\n", "inactive_file 200\n")
    assert free_bytes() > 10_000


# ---- the budget ----


def test_a_budget_is_shared_and_given_back():
    budget = MemoryBudget(100)
    with budget.reserve(60):
        with pytest.raises(ServingError) as caught, budget.reserve(41):
            pass
        assert caught.value.http_status == 429
        with budget.reserve(40):
            assert budget.reserved == 100
    assert budget.reserved == 0


def test_an_error_gives_back_what_was_reserved():
    budget = MemoryBudget(100)
    with pytest.raises(ZeroDivisionError), budget.reserve(60):
        raise ZeroDivisionError
    assert budget.reserved == 0


# ---- what images take ----


def test_pixels_are_counted_in_files_and_arrays():
    files = np.array([png(10, 20), b"no image", png(1, 1)], object)
    inputs = {"a": files, "b": np.zeros((2, 4, 5, 3)), "c": np.zeros((10, 1000)), "d": np.zeros((2, 3, 4, 5))}
    assert check_inputs(inputs, Limits()) == 200 + 1 + 40 + 40  # the channels of the last come first


def wide(dtype="float32", shape=(None, None, None, 3)):
    """Holds thirty numbers of 4 bytes for each pixel at once, which it makes of the image's and adds up."""

    def add(image):
        many = tf.tile(tf.cast(image, "float32"), [1, 1, 1, 10])
        return {"y": tf.reduce_sum(many, -1)}

    return tf.Module(), {"serving_default": serving_models.signature(add, serving_models.tensor(dtype, "x", shape))}


@pytest.mark.parametrize("dtype, shape", [("float32", (None, None, None, 3)), ("uint8", (1, 64, 96, 3))])
def test_what_a_pixel_takes_is_measured(tmp_path, dtype, shape):
    found = bytes_a_pixel(engine_of(tmp_path, wide(dtype, shape)))["serving_default"]
    assert 2 * 120 <= found <= 2 * 150  # those, the image, the sum; and as much again that the allocator does not see


def test_models_of_no_images_take_nothing(tmp_path):
    assert bytes_a_pixel(engine_of(tmp_path / "1", serving_models.several()))["serving_default"] == 0
    assert bytes_a_pixel(engine_of(tmp_path / "2", serving_models.half_plus(2))) == {"serving_default": 0}


def channels_first():
    function = wide()[1]["serving_default"]

    def add(image):
        return {"y": function(tf.transpose(image, [0, 2, 3, 1]))["y"]}

    image = serving_models.tensor("float32", "x", (None, 3, None, None))
    return tf.Module(), {"serving_default": serving_models.signature(add, image)}


def test_channels_may_come_first(tmp_path):
    engine = engine_of(tmp_path, channels_first())
    image = np.zeros((1, 3, 512, 512), np.float32)
    reserved = check_inputs({"x": image}, Limits()) * bytes_a_pixel(engine)["serving_default"]
    assert reserved == pytest.approx(2 * engine.peak_bytes("serving_default", {"x": image}), rel=0.05)


def test_a_fixed_number_of_files_is_measured_with_as_many(tmp_path):
    def eight(image_bytes):
        files = tf.unstack(image_bytes, 8)
        return {"y": tf.stack([tf.reduce_max(tf.image.decode_png(file, 3)) for file in files])}

    signature = serving_models.signature(eight, serving_models.tensor("string", "image_bytes", (8,)))
    assert bytes_a_pixel(engine_of(tmp_path, (tf.Module(), {"serving_default": signature})))["serving_default"] > 0


def with_traces(folder):
    """Learns from an image, writes one to a file, and tells what it has learned."""
    module = tf.Module()
    module.learned, module.table = tf.Variable(1.0), tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, -1)
    image, files = serving_models.tensor("float32", "x", (None, None, None, 3)), serving_models.tensor("string")

    @tf.function
    def add(x):
        return module.learned.assign_add(tf.reduce_sum(x) + 1)

    def write(x):
        with tf.control_dependencies([tf.io.write_file(f"{folder}/written", x[0])]):
            return {"y": tf.identity(x)}

    def insert(x):
        with tf.control_dependencies([module.table.insert(tf.constant(1, tf.int64), tf.reduce_sum(x))]):
            return {"y": tf.reduce_sum(x)}

    functions = {
        "train": (lambda x: {"y": tf.cond(tf.size(x) > 0, lambda: add(x), lambda: 0.0)}, image),
        "write": (write, files),
        "insert": (insert, image),
        "learned": (lambda x: {"y": tf.reduce_sum(tf.tile(x, [1, 1, 1, 10])) + module.learned}, image),
    }
    return module, {name: serving_models.signature(*found) for name, found in functions.items()}


def test_what_would_change_the_model_or_a_file_is_not_run(tmp_path):
    engine = engine_of(tmp_path / "1", with_traces(tmp_path))
    found = bytes_a_pixel(engine)
    assert engine.run("learned", {"x": np.zeros((1, 1, 1, 3), np.float32)}) == {"y": 1}
    assert not (tmp_path / "written").exists()
    for name in ("train", "write", "insert"):
        with pytest.raises(ServingError, match="may leave something changed"):
            engine.peak_bytes(name, {"x": np.zeros((1, 1, 1, 3), np.float32)})
    assert set(found.values()) == {found["learned"]} and found["learned"] > 0  # the others may take as much
    assert engine.run("train", {"x": np.zeros((1, 1, 1, 3), np.float32)}) == {"y": 2}  # whoever asks for it gets it


def test_variables_of_tensorflow_1_stay_too(tmp_path):
    v1 = tf.compat.v1
    with v1.Session(graph=tf.Graph()) as session:
        image = v1.placeholder(tf.float32, [None, None, None, 3])
        learned = v1.Variable(1.0, use_resource=False)
        step = v1.assign_add(learned, tf.reduce_sum(image) + 1)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "1"), {"x": image}, {"y": step})
    engine = Engine(tmp_path / "1")
    assert bytes_a_pixel(engine) == {"serving_default": 0}
    assert engine.run("serving_default", {"x": np.zeros((1, 1, 1, 3), np.float32)}) == {"y": 2}


def test_a_model_that_cannot_be_measured_is_served(tmp_path):
    huge = serving_models.tensor("float32", "x", (1, 2**20, 2**20, 3))
    small = serving_models.tensor("float32", "x", (None, None, None, 3))

    def only(x):
        with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(x)[1], 512)]):
            return {"y": tf.reduce_sum(x)}

    for name, function, inputs in (("huge", lambda x: {"y": tf.reduce_sum(x)}, huge), ("only", only, small)):
        signatures = {"serving_default": serving_models.signature(function, inputs)}
        serving_models.write(tmp_path / name / "1", (tf.Module(), signatures))
    repository = Repository(tmp_path)
    repository.scan()
    assert [version.name for version in repository.newest()] == ["huge", "only"]
    repository.close()


def test_images_of_a_fixed_size_that_would_not_fit_are_not_tried(monkeypatch):
    class Hungry:
        signatures = {
            name: Signature({"x": TensorInfo("float32", (1, side, side, 3))}, {}, "")
            for name, side in (("a_large", 2048), ("small", None), ("wide", 512))
        }
        tried = []

        def peak_bytes(self, name, inputs):
            self.tried.append(name)
            return 500 * inputs["x"].size // 3

    monkeypatch.setattr(memory, "free_bytes", lambda: 2 * 10**9)
    assert bytes_a_pixel(Hungry()) == {"a_large": 1000, "small": 1000, "wide": 1000}
    assert Hungry.tried == ["small", "wide"]


@pytest.mark.parametrize("dtype", ["resource", "bfloat16"])
def test_types_that_numpy_lacks_take_nothing(dtype):
    class Refusing:
        signatures = {"a": Signature({"x": TensorInfo(dtype, (None, None, None, 3))}, {}, "")}

        def peak_bytes(self, name, inputs):
            raise invalid("no such input")

    assert bytes_a_pixel(Refusing()) == {"a": 0}


def test_images_that_do_not_fit_are_refused_and_others_answered(tmp_path):
    serving_models.write(tmp_path / "negative" / "1", serving_models.negative())
    repository = Repository(tmp_path)
    repository.scan()
    (version,) = repository.newest()
    taken = version.bytes_a_pixel["serving_default"]
    assert taken > 0
    app = create_app(repository, Limits(max_memory_bytes=taken * 100 * 100))
    small, large = (ask_now(app, "POST", "/v1/models/negative:predict", instance(side)) for side in (100, 101))
    assert small.status == 200
    assert large.status == 429 and "of memory" in large.json()["error"]
    assert ask_now(app, "POST", "/v1/models/negative:predict", instance(100)).status == 200


def instance(side):
    return json.dumps({"instances": [{"b64": base64.b64encode(png(side, 100)).decode()}]}).encode()
