"""The application and the process: limits, order under load, health, and a clean end. TensorFlow is replaced."""

import asyncio
import base64
import contextlib
import gzip
import json
import logging
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import quote

import psutil
import pytest
import serving_models
from conftest import command_settings
from serving_asgi import ask, ask_all, ask_now
from serving_fakes import fake_repository
from serving_hostile import jpeg_header, png_header
from serving_process import Server, call, eventually, predict

from tf_cyclegan.serving import server
from tf_cyclegan.serving.limits import Limits
from tf_cyclegan.serving.repository import Repository
from tf_cyclegan.serving.server import create_app, run_serve
from tf_cyclegan.settings.commands import ServeSettings

PREDICT = "/v1/models/emoji_ab:predict"
GOOD = b'{"instances": [1.0]}'


@pytest.fixture
def repository(tmp_path, monkeypatch):
    return fake_repository(tmp_path, monkeypatch)


def new_app(repository, **limits):
    return create_app(repository, Limits(**limits))


def work(seconds):
    return ("POST", PREDICT, json.dumps({"instances": [-seconds]}).encode())


def engine_of(repository):
    return next(version.engine for version in repository.newest() if version.name == "emoji_ab")


def metrics(app):
    text = ask_now(app, "GET", "/monitoring/prometheus/metrics").body.decode()
    return {name: float(value) for name, value in re.findall(r"^([^#\s]+) (\S+)$", text, re.M)}


# ---- in other servers ----


@pytest.mark.parametrize("root", ["", "/models here"])
@pytest.mark.parametrize("raw", [True, False])
def test_an_application_may_be_anywhere(repository, root, raw):
    app = create_app(repository, Limits(), hosts=("known",))

    async def status(path, host):
        sent, body = [], [{"type": "http.request", "body": GOOD}]

        async def receive():
            return body.pop() if body else await asyncio.sleep(3600)

        async def send(message):
            sent.append(message)

        method = "POST" if path == PREDICT else "GET"
        scope = {"type": "http", "method": method, "path": root + path, "root_path": root, "query_string": b""}
        scope |= {"raw_path": quote(root + path, "/:").encode() if raw else None, "headers": [(b"host", host)]}
        await app({**scope, "http_version": "1.1"}, receive, send)
        return sent[0]["status"]

    for path in (PREDICT, "/v1/models/emoji_ab", "/healthz", "/"):
        assert asyncio.run(status(path, b"known")) == 200
    assert asyncio.run(status("/healthz", b"other")) == 200
    assert asyncio.run(status(PREDICT, b"other")) == 421


def test_the_end_of_an_application_is_the_end_of_its_processes(repository):
    app, others = new_app(repository), set(psutil.Process().children())
    large = ("POST", PREDICT, json.dumps({"instances": [1.0] * 300_000}).encode())

    async def live():
        async with app.router.lifespan_context(app):
            await ask(app, *large)
            return set(psutil.Process().children()) - others

    assert asyncio.run(live())
    assert not set(psutil.Process().children()) - others
    for request in (large, ("POST", PREDICT, GOOD)):
        assert ask_now(app, *request).status == 503
    assert ask_now(app, "GET", "/readyz").status == 503


# ---- bodies ----


@pytest.mark.parametrize("sent", [GOOD[:5], b" " * 2**20])
def test_a_body_that_stops_gets_408_and_the_connection_is_closed(repository, sent):
    app = new_app(repository, body_seconds=0.1)
    started = time.monotonic()
    answer = ask_now(app, "POST", PREDICT, sent, ends=False)
    assert time.monotonic() - started < 15  # what has come buys time for more, not for nothing
    assert answer.status == 408 and answer.headers["connection"] == "close" and "0.1 seconds" in answer.json()["error"]


def test_a_client_that_leaves_gets_nothing_and_leaves_nothing(repository):
    app = new_app(repository)
    assert ask_now(app, "POST", PREDICT, GOOD[:5], ends=False, leaves_after=0.01).status is None
    assert metrics(app)[':tensorflow:serving:request_count{model_name="emoji_ab",status="CANCELLED"}'] == 1


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "101"}, {"Content-Length": "9" * 30}])
def test_a_body_beyond_the_limit(repository, headers):
    app = new_app(repository, max_body_bytes=100)
    answer = ask_now(app, "POST", PREDICT, b" " * 60, b" " * 60, headers=headers)
    assert answer.status == 413 and "at most: 100 bytes" in answer.json()["error"]
    assert ask_now(app, "POST", PREDICT, b" " * (100 - len(GOOD)), GOOD).status == 200


def test_bodies_have_a_limit_together(repository):
    app = new_app(repository, max_body_bytes=100, max_running=1, max_queued=0, body_seconds=0.5)
    half = ("POST", PREDICT, b" " * 90)

    async def crowd():
        slow = [asyncio.ensure_future(ask(app, *half, ends=False)) for _ in range(3)]
        await asyncio.sleep(0.1)
        return [answer.status for answer in await asyncio.gather(*slow)]

    assert sorted(asyncio.run(crowd())) == [408, 408, 503]
    assert ask_now(app, "POST", PREDICT, GOOD).status == 200  # and give back what they held


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", gzip.compress(GOOD, mtime=0), 200),
        ("GZIP", gzip.compress(GOOD, mtime=0), 200),
        ("x-gzip", gzip.compress(GOOD, mtime=0), 200),
        ("identity, X-GZIP,", gzip.compress(GOOD, mtime=0), 200),
        ("identity", GOOD, 200),
        ("gzip", gzip.compress(GOOD, mtime=0)[:-9], 400),
        ("gzip", GOOD, 400),
        ("gzip", gzip.compress(b" " * 2000, mtime=0), 413),
        ("br", GOOD, 415),
        ("gzip, gzip", GOOD, 415),
    ],
)
def test_encodings(repository, encoding, body, status):
    app = new_app(repository, max_body_bytes=1000)
    assert ask_now(app, "POST", PREDICT, body, headers={"Content-Encoding": encoding}).status == status


def test_encodings_on_two_lines_are_two(repository):
    headers = {"Content-Encoding": "gzip", "content-encoding": "gzip"}
    answer = ask_now(new_app(repository), "POST", PREDICT, gzip.compress(GOOD, mtime=0), headers=headers)
    assert answer.status == 415 and "gzip, gzip" in answer.json()["error"]


# ---- limits ----


@pytest.mark.parametrize(
    ("images", "rejected"),
    [
        ([png_header(100, 100)], False),
        ([png_header(101, 100)], True),
        ([jpeg_header(101, 100)], True),
        ([png_header(1, 8193)], True),
        ([jpeg_header(9000, 1)], True),
        ([png_header(60, 100), jpeg_header(50, 100)], True),
        ([b"no image", b""], False),
    ],
)
def test_images_are_measured_before_they_are_decoded(repository, images, rejected):
    app = new_app(repository, max_pixels=10_000)
    instances = [{"b64": base64.b64encode(image).decode()} for image in images]
    answer = ask_now(app, "POST", "/v1/models/bytes_ab:predict", json.dumps({"instances": instances}).encode())
    assert answer.status == (400 if rejected else 200)
    assert metrics(app)["serving_rejected_images_total"] == rejected


def test_instances_in_rows_and_columns(repository):
    app = new_app(repository, max_instances=2)
    for key in ("instances", "inputs"):
        assert ask_now(app, "POST", PREDICT, json.dumps({key: [1, 2]}).encode()).status == 200
        answer = ask_now(app, "POST", PREDICT, json.dumps({key: [1, 2, 3]}).encode())
        assert answer.status == 400 and "at most: 2" in answer.json()["error"]


@pytest.mark.parametrize("name", ["max_body_bytes", "max_pixels", "max_instances", "max_running", "timeout_seconds"])
def test_limits_that_are_none(name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        Limits(**{name: 0})
    with pytest.raises(ValueError, match="`max_queued`"):
        Limits(max_queued=-1)


# ---- order ----


def test_what_is_too_much_is_refused_at_once_and_the_rest_answered(repository):
    app = new_app(repository, max_running=2, max_queued=3)
    admission, gate = app.state.service.admission, engine_of(repository).gate

    async def crowd():
        gate.clear()
        asked = [asyncio.ensure_future(ask(app, *work(0))) for _ in range(9)]
        while sum(task.done() for task in asked) < 4:
            await asyncio.sleep(0.01)
        assert (admission.running, admission.queued) == (2, 3)
        gate.set()
        return await asyncio.gather(*asked)

    answers = asyncio.run(crowd())
    assert sorted(answer.status for answer in answers) == [200] * 5 + [503] * 4
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status == 503)
    assert metrics(app)["serving_shed_total"] == 4
    assert [answer.status for answer in ask_all(app, [work(0)] * 5)] == [200] * 5


def test_a_moment_without_threads_costs_no_place_for_good(repository, monkeypatch):
    def fail(thread):
        raise RuntimeError("can't start new thread")

    app = new_app(repository, max_running=1, max_queued=1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        answers = [ask_now(app, "POST", PREDICT, GOOD) for _ in range(3)]
    assert [answer.status for answer in answers] == [503] * 3 and "thread" in answers[0].json()["error"]
    assert ask_now(app, "POST", PREDICT, GOOD).status == 200


def test_the_deadline_counts_the_time_in_the_queue(repository):
    app = new_app(repository, max_running=1, timeout_seconds=3)
    answers = ask_all(app, [work(1.6)] * 3)  # the first has the thread for more than half of that time
    assert sorted(answer.status for answer in answers) == [200, 504, 504]
    assert engine_of(repository).runs <= 2  # what is late before it begins is not begun
    assert ask_now(app, "POST", PREDICT, GOOD).status == 200


def test_what_a_client_no_longer_waits_for_is_not_computed(repository):
    app, engine = new_app(repository, max_running=1), engine_of(repository)

    async def leave_the_queue():
        engine.gate.clear()
        first = asyncio.ensure_future(ask(app, *work(0)))
        while not engine.runs:
            await asyncio.sleep(0.01)
        second = await ask(app, *work(0), leaves_after=0.05)
        engine.gate.set()
        return (await first).status, second.status

    assert asyncio.run(leave_the_queue()) == (200, None)
    assert engine.runs == 1


def test_no_traceback_leaves_the_server(repository, caplog):
    answer = ask_now(new_app(repository), "POST", PREDICT, b'{"instances": [404]}')
    assert answer.status == 500 and answer.json() == {"error": "The server failed; its log says why."}
    assert any(record.exc_info and record.levelno == logging.ERROR for record in caplog.records)


# ---- health, figures and the page ----


def test_health(repository, tmp_path):
    app = new_app(repository)
    assert ask_now(app, "GET", "/healthz").status == ask_now(app, "GET", "/readyz").status == 200
    app.state.service.stopping = True
    assert (ask_now(app, "GET", "/healthz").status, ask_now(app, "GET", "/readyz").status) == (200, 503)
    answer = ask_now(app, "POST", PREDICT, GOOD)
    assert answer.status == 200 and answer.headers["connection"] == "close"
    (tmp_path / "empty").mkdir()
    empty = Repository(tmp_path / "empty")
    assert ask_now(new_app(empty), "GET", "/readyz").status == 503


def test_figures_have_no_names_that_clients_invent(repository):
    app = new_app(repository)
    for name in ("emoji_ab", "x1", "x2"):
        ask_now(app, "POST", f"/v1/models/{name}:predict", GOOD)
    found = metrics(app)
    assert found[':tensorflow:serving:request_count{model_name="emoji_ab",status="OK"}'] == 1
    assert found[':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"}'] == 2
    latency = ':tensorflow:serving:request_latency_count{API="predict",entrypoint="REST",model_name="emoji_ab"}'
    assert found[latency] == 1 and not any("x1" in name for name in found)


def test_the_page_and_its_policy(repository):
    app = new_app(repository, max_pixels=77)
    page = ask_now(app, "GET", "/")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html") and b"<html" in page.body
    linked = re.findall(rb'(?:src|href)="(demo/[^"]+)"', page.body)
    assert linked
    for path in linked:
        assert ask_now(app, "GET", "/" + path.decode()).status == 200
    config = ask_now(app, "GET", "/demo/config.json")
    assert config.json()["models"] == [
        {"name": "bytes_ab", "pair": None, "version": 1, "bytes": True, "ids": False},
        {"name": "emoji_ab", "pair": "emoji_ba", "version": 1, "bytes": False, "ids": False},
        {"name": "emoji_ba", "pair": "emoji_ab", "version": 1, "bytes": False, "ids": False},
    ]
    assert config.json()["max_pixels"] == 77 and config.json()["samples"]
    for path in config.json()["samples"]:
        assert ask_now(app, "GET", path).headers["content-type"] == "image/png"
    for answer in (page, config):
        policy = answer.headers["content-security-policy"]
        assert policy == "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'"


@pytest.mark.parametrize(
    "path", ["/demo/", "/demo/../server.py", "/demo/%2e%2e/server.py", "/demo/samples", "/x", "/v1"]
)
def test_no_other_file_can_be_had(repository, path):
    answer = ask_now(new_app(repository), "GET", path)
    assert answer.status == 404 and list(answer.json()) == ["error"]


# ---- the command ----


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": ("stable=1",)}, "`labels` must be NAME:LABEL=VERSION"),
        ({"labels": ("a:b=x",)}, "`labels` must be NAME:LABEL=VERSION"),
        ({"max_running": 0}, "`max_running` must be an integer of at least 1"),
        ({"timeout_seconds": 0.0}, "`timeout_seconds` must be above 0"),
        ({"poll_seconds": -1.0}, "`poll_seconds` must be above 0"),
        ({"keep_alive_seconds": 0.0}, "`keep_alive_seconds` must be above 0"),
        ({"port": 0, "allowed_hosts": "a.example:80"}, "`allowed_hosts` must be names without ports"),
        ({"port": 0, "allowed_hosts": "http://a.example"}, "Received: http://a.example$"),
        ({"port": 0, "allowed_hosts": "a*.example"}, "`allowed_hosts` must be names"),
    ],
)
def test_settings_that_make_no_server(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        run_serve(command_settings(ServeSettings, directory=tmp_path, **settings), print)


def test_a_folder_without_models_is_waited_for_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "run_app", lambda *arguments: None)
    lines = []
    assert run_serve(command_settings(ServeSettings, directory=tmp_path, port=0), lines.append) == 0
    assert lines[0] == f"Waiting for {tmp_path}/NAME/VERSION/saved_model.pb: there are no folders."
    assert lines[1].startswith("Serving no models yet at http://127.0.0.1:") and len(lines) == 3


def test_addresses_that_cannot_be_had(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for settings in ({"port": port}, {"port": 99999}, {"host": "203.0.113.1"}):
            with pytest.raises(OSError, match="^Cannot listen on "):
                run_serve(command_settings(ServeSettings, directory=tmp_path, **settings), print)


def test_replies_do_not_wait_for_acknowledgements():
    with server._listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        with listener.accept()[0] as connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.skipif(os.name != "posix", reason="starts it as shells of POSIX do")
@pytest.mark.parametrize("files", ["<&- >&- 2>&-", "| true"])
def test_a_process_serves_without_standard_files(tmp_path, files):
    serving_models.write(tmp_path / "half" / "1", serving_models.half_plus(2))
    serve = f"{shlex.quote(sys.executable)} -m tf_cyclegan serve --port=0 {tmp_path}"
    program = f"({serve} & echo $! > {tmp_path}/pid; wait) {files}"
    shell = subprocess.Popen(["sh", "-c", program], stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: shell.poll() is not None or ports_of(tmp_path / "pid"), 300)
        url = f"http://127.0.0.1:{ports_of(tmp_path / 'pid')[0]}"
        assert predict(url, "half", {"instances": [1.0] * 30}).json() == {"predictions": [2.5] * 30}
        large = json.dumps({"instances": [[1.0] * 200_000]}).encode()
        assert call(url, "POST", "/v1/models/half:predict", large).status == 200
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        shell.wait(120)


def ports_of(file):
    """The ports on which a process listens that says its number in a file."""
    number = int(file.read_text().strip() or 0) if file.exists() else 0
    found = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    return [each.laddr.port for each in found if each.pid == number]


def test_a_process_takes_new_versions_and_finishes_what_it_accepted(tmp_path):
    serving_models.write(tmp_path / "half" / "1", serving_models.half_plus(2))
    serving_models.write(tmp_path / "busy" / "1", serving_models.busy())
    answers = []
    with Server(tmp_path, "--timeout-seconds=10", "--poll-seconds=0.2") as running:
        assert predict(running.url, "half", {"instances": [1.0]}).json() == {"predictions": [2.5]}
        serving_models.write(tmp_path / "half" / "2", serving_models.half_plus(3))
        eventually(lambda: predict(running.url, "half", {"instances": [1.0]}).json() == {"predictions": [3.5]})
        last = threading.Thread(
            target=lambda: answers.append(predict(running.url, "busy", {"instances": [1_000_000_000]}))
        )
        last.start()
        metrics = "/monitoring/prometheus/metrics"
        eventually(lambda: b"serving_running 1.0" in call(running.url, "GET", metrics).body)
        assert running.stop() == 0
        last.join()
        assert "Traceback" not in running.errors()
    assert [answer.status for answer in answers] == [504]
