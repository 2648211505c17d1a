"""The gRPC interface, by the stubs that clients of TensorFlow Serving use, over toy models."""
# ruff: noqa: E402 (what the extra brings is imported after it is looked for)

import io
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import serving_models
import tensorflow as tf
from conftest import ROOT, command_settings
from PIL import Image
from serving_process import Server, eventually, predict

grpc = pytest.importorskip("grpc", reason="needs the extra [serve]")
pytest.importorskip("tensorflow_serving.apis", reason="needs the extra [serve]")
pytest.importorskip("grpc_health", reason="needs the extra [serve]")

from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tf_cyclegan.serving import limits as limits_module
from tf_cyclegan.serving import server
from tf_cyclegan.serving.errors import ServingError
from tf_cyclegan.serving.grpc.grpc_server import GrpcServer
from tf_cyclegan.serving.grpc.grpc_tensors import read_tensor, write_tensor
from tf_cyclegan.serving.limits import Limits
from tf_cyclegan.serving.repository import Repository
from tf_cyclegan.serving.rest.http_server import make_server
from tf_cyclegan.serving.server import create_app, run_serve
from tf_cyclegan.settings.commands import ServeSettings

LIMIT = 2**20
PREDICT = "/tensorflow.serving.PredictionService/Predict"


def serve(directory, **limits):
    """A server in a thread, its stubs, and what ends it."""
    repository = Repository(directory, labels=serving_models.LABELS)
    repository.scan()
    limits = Limits(**{"max_body_bytes": LIMIT, "max_running": 2, "max_queued": 2, **limits})
    app = create_app(repository, limits)
    address = server._free_address("127.0.0.1", 0)
    port = int(address.rpartition(":")[2])
    running = make_server(app, grpc_server=GrpcServer(app.state.service, address))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=running.run, args=([listener],), daemon=True)
    thread.start()
    eventually(lambda: running.started or not thread.is_alive())  # gRPC refuses until it listens
    assert running.started

    def stop():
        running.should_exit = True
        thread.join()
        repository.close()

    return SimpleNamespace(app=app, port=port, url=f"http://127.0.0.1:{listener.getsockname()[1]}", stop=stop)


def stubs(port, **options):
    options = {"max_send_message_length": -1, "max_receive_message_length": -1, **options}
    options = [(f"grpc.{name}", value) for name, value in options.items()]
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
    grpc.channel_ready_future(channel).result(60)
    return SimpleNamespace(
        channel=channel,
        prediction=prediction_service_pb2_grpc.PredictionServiceStub(channel),
        model=model_service_pb2_grpc.ModelServiceStub(channel),
        health=health_pb2_grpc.HealthStub(channel),
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return serving_models.write_all(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def served(models):
    running = serve(models)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(served):
    found = stubs(served.port)
    yield found
    found.channel.close()


def request(model, signature="", **inputs):
    made = predict_pb2.PredictRequest()
    made.model_spec.name, made.model_spec.signature_name = model, signature
    for name, value in inputs.items():
        made.inputs[name].CopyFrom(value if isinstance(value, TensorProto) else tf.make_tensor_proto(value))
    return made


def proto(dtype, shape=(), **fields):
    made = TensorProto(dtype=dtype, **fields)
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    return made


def refusal(call, *arguments, **settings):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, timeout=settings.pop("timeout", 60), **settings)
    return caught.value.code().name, caught.value.details()


# ---- predict ----


def test_the_documented_request(client, served):
    reply = client.prediction.Predict(request("half_plus_two", x=np.float32([1, 2, 5])), timeout=60)
    assert list(reply.outputs["y"].float_val) == [2.5, 3.0, 4.5]  # where TensorFlow Serving has them
    assert [dim.size for dim in reply.outputs["y"].tensor_shape.dim] == [3]
    assert (reply.model_spec.name, reply.model_spec.version.value) == ("half_plus_two", 123)
    assert reply.model_spec.signature_name == "serving_default"
    assert predict(served.url, "half_plus_two", {"instances": [1.0, 2.0, 5.0]}).json() == {
        "predictions": [2.5, 3.0, 4.5]
    }
    assert client.prediction.Predict(request("half_plus_three", x=np.float32([[0]]))).outputs["y"].float_val == [3]


@pytest.mark.parametrize("choose", [("version", 1), ("label", "stable"), (None, None)])
def test_versions_and_labels(client, choose):
    asked = request("half_plus", x=np.float32([1]))
    if choose[0] == "version":
        asked.model_spec.version.value = choose[1]
    elif choose[0] == "label":
        asked.model_spec.version_label = choose[1]
    reply = client.prediction.Predict(asked, timeout=60)
    assert (reply.model_spec.version.value, list(reply.outputs["y"].float_val)) == ((1, [2.5]), (2, [3.5]))[
        choose[0] is None
    ]


def test_the_outputs_that_are_asked_for(client):
    asked = request("several", a=np.float32([3]), b=np.int32([1]))
    assert sorted(client.prediction.Predict(asked).outputs) == ["difference", "sum"]
    asked.output_filter.append("difference")
    assert sorted(client.prediction.Predict(asked).outputs) == ["difference"]
    asked.output_filter.append("difference")
    assert refusal(client.prediction.Predict, asked)[0] == "INVALID_ARGUMENT"
    asked.output_filter[:] = ["no"]
    words = "output tensor alias not found in signature: no Outputs expected to be in the set {difference,sum}."
    assert refusal(client.prediction.Predict, asked) == ("INVALID_ARGUMENT", words)


def test_errors_have_the_codes_and_words_of_rest(client, served):
    ask = client.prediction.Predict
    one = np.float32([1])
    versioned, labeled = request("half_plus", x=one), request("half_plus", x=one)
    versioned.model_spec.version.value = 5
    labeled.model_spec.version_label = "no"
    for asked, code, words in [
        (request("no", x=one), "NOT_FOUND", "Servable not found for request: Latest(no)"),
        (versioned, "NOT_FOUND", "Servable not found for request: Specific(half_plus, 5)"),
        (labeled, "INVALID_ARGUMENT", "Unrecognized servable version label: no"),
        (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (request("half_plus", "no", x=one), "FAILED_PRECONDITION", 'Serving signature key "no" not found.'),
        (request("half_plus"), "INVALID_ARGUMENT", "Expected inputs ['x'] but got: []"),
        (request("half_plus", x=one, z=one), "INVALID_ARGUMENT", "Expected inputs ['x'] but got: ['x', 'z']"),
        (request("half_plus", x=[1]), "INVALID_ARGUMENT", "Input x must be of type float32 but got: int32"),
        (
            request("half_plus", x=np.float32([0] * 33)),
            "INVALID_ARGUMENT",
            "Input x has 33 instances. Expected at most: 32",
        ),
    ]:
        assert refusal(ask, asked) == (code, words)
    code, words = refusal(ask, request("refuse", x=-one))
    assert code == "INVALID_ARGUMENT" and words.startswith("assertion failed: [not positive]")
    assert predict(served.url, "no", {"instances": [1]}).json()["error"] == "Servable not found for request: Latest(no)"


def test_long_errors_are_cut(client):
    code, words = refusal(client.prediction.Predict, request("é" * 3000, x=np.float32([1])))
    assert code == "NOT_FOUND" and 900 < len(words) < 1100


@pytest.mark.parametrize("dtype", serving_models.ECHOED + ["half"])
def test_every_type_comes_back(client, dtype):
    values = {"string": [[b"a\x00", b"\xff"]], "bool": [[True, False]]}.get(dtype, [[1, 0]])
    array = np.array(values, object if dtype == "string" else {"half": "float16"}.get(dtype, dtype))
    reply = client.prediction.Predict(request("echo", dtype, x=tf.make_tensor_proto(array)), timeout=60)
    found = tf.make_ndarray(reply.outputs["y"])
    assert found.dtype == array.dtype and found.tolist() == array.tolist()


def test_methods_that_are_not_there(client):
    for call, asked in [
        (client.prediction.Classify, classification_pb2.ClassificationRequest()),
        (client.prediction.Regress, regression_pb2.RegressionRequest()),
        (client.prediction.MultiInference, inference_pb2.MultiInferenceRequest()),
        (client.model.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest()),
    ]:
        assert refusal(call, asked)[0] == "UNIMPLEMENTED"


# ---- what is served ----


def test_metadata(client):
    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    assert refusal(client.prediction.GetModelMetadata, asked) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    asked.model_spec.name = "half_plus_two"
    reply = client.prediction.GetModelMetadata(asked, timeout=60)
    assert (reply.model_spec.name, reply.model_spec.version.value) == ("half_plus_two", 123)
    found = get_model_metadata_pb2.SignatureDefMap.FromString(reply.metadata["signature_def"].value).signature_def
    assert found["serving_default"].inputs["x"].dtype == types_pb2.DT_FLOAT
    assert [dim.size for dim in found["serving_default"].inputs["x"].tensor_shape.dim] == [-1, 1]
    asked.metadata_field[:] = ["no"]
    words = "Metadata field no is not supported"
    assert refusal(client.prediction.GetModelMetadata, asked) == ("INVALID_ARGUMENT", words)
    asked.metadata_field[:] = []
    assert refusal(client.prediction.GetModelMetadata, asked)[0] == "INVALID_ARGUMENT"


def test_status(client):
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "half_plus"
    found = client.model.GetModelStatus(asked, timeout=60).model_version_status
    assert [(entry.version, entry.state, entry.status.error_code) for entry in found] == [(2, 30, 0), (1, 30, 0)]
    asked.model_spec.version_label = "stable"
    assert [entry.version for entry in client.model.GetModelStatus(asked).model_version_status] == [1]
    asked.model_spec.name = "no"
    asked.model_spec.version.value = 7
    assert refusal(client.model.GetModelStatus, asked) == ("NOT_FOUND", "Could not find version 7 of model no")
    asked.model_spec.name = "n" * 70_000
    assert refusal(client.model.GetModelStatus, asked)[0] == "RESOURCE_EXHAUSTED"


def health(client, service):
    return client.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=60).status


def test_health(client):
    for service in ("", "half_plus_two", "tensorflow.serving.PredictionService"):
        assert health(client, service) == health_pb2.HealthCheckResponse.SERVING
    assert refusal(client.health.Check, health_pb2.HealthCheckRequest(service="no"))[0] == "NOT_FOUND"


# ---- limits ----


def test_metrics_name_the_interface(client, served):
    client.prediction.Predict(request("half_plus", x=np.float32([1])), timeout=60)
    refusal(client.prediction.Predict, request("invented", x=np.float32([1])))
    text = served.app.state.service.telemetry.exposition().decode()
    assert 'request_latency_count{API="predict",entrypoint="GRPC",model_name="half_plus"}' in text
    assert 'request_count{model_name="half_plus",status="OK"}' in text and "invented" not in text


def busy(rounds=10**9):
    return request("busy", rounds=np.int32([rounds]))


def test_both_deadlines_hold(models):
    running = serve(models, timeout_seconds=3.0)
    client = stubs(running.port)
    for timeout, least, most in ((0.3, 0.25, 2.9), (60, 2.9, 50)):
        started = time.monotonic()
        assert refusal(client.prediction.Predict, busy(), timeout=timeout)[0] == "DEADLINE_EXCEEDED"
        assert least < time.monotonic() - started < most
    wait_until_idle(running)
    running.stop()


def wait_until_idle(running, seconds=60):
    eventually(lambda: not running.app.state.service.admission.running, seconds)


def test_the_clients_deadline_ends_the_work(served, client):
    assert refusal(client.prediction.Predict, busy(), timeout=0.3)[0] == "DEADLINE_EXCEEDED"
    wait_until_idle(served, 25)  # before the 30 seconds of the server's deadline


def test_what_is_too_much_is_refused_and_what_a_client_cancels_is_dropped(models):
    running = serve(models, timeout_seconds=10.0, max_running=1, max_queued=1)
    client, admission = stubs(running.port), running.app.state.service.admission
    first = client.prediction.Predict.future(busy())
    eventually(lambda: admission.running)
    second = client.prediction.Predict.future(busy())
    eventually(lambda: admission.queued)
    assert refusal(client.prediction.Predict, request("half_plus", x=np.float32([1])))[0] == "UNAVAILABLE"
    assert health(client, "") == health_pb2.HealthCheckResponse.SERVING
    second.cancel()
    eventually(lambda: not admission.queued)
    assert first.exception().code().name == "DEADLINE_EXCEEDED"
    assert client.prediction.Predict(request("half_plus", x=np.float32([1])), timeout=60)
    text = running.app.state.service.telemetry.exposition().decode()
    assert 'request_count{model_name="busy",status="DEADLINE_EXCEEDED"} 1.0' in text
    assert 'request_count{model_name="",status="CANCELLED"} 1.0' in text  # it was never read
    running.stop()


def test_a_request_that_does_not_come_is_not_waited_for(models):
    running = serve(models, timeout_seconds=2.0)
    call = stubs(running.port).channel.stream_unary(PREDICT)
    never = threading.Event()
    with pytest.raises(grpc.RpcError) as caught:
        call(iter(never.wait, None), timeout=30)
    never.set()
    assert caught.value.code().name == "DEADLINE_EXCEEDED" and "did not arrive" in caught.value.details()
    with pytest.raises(grpc.RpcError, match="The call has no request"):
        call(iter(()), timeout=30)
    running.stop()


def test_health_does_not_wait_for_calls_that_ask_nothing(models):
    running = serve(models, body_seconds=60.0)
    client, never = stubs(running.port), threading.Event()
    status = client.channel.stream_unary("/tensorflow.serving.ModelService/GetModelStatus")
    silent = [status.future(iter(never.wait, None)) for _ in range(20)]
    started = time.monotonic()
    assert health(client, "half_plus") == health_pb2.HealthCheckResponse.SERVING
    assert time.monotonic() - started < 50
    never.set()
    for call in silent:
        call.cancel()
    running.stop()


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_messages_beyond_the_limit(client, compression, caplog):
    large = request("echo", "string", x=np.array([bytes(LIMIT)], object))
    assert refusal(client.prediction.Predict, large, compression=compression)[0] == "RESOURCE_EXHAUSTED"
    assert not caplog.records  # gRPC answers by itself, and nothing else is tried
    fits = request("echo", "string", x=np.array([bytes(LIMIT - 200)], object))
    reply = client.prediction.Predict(fits, timeout=60, compression=compression)
    assert len(reply.outputs["y"].string_val[0]) == LIMIT - 200


def test_replies_that_clients_do_not_take(models, monkeypatch):
    monkeypatch.setattr(limits_module, "_UNREAD", 1)
    size = 4 * LIMIT
    running = serve(models, max_body_bytes=size)
    # As it is by default, a client on a fast connection takes whole replies that nobody reads.
    client = stubs(running.port, **{"http2.bdp_probe": 0, "http2.lookahead_bytes": 65536})
    large = request("echo", "string", x=np.array([bytes(size - 200)], object)).SerializeToString()
    small = request("half_plus", x=np.float32([1]))
    untaken = []

    def refused_after_one_more():
        untaken.append(client.channel.unary_stream(PREDICT)(large, timeout=300))
        time.sleep(1)
        return not answers(client, small)

    eventually(refused_after_one_more)
    code, words = refusal(client.prediction.Predict, small)
    assert code == "UNAVAILABLE" and words.startswith("Too many replies wait")
    assert health(client, "") == health_pb2.HealthCheckResponse.SERVING
    assert len(next(untaken.pop(0))) > size - 200
    for call in untaken:
        call.cancel()
    eventually(lambda: answers(client, small))
    running.stop()


def answers(client, message):
    try:
        return client.prediction.Predict(message, timeout=60)
    except grpc.RpcError:
        return None


# ---- tensors of strangers ----


def varint(value):
    found = b""
    while value >= 0x80:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def around(tensor):
    """A request for `echo` by hand, around the bytes of a tensor."""
    spec = field(1, field(1, b"echo"))
    return spec + field(2, field(1, b"x") + field(2, tensor))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff", "INVALID_ARGUMENT"),
        (b"\x0b", "INVALID_ARGUMENT"),
        (b"\x0a\xff\xff\x03", "INVALID_ARGUMENT"),
        (field(1, field(1, b"\xff\xfe")), "INVALID_ARGUMENT"),
        (around(field(8, b"") * 100_000), "RESOURCE_EXHAUSTED"),
        (around(field(2, field(2, b"") * 100_000)), "RESOURCE_EXHAUSTED"),
        (field(2, b"") * 100_000, "RESOURCE_EXHAUSTED"),
        (field(3, b"") * 100_000, "RESOURCE_EXHAUSTED"),
        (around(field(10, b"\x01" * (LIMIT // 8 + 1))), "INVALID_ARGUMENT"),
        (around(field(10, b"\xff\x01" * (LIMIT // 8))), "UNIMPLEMENTED"),  # few enough, but it has no type
        (around(field(14, b"")), "UNIMPLEMENTED"),
        (around(field(15, field(3, b"") * 99)), "UNIMPLEMENTED"),
        (
            field(1, field(1, b"echo")) + b"".join(field(2, field(1, b"%d" % n)) for n in range(20_000)),
            "INVALID_ARGUMENT",
        ),
    ],
)
def test_messages_by_hand(client, data, code):
    assert refusal(client.channel.unary_unary(PREDICT), data)[0] == code


HUGE = 10**9


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (proto("DT_FLOAT", [HUGE], float_val=[1]), "4000000000 bytes. Expected at most: 1000"),
        (proto("DT_FLOAT", [HUGE]), "bytes. Expected at most"),
        (proto("DT_FLOAT", [0, 2**62]), "bytes. Expected at most"),
        (proto("DT_FLOAT", [2**62, 2**62, 2**62]), "bytes. Expected at most"),
        (proto("DT_STRING", [HUGE], string_val=[b"x"]), "bytes. Expected at most"),
        (proto("DT_STRING", [100], string_val=[b"x" * 11]), "strings of 1100 bytes. Expected at most: 1000"),
        (proto("DT_FLOAT", [-1]), r"the shape \[-1\]. Expected: at most 32 sides of 0 or more"),
        (proto("DT_FLOAT", [-1, -4]), "the shape"),
        (proto("DT_FLOAT", [1] * 33), "the shape"),
        (proto("DT_FLOAT", tensor_shape={"unknown_rank": True}), "no shape"),
        (proto("DT_FLOAT", [2], float_val=[1, 2, 3]), "3 values in float_val. Expected by its shape at most: 2"),
        (proto("DT_FLOAT", [2], tensor_content=b"1234567"), "7 bytes of tensor_content. Expected .* 8"),
        (proto("DT_FLOAT", [2], tensor_content=b"123456789"), "9 bytes of tensor_content. Expected .* 8"),
        (proto("DT_STRING", [1], tensor_content=b"\x01a"), "strings in tensor_content. Expected them in: string_val"),
        (proto("DT_INT8", [1], int_val=[128]), "values that are none of int8"),
        (proto("DT_UINT16", [1], int_val=[-1]), "values that are none of uint16"),
        (proto("DT_HALF", [1], half_val=[2**16]), "values that are none of float16"),
        (proto("DT_COMPLEX64", [2], scomplex_val=[1, 2, 3]), "3 halves of complex numbers"),
        (proto("DT_RESOURCE", [1]), "type DT_RESOURCE, which is not taken"),
        (proto("DT_VARIANT", [1]), "type DT_VARIANT"),
        (proto("DT_QINT8", [1]), "type DT_QINT8"),
        (proto("DT_FLOAT_REF", [1]), "type DT_FLOAT_REF"),
        (proto("DT_INVALID"), "type DT_INVALID"),
        (proto(9999), "type 9999"),
    ],
)
def test_tensors_that_claim_what_they_are_not(tensor, words):
    with pytest.raises(ServingError, match=f"^Input x .*{words}"):
        read_tensor(tensor, "x", 1000)


def test_a_small_request_takes_no_memory(client):
    splat = proto("DT_FLOAT", [HUGE], float_val=[1])
    assert refusal(client.prediction.Predict, request("echo", x=splat))[0] == "INVALID_ARGUMENT"
    many = request("several", a=proto("DT_FLOAT", [LIMIT // 8]), b=proto("DT_INT32", [LIMIT // 5]))
    assert "bytes. Expected at most" in refusal(client.prediction.Predict, many)[1]  # of all inputs together


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (proto("DT_FLOAT", [2, 2], float_val=[1, 2]), np.float32([[1, 2], [2, 2]])),
        (proto("DT_INT64", [3]), np.int64([0, 0, 0])),
        (proto("DT_STRING", [3], string_val=[b"a", b"b\0"]), np.array([b"a", b"b\0", b"b\0"], object)),
        (proto("DT_STRING", [2]), np.array([b"", b""], object)),
        (proto("DT_STRING", [], string_val=[b"a\0"]), np.array(b"a\0", object)),
        (proto("DT_BOOL", [3], tensor_content=b"\x00\x01\x02"), np.array([False, True, True])),
        (proto("DT_COMPLEX64", [2], scomplex_val=[1, 2]), np.complex64([1 + 2j, 1 + 2j])),
        (proto("DT_HALF", [2], half_val=[0x3C00]), np.float16([1, 1])),
        (proto("DT_FLOAT", [0, 5]), np.zeros((0, 5), "float32")),
        (proto("DT_UINT8", [1], int_val=[255]), np.uint8([255])),
    ],
)
def test_short_forms(tensor, expected):
    found = read_tensor(tensor, "x", 1000)
    assert found.dtype == expected.dtype and found.shape == expected.shape and found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    "name", sorted(set(serving_models.ECHOED) | {"half", "bfloat16", "uint16", "complex64", "complex128"})
)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3), (40_000,)])
def test_tensors_there_and_back(name, shape):
    dtype = tf.as_dtype(name)
    numbers = np.random.RandomState(0).randint(0, 100, shape)
    array = numbers.astype(dtype.as_numpy_dtype)
    if dtype == tf.string:
        array = np.array([b"%d\0" % number for number in np.ravel(numbers)], object).reshape(shape)
    written = write_tensor(array)
    for tensor in (written, tf.make_tensor_proto(array, dtype)):
        for found in (read_tensor(tensor, "x", 2**20), tf.make_ndarray(tensor)):
            assert found.dtype == array.dtype and found.shape == shape and found.tolist() == array.tolist()


def test_outputs_that_protos_do_not_have():
    with pytest.raises(ServingError, match="An output is of type datetime64"):
        write_tensor(np.zeros(1, "datetime64[s]"))


# ---- the command ----


def grpc_port(running):
    return int(re.search(r"gRPC at 127\.0\.0\.1:(\d+)", "".join(running._output))[1])


def test_a_process_answers_what_it_accepted(models):
    with Server(models, "--grpc-port=0", "--timeout-seconds=10") as running:
        client = stubs(grpc_port(running))
        watching = client.health.Watch(health_pb2.HealthCheckRequest(service="half_plus"))
        assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
        last, counts = client.prediction.Predict.future(busy()), [0] * 4
        with ThreadPoolExecutor(4) as pool:
            askers = [pool.submit(ask_until_gone, client, counts, number) for number in range(4)]
            eventually(lambda: all(count > 10 for count in counts) or any(asker.done() for asker in askers))
            running.process.terminate()
            assert next(watching).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert list(watching) == []
            assert [asker.result() for asker in askers] == [grpc.StatusCode.UNAVAILABLE] * 4
        assert last.exception().code().name == "DEADLINE_EXCEEDED"
        assert running.process.wait(120) == 0 and all(count > 10 for count in counts)
        assert running.errors() == ""


def ask_until_gone(client, counts, number):
    """Counts the calls that are answered; returns the code of the first that is not."""
    while True:
        try:
            assert client.prediction.Predict(request("half_plus", x=np.float32([1])), timeout=60).outputs["y"].float_val
        except grpc.RpcError as error:
            return error.code()
        counts[number] += 1


def test_addresses_that_cannot_be_had(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="^Cannot listen on "):
            run_serve(
                command_settings(ServeSettings, directory=tmp_path, port=0, grpc_port=taken.getsockname()[1]), print
            )


@pytest.mark.parametrize("missing", ["grpc", "tensorflow_serving.apis.predict_pb2", "grpc_health"])
def test_without_the_extra_one_line_says_what_to_install(tmp_path, missing):
    code = f"""
import sys
sys.modules[{missing!r}] = None
from tf_cyclegan.cli import main
sys.exit(main(["serve", "--grpc-port=0", {str(tmp_path)!r}]))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = [line for line in found.stderr.splitlines() if "--grpc-port" in line]
    assert found.returncode == 2 and len(lines) == 1 and "Traceback" not in found.stderr
    assert f'--grpc-port needs pip install "tf_cyclegan[serve]". Missing or broken: {missing}' in lines[0]


def test_the_clients_of_the_documents(tmp_path, monkeypatch):
    serving_models.write(tmp_path / "horse2zebra_ab" / "1", serving_models.negative())
    running = serve(tmp_path)
    Image.new("RGB", (20, 10), (255, 0, 0)).save(tmp_path / "horse.jpg", quality=100)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "export_and_serve.md").read_text()
    page = page.replace("localhost:8500", f"127.0.0.1:{running.port}").replace("http://localhost:8501", running.url)
    clients = [block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "horse.jpg" in block]
    assert len(clients) == 2
    for code in clients:
        names = {}
        exec(code, names)
        with Image.open(io.BytesIO(names["png"])) as image:
            assert image.size == (20, 10) and image.getpixel((5, 5))[0] < 5
    running.stop()
