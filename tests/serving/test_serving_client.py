"""The client, against a server that gives the answers of a test and keeps the requests."""

import base64
import http.server
import json
import socket
import threading

import pytest

from tf_cyclegan.serving.client import Client, ReplyError

PNG = b"\x89PNG\r\n\x1a\n translated"


def predictions(*values):
    return 200, json.dumps({"predictions": values}).encode()


@pytest.fixture
def server():
    """A server on a free port: it sends `answer`, and keeps the requests in `asked`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.do_POST()

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.server.asked.append((self.command, self.path, json.loads(body) if body else None))
            self.server.may_answer.wait(10)
            status, text = self.server.answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.asked, server.may_answer = [], threading.Event()
        server.may_answer.set()
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.may_answer.set()
        server.shutdown()


@pytest.mark.parametrize("given", ["path", "name", "bytes", "bytearray"])
def test_it_translates_files_and_bytes(server, tmp_path, given):
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"an image")
    server.answer = predictions({"b64": base64.b64encode(PNG).decode()})
    images = {"path": file, "name": str(file), "bytes": b"an image", "bytearray": bytearray(b"an image")}
    assert Client(server.url + "/").translate(images[given], "horse2zebra_ab") == PNG
    body = {"instances": [{"b64": base64.b64encode(b"an image").decode()}]}
    assert server.asked == [("POST", "/v1/models/horse2zebra_ab:predict", body)]


@pytest.mark.parametrize(
    "version, path",
    [
        (None, "m:predict"),
        (7, "m/versions/7:predict"),
        ("stable", "m/labels/stable:predict"),
        ("a/b", "m/labels/a%2Fb:predict"),
    ],
)
def test_a_version_is_a_number_or_a_label(server, version, path):
    server.answer = predictions({"b64": ""})
    Client(server.url).translate(b"", "m", version)
    assert server.asked[0][1] == f"/v1/models/{path}"


def test_predict_takes_anything(server):
    server.answer = predictions(2.5, 3.0)
    assert Client(server.url).predict([1.0, 2.0], "half_plus_two", signature_name="tensor") == [2.5, 3.0]
    assert server.asked[0][2] == {"instances": [1.0, 2.0], "signature_name": "tensor"}


def test_versions_and_models(server):
    states = [{"version": "2", "state": "AVAILABLE"}, {"version": "1", "state": "END"}]
    server.answer = 200, json.dumps({"model_version_status": states}).encode()
    assert Client(server.url).versions("m") == {2: "AVAILABLE", 1: "END"}
    server.answer = 200, json.dumps({"models": [{"name": "b_ab"}, {"name": "b_ba"}]}).encode()
    assert Client(server.url).models() == ["b_ab", "b_ba"]
    assert [request[:2] for request in server.asked] == [("GET", "/v1/models/m"), ("GET", "/demo/config.json")]


def test_errors_carry_the_text_of_the_server(server):
    server.answer = 400, b'{"error": "image_bytes: expected PNG or JPEG"}'
    with pytest.raises(ReplyError, match=r"^image_bytes: expected PNG or JPEG \(HTTP 400\)$") as caught:
        Client(server.url).translate(b"junk", "m")
    assert (caught.value.status, caught.value.text) == (400, "image_bytes: expected PNG or JPEG")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"other": 1}', b"\xff"])
def test_errors_of_others_are_named_by_their_status(server, body):
    server.answer = 502, body
    with pytest.raises(ReplyError, match=r"^Bad Gateway \(HTTP 502\)$"):
        Client(server.url).translate(b"", "m")


def test_an_answer_that_is_no_image(server):
    server.answer = predictions([0.5])
    with pytest.raises(ReplyError, match="The model m does not answer images"):
        Client(server.url).translate(b"", "m")


@pytest.mark.parametrize("body", [b"hello", b"[]", b"{}", b"\xff"])
def test_a_server_of_another_kind(server, body):
    server.answer = 200, body
    with pytest.raises(ReplyError, match="answered without `predictions`"):
        Client(server.url).translate(b"", "m")


def test_a_server_that_is_silent_or_gone(server):
    server.may_answer.clear()
    with pytest.raises(TimeoutError, match=r"did not answer in 0.2 s"):
        Client(server.url, timeout=0.2).translate(b"", "m")
    with socket.socket() as deaf:  # has a port, and does not listen on it
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        with pytest.raises(ConnectionError, match=f"No server answers at http://127.0.0.1:{port}: .*refused"):
            Client(f"http://127.0.0.1:{port}").translate(b"", "m")


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"`url` must begin with http:// or https://. Received: url='localhost:8501'"):
        Client("localhost:8501")
    with pytest.raises(FileNotFoundError):
        Client().translate("no such file.png", "m")
