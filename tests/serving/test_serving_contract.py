"""TensorFlow Serving's REST contract, on our server or, with --base-url, on any other.

serving_models.py says how to start TensorFlow Serving's container on the same toy models. What only our server does is
skipped there.
"""

import base64
import gzip
import http.client
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import pytest
import serving_cases
import serving_models
import serving_value_cases
import tensorflow as tf
from serving_cases import GOOD, HALF, MODELS, NOTHING, ONE_ROW
from serving_hostile import jpeg_header, png_header
from serving_process import Server, call, eventually, predict

STRICT = ["--cors", "--max-body-bytes=65536", "--max-pixels=10000", "--max-instances=4", "--timeout-seconds=5"]
CASES = serving_cases.CASES + serving_value_cases.CASES
ONE_AT_A_TIME = ["--max-running=1", "--max-queued=1"]


@pytest.fixture(autouse=True)
def fresh_keras():
    """Takes the place of conftest's: no process here has Keras, and cleaning it takes longer than a request."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return serving_models.write_all(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def url(request):
    """Where the server under test is."""
    given = request.config.getoption("--base-url", default=None)
    if given:
        yield given.rstrip("/")
        return
    with Server(request.getfixturevalue("models"), *serving_models.label_flags()) as server:
        yield server.url


@pytest.fixture
def ours(request, url):
    """Our server; these tests are of what it does beyond the contract."""
    if request.config.getoption("--base-url", default=None):
        pytest.skip("TensorFlow Serving differs here")
    return url


@pytest.fixture(scope="module")
def strict(request):
    """Our server with low limits."""
    if request.config.getoption("--base-url", default=None):
        pytest.skip("TensorFlow Serving has no such limits")
    with Server(request.getfixturevalue("models"), *STRICT, *ONE_AT_A_TIME) as server:
        yield server.url


def metrics_of(url):
    return call(url, "GET", "/monitoring/prometheus/metrics").body.splitlines()


def post(url, path, body, **headers):
    return call(url, "POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})


def encoded(value):
    return value.encode() if isinstance(value, str) else value


def error_of(reply):
    """The message of an error, which must be all that the reply has."""
    content = reply.json()
    assert list(content) == ["error"] and isinstance(content["error"], str)
    assert "Traceback" not in content["error"] and 'File "' not in content["error"]
    return content["error"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_reply(url, case):
    reply = call(url, case.verb(), case.path, encoded(case.body), case.headers)
    assert reply.status == case.status, reply.body
    assert reply.headers["content-type"] == "application/json"
    if case.text is not None:
        assert reply.body.decode() == case.text
    if case.json is not NOTHING:
        assert reply.json() == case.json
    if case.error is not None:
        assert re.search(case.error, error_of(reply)), error_of(reply)


def test_gzip(url):
    reply = post(url, HALF, gzip.compress(GOOD.encode()), Content_Encoding="gzip")
    assert (reply.status, reply.body.decode()) == (200, ONE_ROW)
    assert "content-encoding" not in reply.headers


def test_status_of_every_version(url):
    found = call(url, "GET", f"{MODELS}/half_plus").json()["model_version_status"]
    assert {(entry["version"], entry["state"]) for entry in found} == {("1", "AVAILABLE"), ("2", "AVAILABLE")}


def test_status_of_a_label(url):
    found = call(url, "GET", f"{MODELS}/half_plus/labels/stable").json()["model_version_status"]
    assert {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}} in found


def test_status_without_the_older_version(url):
    found = call(url, "GET", f"{MODELS}/newest").json()["model_version_status"]
    assert [entry["version"] for entry in found if entry["state"] == "AVAILABLE"] == ["2"]


def test_metadata(url):
    content = call(url, "GET", f"{MODELS}/half_plus_two/metadata").json()
    assert content["model_spec"] == {"name": "half_plus_two", "signature_name": "", "version": "123"}
    signature = content["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert {"inputs", "outputs"} <= set(signature) and set(signature["outputs"]) == {"y"}
    x = signature["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT" and x["name"].endswith(":0")
    sizes = [{"size": size, "name": ""} for size in ("-1", "1")]
    assert x["tensor_shape"] == {"dim": sizes, "unknown_rank": False}


@pytest.mark.parametrize(("place", "version"), [("", "2"), ("/versions/1", "1"), ("/labels/stable", "1")])
def test_metadata_of_a_version(url, place, version):
    content = call(url, "GET", f"{MODELS}/half_plus{place}/metadata").json()
    assert content["model_spec"]["version"] == version


def test_metadata_has_every_signature_and_rank(url):
    found = call(url, "GET", f"{MODELS}/echo/metadata").json()["metadata"]["signature_def"]["signature_def"]
    assert {*serving_models.ECHOED, "bytes", "half", "to_half", "serving_default"} <= set(found)
    assert found["string"]["inputs"]["x"]["dtype"] == "DT_STRING"
    assert found["string"]["inputs"]["x"]["tensor_shape"] == {"dim": [], "unknown_rank": True}


def test_images_are_bytes_both_ways(url):
    pixels = np.arange(2 * 3 * 3, dtype="uint8").reshape(2, 3, 3)
    images = [tf.io.encode_png(value).numpy() for value in (pixels, pixels[:, :1])]
    instances = [{"b64": base64.b64encode(image).decode()} for image in images]
    found = predict(url, "negative", {"instances": instances}).json()["predictions"]
    answers = [tf.io.decode_png(base64.b64decode(answer["b64"])).numpy() for answer in found]
    np.testing.assert_array_equal(answers[0], 255 - pixels)
    np.testing.assert_array_equal(answers[1], 255 - pixels[:, :1])


def test_bytes_that_are_no_image(url):
    reply = predict(url, "negative", {"instances": [{"b64": base64.b64encode(b"no image at all").decode()}]})
    assert reply.status == 400 and error_of(reply)


def test_every_float_comes_back_bit_for_bit(url):
    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint32)
    sent = np.concatenate([bits.view("float32"), np.float32([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 2**24])])
    body = json.dumps({"instances": [[float(value) for value in sent]]}).encode()
    reply = post(url, f"{MODELS}/echo:predict", body)
    texts = re.search(rb"\[\[(.*)\]", reply.body)[1].decode().split(", ")
    found = np.array([float(text) for text in texts], "float32")
    numbers = ~np.isnan(sent)
    np.testing.assert_array_equal(np.isnan(found), ~numbers)
    np.testing.assert_array_equal(found[numbers].view("uint32"), sent[numbers].view("uint32"))
    assert texts == [float_text(value) for value in sent]


def float_text(value):
    """Six digits where they say the value, else nine; never a whole number without a point or an exponent."""
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    short = f"{float(value):g}"
    text = short if np.float32(short) == value else f"{float(value):.9g}"
    return text if "." in text or "e" in text else f"{text}.0"


def test_a_connection_takes_request_after_request(url):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    for body, status in [(GOOD, 200), ("", 400), (GOOD, 200), ("{", 400), (GOOD, 200)]:
        connection.request("POST", HALF, body)
        reply = connection.getresponse()
        assert (reply.status, reply.read() == ONE_ROW.encode()) == (status, status == 200)
    connection.close()


def test_outside_the_api(url):
    assert call(url, "GET", "/nothing/here").status == 404


@pytest.mark.parametrize("origin", ["http://example.org", "https://example.org"])
def test_options_with_an_origin(url, origin):
    assert call(url, "OPTIONS", HALF, headers={"Origin": origin}).status == 200


@pytest.mark.parametrize("headers", [{}, {"Origin": "file://x"}])
def test_options_without_an_origin(url, headers):
    assert call(url, "OPTIONS", HALF, headers=headers).status == 400


# ---- what only our server does ---------------------------------------------------------------------------------------


def test_other_origins_may_not_read_by_default(ours):
    for method, body in (("OPTIONS", None), ("POST", GOOD.encode())):
        headers = call(ours, method, HALF, body, {"Origin": "http://example.org"}).headers
        assert not [name for name in headers if name.startswith("access-control-")]


def test_other_origins_may_read_where_it_is_said(strict):
    for method, body in (("OPTIONS", None), ("POST", GOOD.encode()), ("POST", b"{")):
        headers = call(strict, method, HALF, body, {"Origin": "http://example.org"}).headers
        assert headers["access-control-allow-origin"] == "*"
        assert headers["access-control-allow-methods"] == "POST, GET"
        assert headers["access-control-allow-headers"] == "Content-Type"


def test_health_and_metrics(ours):
    assert predict(ours, "half_plus_two", {"instances": [1.0]}).status == 200
    assert call(ours, "GET", "/healthz").status == call(ours, "GET", "/readyz").status == 200
    metrics = b"\n".join(metrics_of(ours)).decode()
    assert re.search(r'^:tensorflow:serving:request_count\{[^}]*model_name="half_plus_two"[^}]*\} \d', metrics, re.M)
    assert re.search(r'^:tensorflow:serving:request_latency\w*\{[^}]*model_name="half_plus_two"', metrics, re.M)


def test_the_body_of_a_get_is_ignored(ours):
    assert call(ours, "GET", f"{MODELS}/half_plus_two", b"x" * 100_000).status == 200


def test_an_unknown_signature_gets_the_list_of_the_right_ones(ours):
    reply = predict(ours, "several", {"signature_name": "x", "instances": [1.0]})
    assert reply.status == 400
    known = "The signatures are: serving_default, total, typed, uneven"
    assert error_of(reply) == f'Serving signature name: "x" not found in signature def. {known}'


def test_base64_without_its_object_gets_a_hint(ours):
    image = base64.b64encode(tf.io.encode_png(np.zeros([9, 9, 3], "uint8")).numpy()).decode()
    reply = predict(ours, "negative", {"instances": [image]})
    assert reply.status == 400 and 'is base64, say {"b64": "..."}' in error_of(reply)
    assert predict(ours, "echo", {"signature_name": "string", "instances": [image]}).json() == {"predictions": [image]}
    assert "b64" not in error_of(predict(ours, "negative", {"instances": ["no image at all"]}))


@pytest.mark.parametrize(("dtype", "value"), [("int8", 128), ("int16", -32769), ("uint8", 256), ("uint8", -1)])
def test_small_integers_do_not_wrap(ours, dtype, value):
    reply = predict(ours, "echo", {"signature_name": dtype, "instances": [value]})
    assert reply.status == 400 and str(value) in error_of(reply)


def test_a_large_body(strict):
    reply = post(strict, HALF, b" " * 65536 + GOOD.encode())
    assert reply.status == 413 and "65536" in error_of(reply)
    assert post(strict, HALF, [b" " * 8192] * 9).status == 413
    assert post(strict, HALF, GOOD.encode().ljust(65536)).status == 200


def test_a_body_that_is_large_when_unpacked(strict):
    bomb = gzip.compress(b" " * 10_000_000)
    assert len(bomb) < 65536
    reply = post(strict, HALF, bomb, Content_Encoding="gzip")
    assert reply.status == 413 and error_of(reply)


def test_other_encodings(strict):
    reply = post(strict, HALF, GOOD.encode(), Content_Encoding="br")
    assert reply.status == 415 and "br" in error_of(reply)


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(GOOD.encode(), mtime=0)[:-9], b""])
def test_broken_gzip(strict, body):
    reply = post(strict, HALF, body, Content_Encoding="gzip")
    assert reply.status == 400 and error_of(reply)


def test_many_instances(strict):
    assert predict(strict, "half_plus_two", {"instances": [1.0] * 4}).status == 200
    reply = predict(strict, "half_plus_two", {"instances": [1.0] * 5})
    assert reply.status == 400 and "4" in error_of(reply)


@pytest.mark.parametrize("header", [png_header, jpeg_header])
@pytest.mark.parametrize("size", [(101, 100), (9000, 9000), (30000, 30000), (1, 60000)])
def test_an_image_that_claims_many_pixels(strict, header, size):
    image = {"b64": base64.b64encode(header(*size)).decode()}
    for request in ({"instances": [image]}, {"inputs": [image]}, {"instances": [{"image_bytes": image}]}):
        reply = predict(strict, "negative", request)
        assert reply.status == 400 and "pixels" in error_of(reply)


def test_the_deadline(strict):
    start = time.monotonic()
    reply = predict(strict, "busy", {"instances": [1_000_000_000]})
    assert reply.status == 504 and error_of(reply)
    assert 4.9 < time.monotonic() - start < 30
    assert predict(strict, "half_plus_two", {"instances": [1.0]}).status == 200


def test_more_work_than_it_takes(strict):
    work = {"instances": [1_000_000_000]}
    with ThreadPoolExecutor(2) as pool:
        taken = [pool.submit(predict, strict, "busy", work) for _ in range(2)]
        eventually(lambda: {b"serving_running 1.0", b"serving_queued 1.0"} <= set(metrics_of(strict)))
        for _ in range(4):
            reply = predict(strict, "busy", work)
            assert reply.status == 503 and int(reply.headers["retry-after"]) >= 1 and error_of(reply)
        assert [future.result().status for future in taken] == [504] * 2
    assert predict(strict, "half_plus_two", {"instances": [1.0]}).status == 200
