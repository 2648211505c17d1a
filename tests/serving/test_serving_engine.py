"""The engine on real SavedModels: it loads, runs and refuses as TensorFlow Serving does."""

import json
import shutil
import time

import numpy as np
import pytest
import serving_models
import tensorflow as tf
from serving_asgi import ask_now

from tf_cyclegan.serving.engine import Engine
from tf_cyclegan.serving.errors import ServingError
from tf_cyclegan.serving.limits import Limits
from tf_cyclegan.serving.model_signatures import TensorInfo
from tf_cyclegan.serving.repository import Repository
from tf_cyclegan.serving.server import create_app

ONE = {"x": np.float32([1.0])}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    for name in ("half_plus_two/00000123", "half_plus/1", "echo/1", "several/1", "refuse/1", "busy/1"):
        serving_models.write(base / name, serving_models.MODELS[name]())
    return base


@pytest.fixture(scope="module")
def half(models):
    engine = Engine(models / "half_plus" / "1")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def documented(models):
    """half_plus_two as TensorFlow Serving has it."""
    engine = Engine(models / "half_plus_two" / "00000123")
    yield engine
    engine.close()


def refusal(engine, inputs, **settings):
    with pytest.raises(ServingError) as caught:
        engine.run("serving_default", inputs, **settings)
    return caught.value


def test_signatures_and_metadata(half):
    assert list(half.signatures) == ["serving_default"]
    signature = half.signatures["serving_default"]
    assert signature.inputs == {"x": TensorInfo("float32", (None,))} and list(signature.outputs) == ["y"]
    assert signature.method_name == "tensorflow/serving/predict"
    x = json.loads(json.dumps(half.metadata()))["serving_default"]["inputs"]["x"]
    assert x["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}


def test_run(half):
    assert half.run("serving_default", ONE)["y"].tolist() == [2.5]
    assert half.run("serving_default", ONE, timeout_seconds=60)["y"].tolist() == [2.5]


def test_inputs_that_do_not_fit(half):
    assert refusal(half, {"z": np.float32([1])}).message == "Expected inputs ['x'] but got: ['z']"
    with pytest.raises(ServingError, match='Serving signature name: "no" not found in signature def'):
        half.run("no", ONE)


@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3), (1, 1, 3), ()])
def test_shapes_are_the_graphs_matter(documented, shape):
    x = np.resize(np.float32([1, 2, 5]), shape)
    assert documented.signatures["serving_default"].inputs["x"].shape == (None, 1)
    np.testing.assert_array_equal(documented.run("serving_default", {"x": x})["y"], x / 2 + 2)
    np.testing.assert_array_equal(documented.run("regress_x2_to_y3", {"inputs": x})["outputs"], x / 2 + 3)


def test_a_tensor_can_be_fed_and_computed(documented):
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[5]))
    example = tf.train.Example(features=tf.train.Features(feature={"x": feature})).SerializeToString()
    assert documented.run("regress_x_to_y", {"inputs": np.array([example], object)})["outputs"].tolist() == [[4.5]]


def test_shapes_that_operations_refuse(documented, models):
    with pytest.raises(ServingError, match="Expected serialized to be a scalar or vector") as caught:
        documented.run("regress_x_to_y", {"inputs": np.array([[b""]], object)})
    assert caught.value.code == "INVALID_ARGUMENT"


def test_strings_of_many_dimensions_do_not_end_the_process(models):
    engine = Engine(models / "echo" / "1")
    assert engine.run("string", {"x": np.full((1,) * 24, b"", object)})["y"].ndim == 24
    assert engine.run("float32", {"x": np.zeros((1,) * 32, "float32")})["y"].ndim == 32
    with pytest.raises(ServingError, match="Input x has 33 dimensions. Expected of strings at most: 24"):
        engine.run("string", {"x": np.full((1,) * 33, b"", object)})
    engine.close()


@pytest.mark.parametrize("dtype", ["float64", "int32", "bool", "float16", object])
def test_types_are_not_converted(half, dtype):
    name = "string" if dtype is object else dtype
    error = refusal(half, {"x": np.zeros(1, dtype)})
    assert error.code == "INVALID_ARGUMENT" and error.message == f"Input x must be of type float32 but got: {name}"


def test_the_outputs_that_are_asked_for(models):
    engine = Engine(models / "several" / "1")
    pair = {"a": np.float32([3]), "b": np.int32([1])}
    assert engine.run("serving_default", pair, outputs=["difference"]) == {"difference": [2]}
    assert sorted(engine.run("serving_default", pair)) == ["difference", "sum"]
    engine.close()


@pytest.fixture
def unusual(tmp_path):
    """A SavedModel whose signatures a program other than Keras wrote."""
    v1 = tf.compat.v1
    with v1.Session(graph=tf.Graph()) as session:
        x = v1.placeholder(tf.float32, [2], "x")
        sparse, info = v1.sparse_placeholder(tf.float32), v1.saved_model.build_tensor_info
        handle = v1.placeholder(tf.resource, [])
        signatures = {
            "echo": v1.saved_model.build_signature_def({"x": info(x)}, {"same": info(x), "y": info(x + 1)}),
            "twice": v1.saved_model.build_signature_def({"a": info(x), "b": info(x)}, {"y": info(x + 1)}),
            "sparse": v1.saved_model.build_signature_def({"x": info(sparse)}, {"y": info(sparse.values + 1)}),
            "handle": v1.saved_model.build_signature_def({"x": info(handle)}, {"y": info(tf.identity(handle))}),
            "default": v1.saved_model.build_signature_def({"x": info(x)}, {"y": info(x * 2)}),
        }
        signatures["default"].defaults["x"].CopyFrom(tf.make_tensor_proto(np.float32([7, 8])))
        builder = v1.saved_model.Builder(str(tmp_path / "1"))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()
    engine = Engine(tmp_path / "1")
    yield engine
    engine.close()


def test_unusual_signatures(unusual):
    one = {"x": np.float32([1])}
    assert unusual.run("echo", one) == {"same": [1], "y": [2]}  # an output that is an input
    assert unusual.run("default", {})["y"].tolist() == [14, 16] and unusual.run("default", one)["y"] == [2]
    for name, inputs, code, words in [
        ("twice", {"a": one["x"], "b": one["x"]}, "INVALID_ARGUMENT", r"The inputs \['a', 'b'\] are 1 tensors"),
        ("sparse", one, "INVALID_ARGUMENT", "Cannot interpret feed_dict key"),
        ("handle", one, "UNIMPLEMENTED", "Input x is of type resource"),
    ]:
        with pytest.raises(ServingError, match=words) as caught:
            unusual.run(name, inputs)
        assert caught.value.code == code


def test_the_models_own_words_without_the_servers_stack(models):
    engine = Engine(models / "refuse" / "1")
    error = refusal(engine, {"x": np.float32([-1])})
    assert error.code == "INVALID_ARGUMENT" and error.message.startswith("assertion failed: [not positive]")
    assert "File" not in error.message and "Graph execution error" not in error.message
    engine.close()


def test_a_timeout_ends_the_work_and_not_the_engine(models):
    engine = Engine(models / "busy" / "1")
    started = time.monotonic()
    error = refusal(engine, {"rounds": np.int32([10**9])}, timeout_seconds=0.2)
    assert error.code == "DEADLINE_EXCEEDED" and time.monotonic() - started < 60
    assert engine.run("serving_default", {"rounds": np.int32([1])}, timeout_seconds=60)["y"].shape == (1,)
    engine.close()


@pytest.mark.parametrize("value", [[b"a\x00", b"\xff\x00"], b"scalar\x00\x00", []])
def test_strings_keep_every_byte(models, value):
    engine = Engine(models / "echo" / "1")
    found = engine.run("string", {"x": np.array(value, object)})["y"]
    assert found.dtype == object and found.tolist() == value
    engine.close()


def test_two_engines_do_not_meet(models, half):
    other = Engine(models / "refuse" / "1")
    other.close()
    assert half.run("serving_default", ONE)["y"].tolist() == [2.5]


def test_a_model_without_its_variables_is_not_loaded(models, tmp_path):
    shutil.copytree(models / "half_plus" / "1", tmp_path / "1")
    shutil.rmtree(tmp_path / "1" / "variables")
    with pytest.raises(ValueError, match="not a valid checkpoint"):
        Engine(tmp_path / "1")


def test_folders_without_a_model(tmp_path):
    with pytest.raises(OSError, match="does not exist"):
        Engine(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"junk")
    with pytest.raises(OSError, match="parse"):
        Engine(tmp_path)


def write_warmup(folder, *requests):
    """Records of the values that x gets."""
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason="needs tensorflow-serving-api")
    (folder / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(folder / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        for values in requests:
            log = logs.PredictionLog()
            log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32(values)))
            writer.write(log.SerializeToString())
        writer.write(logs.PredictionLog(classify_log=logs.ClassifyLog()).SerializeToString())


def test_the_warmup_is_replayed(models, half, tmp_path):
    assert half.replay_warmup() == 0
    shutil.copytree(models / "refuse" / "1", tmp_path / "refuse" / "1")
    shutil.copytree(models / "refuse" / "1", tmp_path / "refuse" / "2")
    write_warmup(tmp_path / "refuse" / "1", [1], [2, 3])
    write_warmup(tmp_path / "refuse" / "2", [1], [-1])
    engine = Engine(tmp_path / "refuse" / "1")
    assert engine.replay_warmup() == 2
    engine.close()
    repository = Repository(tmp_path)
    repository.scan()
    assert [version.number for version in repository.newest()] == [1]  # a version whose warmup fails stays out
    repository.close()


def test_from_request_to_reply(models):
    repository = Repository(models)
    repository.scan()
    app = create_app(repository, Limits())
    answer = ask_now(app, "POST", "/v1/models/half_plus_two:predict", b'{"instances": [1.0, 2.0, 5.0]}')
    assert answer.body == b'{\n    "predictions": [2.5, 3.0, 4.5\n    ]\n}'
    answer = ask_now(app, "GET", "/v1/models/half_plus_two/metadata")
    assert answer.body.startswith(
        b'{\n"model_spec":{\n "name": "half_plus_two",\n "signature_name": "",\n "version": "123"\n}\n,\n'
        b'"metadata": {"signature_def": {\n "signature_def": {\n  "classify_x_to_y": {\n   "inputs": {'
    )
    repository.close()


def test_outputs_that_no_reply_can_hold(tmp_path):
    def reserve(x):
        count = tf.size(x)
        made = tf.raw_ops.TensorListReserve(element_shape=[1], num_elements=count, element_dtype=tf.float32)
        return {"list": made, "count": count}

    signature = serving_models.signature(reserve, serving_models.tensor("float32"))
    serving_models.write(tmp_path, (tf.Module(), {"serving_default": signature}))
    engine, inputs = Engine(tmp_path), {"x": np.float32([1, 2])}
    with pytest.raises(ServingError, match="Output list is of type variant") as caught:
        engine.run("serving_default", inputs)
    assert caught.value.http_status == 501
    assert engine.run("serving_default", inputs, outputs=["count"]) == {"count": 2}
