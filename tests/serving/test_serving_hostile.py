"""Hostile input: the server stays up, small and right. --hostile-requests sets the number of requests."""

import contextlib
import itertools
import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import serving_hostile
import serving_models
from serving_process import Server, call, eventually, predict

REQUESTS = 2000
CLIENTS = 4
GROWTH = 512 * 2**20
PATIENCE = 20  # seconds for an answer of milliseconds; the machine of the test may be slow and busy
ANSWERS = {"predictions", "outputs", "model_version_status", "model_spec"}

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


@pytest.fixture(autouse=True)
def fresh_keras():
    """Takes the place of conftest's: no process here has Keras, and cleaning it takes longer than a request."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    models = serving_models.write_all(tmp_path_factory.mktemp("models"))
    with Server(models, *serving_models.label_flags(), f"--timeout-seconds={PATIENCE}") as running:
        for _ in range(20):
            answers_right(running)
        running.small = running.resident_bytes()
        yield running


def answers_right(server):
    start = time.monotonic()
    reply = predict(server.url, "half_plus_two", {"instances": [1.0, 2.0]})
    assert reply.json() == {"predictions": [2.5, 3.0]} and server.running()
    assert time.monotonic() - start < PATIENCE


def stays_small(server):
    growth = server.peak_bytes() - server.small
    assert growth < GROWTH, f"grew by {growth / 2**20:.0f} MiB"


def send(server, hostile):
    """The fault of the reply, or None."""
    try:
        if hostile.raw is not None:
            return fault_of_raw(exchange(server.url, hostile.raw, cut=True))
        reply = exchange(server.url, request_of(hostile))
    except TimeoutError:
        return "no end within 120 s"
    return fault_of_raw(reply) or fault_of_content(hostile, reply)


def request_of(hostile):
    headers = {"Host": "localhost", "Connection": "close", **hostile.headers}
    if hostile.body is not None:
        headers["Content-Length"] = len(hostile.body)
    lines = [f"{hostile.method} {hostile.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (hostile.body or b"")


def exchange(url, content, cut=False):
    """Sends bytes, says then, with `cut`, that there are no more, and takes all that comes until the server closes."""
    address = urlsplit(url)
    reply = b""
    with socket.create_connection((address.hostname, address.port), timeout=120) as connection:
        try:
            connection.sendall(content)
            if cut:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                reply += part
        except TimeoutError:
            raise
        except OSError:
            pass  # it may close as soon as it has seen enough
    return reply


def fault_of_raw(reply):
    statuses = re.findall(rb"^HTTP/1\.1 (\d+) ", reply, re.M)
    if reply and not statuses:
        return f"not HTTP: {reply[:200]!r}"
    return f"status 500: {reply[:2000]!r}" if b"500" in statuses else None


def fault_of_content(hostile, reply):
    """What is said under /v1/ is JSON: an error, or an answer."""
    head, _, body = reply.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    if not head:
        return "no reply"
    if hostile.method == "HEAD" or not hostile.path.lower().startswith("/v1/"):
        return "the file of another folder" if b"root:" in body else None
    status = int(head.split()[1])
    if b"content-type: application/json" not in head.lower():
        return f"no JSON: {reply[:300]!r}"
    if hostile.method == "OPTIONS" and status == 200:
        return None
    return fault_of_json(status, body)


def fault_of_json(status, body):
    try:
        keys = set(json.loads(body))
    except ValueError:
        return f"broken JSON: {body[:300]!r}"
    right = keys & ANSWERS if status == 200 else keys == {"error"}
    return None if right and b"Traceback" not in body else f"{status} with {body[:300]!r}"


def attack(server, numbers):
    """Sends the requests of these numbers; after each 25 a good one must be answered as ever."""
    faults = []
    for count, number in enumerate(numbers):
        hostile = serving_hostile.request(number)
        fault = send(server, hostile)
        if fault:
            faults.append(f"request {number}, {hostile}\n    -> {fault}")
        if count % 25 == 0:
            answers_right(server)
    return faults


def test_hostile_requests(server, request):
    count = int(request.config.getoption("--hostile-requests", default=None) or REQUESTS)
    with ThreadPoolExecutor(CLIENTS) as clients:
        parts = [range(first, count, CLIENTS) for first in range(CLIENTS)]
        faults = list(itertools.chain(*clients.map(lambda numbers: attack(server, numbers), parts)))
    assert not faults, f"{len(faults)} of {count}\n" + "\n".join(faults[:20])
    answers_right(server)
    stays_small(server)


def test_the_generator_repeats_itself():
    for number in range(40):
        assert serving_hostile.request(number) == serving_hostile.request(number)


def test_images_at_the_limit_do_not_add_up(server):
    image = serving_hostile.flat_image("PNG", 4096, 4096)  # as many pixels as one image may have
    body = serving_hostile.images_body(*[image] * 32)
    with ThreadPoolExecutor(CLIENTS) as clients:
        path = serving_hostile.PREDICT.format("negative")
        replies = list(clients.map(lambda _: call(server.url, "POST", path, body), range(CLIENTS)))
    assert {reply.status for reply in replies} <= {400, 413, 503, 504}
    answers_right(server)
    stays_small(server)


@pytest.mark.parametrize(
    "image",
    [
        serving_hostile.hidden_png(6000, 6000),
        serving_hostile.hidden_jpeg(6000, 6000),
        serving_hostile.flat_image("GIF", 6000, 6000),
        serving_hostile.flat_image("WEBP", 6000, 6000),
    ],
    ids=["PNG with a chunk before", "JPEG with a false segment", "GIF", "WebP"],
)
def test_sizes_that_are_not_where_they_are_looked_for(server, image):
    body = serving_hostile.images_body(image)
    reply = call(server.url, "POST", serving_hostile.PREDICT.format("negative"), body, timeout=120)
    assert reply.status == 400
    answers_right(server)
    stays_small(server)


def dribble(url, start, seconds):
    """A client that sends a byte now and then.

    Returns:
        The reply and the seconds until the connection was closed.
    """
    address = urlsplit(url)
    begin = time.monotonic()
    with socket.create_connection((address.hostname, address.port), timeout=0.5) as connection:
        connection.sendall(start)
        reply = b""
        while time.monotonic() - begin < seconds:
            try:
                part = connection.recv(65536)
                reply += part
                if not part:
                    break
            except TimeoutError:
                try:
                    connection.sendall(b" ")
                except ConnectionError:
                    break
            except ConnectionError:
                break
        return reply, time.monotonic() - begin


def test_slow_bodies_are_sent_away(server):
    head = b"POST /v1/models/echo:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    with ThreadPoolExecutor(40) as clients:
        slow = [clients.submit(dribble, server.url, head, 60) for _ in range(40)]
        for _ in range(10):
            answers_right(server)
            time.sleep(0.2)
        replies = [future.result() for future in slow]
    for reply, seconds in replies:
        assert reply.startswith(b"HTTP/1.1 408 ") and b'"error"' in reply
        assert seconds < 50
    answers_right(server)


@pytest.mark.parametrize("start", [b"", b"GET /v1/models/echo HTTP/1.1\r\nX: "], ids=["silent", "half a header"])
def test_idle_connections_do_not_take_the_place_of_others(server, start):
    address = urlsplit(server.url)
    idle = [socket.create_connection((address.hostname, address.port), timeout=10) for _ in range(600)]
    try:
        for connection in idle:
            with contextlib.suppress(ConnectionError):
                connection.sendall(start)
        for _ in range(20):
            answers_right(server)
            assert call(server.url, "GET", "/healthz", timeout=PATIENCE).status == 200
    finally:
        for connection in idle:
            connection.close()
    answers_right(server)


def test_pages_of_other_sites_get_nothing(server):
    """A name that somebody else has lead to 127.0.0.1 is not one of this server."""
    reply = call(server.url, "GET", "/demo/config.json", headers={"Host": f"evil.example:{urlsplit(server.url).port}"})
    assert reply.status == 421 and b"evil.example" in reply.body and b"echo" not in reply.body


def test_clients_that_leave(server):
    """A client that hangs up in the middle, before or after its request was read."""
    address = urlsplit(server.url)
    body = json.dumps({"instances": [200]}).encode()
    whole = b"POST /v1/models/busy:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    for count in range(60):
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            connection.sendall(whole[: (count * 7) % len(whole) + 1] if count % 2 else whole)
    eventually(lambda: predict(server.url, "half_plus_two", {"instances": [1.0]}).status == 200)
    answers_right(server)


def test_threads_do_not_pile_up(server):
    before = server.threads()
    workers = [threading.Thread(target=lambda: [answers_right(server) for _ in range(10)]) for _ in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert server.threads() <= before + 16
