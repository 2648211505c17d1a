"""Large documents: processes with limits of time and memory read and write them, and nothing of a refused one stays."""

import asyncio
import contextlib
import errno
import gc
import gzip
import json
import operator
import os
import pickle
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import types

import numpy as np
import psutil
import pytest
from serving_asgi import ask, ask_all, ask_now
from serving_fakes import fake_repository
from serving_process import eventually
from serving_sockets import GOOD, post, served, talk

from tf_cyclegan.serving import limits as limits_module
from tf_cyclegan.serving import service
from tf_cyclegan.serving.errors import ServingError
from tf_cyclegan.serving.limits import Limits
from tf_cyclegan.serving.model_signatures import Signature, TensorInfo
from tf_cyclegan.serving.rest import http_connections, json_documents
from tf_cyclegan.serving.rest.app import create_app
from tf_cyclegan.serving.rest.json_documents import Documents
from tf_cyclegan.serving.rest.worker_processes import Workers

FLOATS = {"serving_default": Signature({"x": TensorInfo("float32", None)}, {}, "")}
CLOSE = b"Connection: close\r\n"
LARGE = 300_000  # values, which make a large document


@pytest.fixture
def documents():
    made = Documents(Limits())
    yield made
    made.close()


def soon(seconds=300):
    return time.monotonic() + seconds


def text_of(values):
    return json.dumps({"instances": values}).encode()


def refusal(function, *arguments):
    with pytest.raises(ServingError) as caught:
        function(*arguments)
    return caught.value


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("count", [3, LARGE])
def test_a_document_is_the_same_wherever_it_is_read(documents, count, packed):
    body = text_of([[0.5] * count])
    name, inputs, rows = documents.read(gzip.compress(body) if packed else body, packed, FLOATS, soon())
    assert (name, rows) == ("serving_default", True)
    np.testing.assert_array_equal(inputs["x"], np.full((1, count), 0.5, np.float32))


@pytest.mark.parametrize("count", [3, LARGE])
def test_a_reply_is_the_same_wherever_it_is_written(documents, count):
    values = np.random.RandomState(0).rand(1, count).astype(np.float32)
    reply = json.loads(documents.write({"y": values}, True, soon()))
    np.testing.assert_array_equal(np.float32(reply["predictions"]), values)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is limited on Linux only")
def test_where_little_memory_is_free_documents_take_little(monkeypatch):
    monkeypatch.setattr(service, "free_bytes", lambda: 10**9)
    documents = service.Service(Nothing(), Limits()).documents
    usual, large = text_of([[0.5] * LARGE]), text_of(["\U0001f600"] * 1_000_000)
    assert documents.read(usual, False, FLOATS, soon())[1]["x"].shape == (1, LARGE)
    texts = {"serving_default": Signature({"x": TensorInfo("string", None)}, {}, "")}
    assert refusal(documents.read, large, False, texts, soon()).http_status == 429
    values = np.zeros((1, 2_000_000), np.float32)
    assert refusal(documents.write, {"y": values}, True, soon()).http_status == 429
    assert len(documents.write({"y": values[:, :LARGE]}, True, soon())) > LARGE
    documents.close()


def test_what_is_wrong_with_a_large_document_is_said_in_the_same_words(documents):
    small, large = (refusal(documents.read, text_of(["a"] * count), False, FLOATS, soon()) for count in (3, LARGE))
    assert small.message == large.message and small.http_status == large.http_status == 400
    assert refusal(documents.read, b"no gzip", True, FLOATS, soon()).message.startswith("The body is not gzip")
    bomb = gzip.compress(bytes(Limits().max_body_bytes + 1))
    assert refusal(documents.read, bomb, True, FLOATS, soon()).http_status == 413


def test_an_unknown_signature_has_no_inputs(documents):
    body = b'{"signature_name": "other", "instances": [1]}'
    assert documents.read(body, False, FLOATS, soon()) == ("other", None, None)
    assert documents.read(gzip.compress(body), True, {}, soon()) == ("other", None, None)


def test_texts_have_a_number(monkeypatch, documents):
    monkeypatch.setattr(json_documents, "_MAX_STRINGS", 3)
    texts = {"serving_default": Signature({"x": TensorInfo("string", None)}, {}, "")}
    message = refusal(documents.read, text_of(["a"] * 4), False, texts, soon()).message
    assert message == "The request has 4 strings. Expected at most: 3"


# ---- processes ----


@pytest.fixture
def workers():
    made = Workers(1)
    yield made
    made.close()


def call(workers, function, *arguments, memory=2**28, deadline=None):
    return workers.run(function, arguments, memory, deadline or soon())


def test_a_process_is_used_again(workers):
    assert call(workers, os.getpid) == call(workers, os.getpid) != os.getpid()


def test_a_deadline_ends_the_work_and_the_next_call_is_answered(workers):
    start = time.monotonic()
    error = refusal(lambda: call(workers, time.sleep, 300, deadline=soon(0.5)))
    assert error.code == "DEADLINE_EXCEEDED" and time.monotonic() - start < 200
    assert call(workers, abs, -1) == 1


def test_who_waits_for_a_process_has_a_deadline_too(workers):
    busy = workers._idle.get()  # as a call does
    assert refusal(lambda: call(workers, abs, -1, deadline=soon(0.1))).code == "DEADLINE_EXCEEDED"
    workers._idle.put(busy)
    assert call(workers, abs, -1) == 1


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is limited on Linux only")
def test_memory_has_an_end_and_the_next_call_is_answered(workers):
    assert len(call(workers, bytes, 2**26)) == 2**26
    assert refusal(lambda: call(workers, bytes, 2**30)).http_status == 429
    assert call(workers, abs, -1) == 1


def test_a_process_that_keeps_much_is_replaced(workers):
    first = call(workers, os.getpid)
    assert len(call(workers, operator.mul, b"a", 2**28, memory=2**30)) == 2**28
    assert call(workers, os.getpid) != first


def test_a_killed_process_is_replaced(workers):
    number = call(workers, os.getpid)
    assert refusal(lambda: call(workers, os.kill, number, signal.SIGKILL)).code == "RESOURCE_EXHAUSTED"
    assert call(workers, os.getpid) != number


def test_a_process_that_died_between_two_calls_is_nobody_s_error(workers):
    number = call(workers, os.getpid)
    os.kill(number, signal.SIGKILL)
    eventually(lambda: psutil.Process(number).status() == psutil.STATUS_ZOMBIE)
    assert call(workers, os.getpid) != number


def test_an_answer_that_could_not_be_read_is_not_the_next_caller_s(workers, monkeypatch):
    def fail(file):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(pickle, "load", fail)
        with pytest.raises(MemoryError):
            call(workers, sorted, ["of the first"])
    assert call(workers, abs, -1) == 1


def test_a_call_that_could_not_be_sent_is_not_the_next_one_s_start(workers):
    with pytest.raises((AttributeError, pickle.PicklingError)):
        call(workers, len, bytes(10**7), lambda: 0)
    assert call(workers, abs, -1) == 1


def test_a_process_that_works_at_the_end_ends_with_its_work():
    workers = Workers(1)
    number = call(workers, os.getpid)
    busy = threading.Thread(target=call, args=(workers, time.sleep, 1))
    busy.start()
    eventually(workers._idle.empty)
    workers.close()
    busy.join()
    assert not psutil.pid_exists(number)
    assert refusal(lambda: call(workers, abs, -1)).code == "UNAVAILABLE"


def test_where_no_process_can_be_started_the_client_may_try_again(workers, monkeypatch):
    def fail(*arguments, **settings):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", fail)
        error = refusal(lambda: call(workers, abs, -1))
    assert error.code == "UNAVAILABLE" and "Too many open files" in error.message
    assert call(workers, abs, -1) == 1


_CALL = """
import time
from tf_cyclegan.serving.rest.worker_processes import Workers
workers = Workers(1)
Path = __import__("pathlib").Path
Path("found").write_text(str(workers.run(abs, (-1,), 2**33, time.monotonic() + 300)))
workers.close()
"""


@pytest.mark.skipif(os.name != "posix", reason="starts it as shells of POSIX do")
@pytest.mark.parametrize("start", ["", "ulimit -v 4000000;"])
@pytest.mark.parametrize("files", ["", "<&- >&- 2>&-"])
def test_a_process_starts_wherever_the_server_does(tmp_path, start, files):
    (tmp_path / "psutil.py").write_text("raise SystemExit('of the folder where the server was started')")
    (tmp_path / "call.py").write_text(_CALL)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"}
    command = f"{start} exec {shlex.quote(sys.executable)} call.py {files}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (tmp_path / "found").exists(), done.stderr
    assert (tmp_path / "found").read_text() == "1"


def test_a_supervisor_that_stops_every_process_loses_no_document(workers):
    number = call(workers, os.getpid)
    os.kill(number, signal.SIGTERM)
    assert call(workers, os.getpid) == number


def test_what_fails_in_any_other_way_says_where(workers):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        call(workers, divmod, 1, 0)


# ---- the server ----


class Nothing:
    """A repository of one model that is never run."""

    ready = True

    def knows(self, name):
        return True

    def newest(self):
        return []

    def signatures(self, spec):
        return FLOATS

    @contextlib.contextmanager
    def use(self, spec):
        yield types.SimpleNamespace(engine=None, bytes_a_pixel={})


@pytest.mark.parametrize("values", [[0.1] * 5000, ["a"] * 5000, [[0.1]] * 4999 + [0.1], [[0.1]] * 5000 + [["a"]]])
def test_a_refused_document_is_gone_with_its_reply(values):
    app = create_app(Nothing(), Limits(max_instances=2))
    body = text_of(values)
    request = ("POST", "/v1/models/any:predict", body)
    ask_now(app, *request)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        answers = ask_all(app, [request] * 3)
        gc.collect()
        kept = [thing for thing in gc.garbage if isinstance(thing, list | dict | np.ndarray) and len(thing) > 1000]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert [answer.status for answer in answers] == [400] * 3
    assert not kept


def test_small_requests_do_not_wait_for_large_ones():
    app, finished = create_app(Nothing(), Limits(max_instances=2, max_running=1, timeout_seconds=300)), []

    async def one(name, values):
        answer = await ask(app, "POST", "/v1/models/any:predict", text_of(values))
        finished.append((name, answer.status))

    async def together():
        await asyncio.gather(*(one("large", [0.1] * LARGE) for _ in range(4)), one("small", [0.1] * 3))

    asyncio.run(together())
    assert finished == [("small", 400)] + [("large", 400)] * 4


class Growing(Nothing):
    """A model that answers as many values as it is asked for."""

    @contextlib.contextmanager
    def use(self, spec):
        yield types.SimpleNamespace(engine=self, bytes_a_pixel={})

    def run(self, name, inputs, timeout_seconds, outputs=None):
        return {"y": np.full((1, int(inputs["x"][0])), 0.1, np.float32)}


def test_small_requests_do_not_wait_for_large_replies():
    app, finished = create_app(Growing(), Limits(max_running=1, timeout_seconds=300)), []

    async def one(name, values):
        answer = await ask(app, "POST", "/v1/models/any:predict", text_of([values]))
        finished.append((name, answer.status))

    async def together():
        await asyncio.gather(*(one("large", LARGE) for _ in range(4)), one("small", 1))

    asyncio.run(together())
    assert finished == [("small", 200)] + [("large", 200)] * 4


def test_long_replies_that_wait_have_a_bound(monkeypatch):
    monkeypatch.setattr(limits_module, "_UNREAD", 1)
    app = create_app(Growing(), Limits(max_body_bytes=2**20, timeout_seconds=300))
    request = ("POST", "/v1/models/any:predict", text_of([LARGE]))
    assert sorted({answer.status for answer in ask_all(app, [request] * 4)}) == [200, 503]
    assert ask_now(app, *request).status == 200


def test_replies_that_nobody_takes_have_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(limits_module, "_UNREAD", 4)
    monkeypatch.setattr(http_connections, "REPLY_SECONDS", 300)
    body = json.dumps({"inputs": [[1] * 500_000]}, separators=(",", ":")).encode()  # 8.5 MB of reply
    repository, limits = fake_repository(tmp_path, monkeypatch), Limits(max_body_bytes=2**20, timeout_seconds=300)
    with served(repository, limits) as address, contextlib.ExitStack() as clients:

        def refused_after_one_more():
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(address)
            client.sendall(post(body))
            assert client.recv(1)  # the reply has begun
            return talk(address, post(GOOD, CLOSE))[0].status == 503

        eventually(refused_after_one_more)
    with served(repository, limits) as address:
        assert [talk(address, post(body, CLOSE))[0].status for _ in range(3)] == [200] * 3  # who reads has no bound
