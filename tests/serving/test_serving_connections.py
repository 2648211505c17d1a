"""Connections: idle ones make room, times run out, and what is too much is told so. TensorFlow is a stand-in here."""

import contextlib
import http.client
import json
import socket
import time

import pytest
from serving_fakes import fake_repository
from serving_sockets import GOOD, LAST, get, post, served, statuses, talk

from tf_cyclegan.serving.limits import Limits
from tf_cyclegan.serving.rest import http_connections, http_server
from tf_cyclegan.serving.rest.app import create_app

HEALTH = get()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    return fake_repository(tmp_path, monkeypatch)


@pytest.fixture
def address(repository, monkeypatch):
    """A server with little patience."""
    monkeypatch.setattr(http_connections, "_HEAD_SECONDS", 0.5)
    with served(repository) as found:
        yield found


@pytest.fixture
def small(repository, monkeypatch):
    """A server of 16 connections, 14 of them for requests."""
    monkeypatch.setattr(http_server, "_CONNECTIONS", 16)
    monkeypatch.setattr(http_connections, "_FRESH_SECONDS", 0.05)
    with served(repository, Limits(max_running=2, max_queued=100)) as found:
        yield found


@contextlib.contextmanager
def connections(address, count, start=b""):
    """Connections that have sent a start, the first one first."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            found.append(stack.enter_context(socket.create_connection(address, timeout=10)))
            found[-1].sendall(start)
        time.sleep(0.1)
        yield found


def ask(client, request=HEALTH):
    """The status of the reply."""
    client.sendall(request)
    return answer(client)


def answer(client):
    reply = http.client.HTTPResponse(client)
    reply.begin()
    reply.read()
    return reply.status


def closed(client):
    """Whether the server has closed a connection, on which no reply is waiting."""
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    finally:
        client.settimeout(10)


# ---- times ----


@pytest.mark.parametrize("head", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
@pytest.mark.parametrize("before", [False, True], ids=["first", "after another"])
def test_a_head_that_does_not_come_is_not_waited_for(address, head, before):
    with socket.create_connection(address, timeout=5) as client:
        if before:
            assert ask(client) == 200
            client.sendall(head or b"G")
        client.sendall(head)
        started = time.monotonic()
        assert client.recv(100) == b""
        assert 0.4 < time.monotonic() - started < 2


def test_a_head_that_begins_with_the_request_before_is_not_waited_for(address):
    with socket.create_connection(address, timeout=5) as client:
        assert ask(client, post() + get()[:20]) == 200
        assert client.recv(100) == b""


def test_a_slow_request_is_not_taken_for_a_slow_head(address):
    body = json.dumps({"instances": [-1]}).encode()
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(post(b"", b"Content-Length: %d\r\n" % len(body)))
        time.sleep(0.7)
        assert ask(client, body) == 200
        time.sleep(0.7)
        assert ask(client) == 200  # idle is not slow


def test_idle_connections_are_kept_as_long_as_asked(repository):
    with served(repository, keep_alive_seconds=0.5) as address, socket.create_connection(address, timeout=5) as client:
        for _ in range(3):
            assert ask(client) == 200
            time.sleep(0.3)
        started = time.monotonic()
        assert client.recv(100) == b"" and time.monotonic() - started < 1


def test_idle_connections_outlast_those_of_load_balancers(repository):
    assert http_server.make_server(create_app(repository, Limits())).config.timeout_keep_alive > 60


def test_replies_that_are_not_taken_in_are_not_kept(repository, monkeypatch):
    monkeypatch.setattr(http_connections, "REPLY_SECONDS", 0.5)
    body = b'{"instances": [%s]}' % b",".join([b"0.123456789"] * 100_000)
    limits = Limits(max_instances=100_000)
    with served(repository, limits) as address, socket.create_connection(address, timeout=10) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(post(body) * 5)  # the next requests wait for the reply to be taken in
        time.sleep(3)
        with pytest.raises(OSError):
            while True:
                client.sendall(b" ")
                time.sleep(0.05)


# ---- room ----


def test_idle_connections_make_room_for_new_ones(small):
    with connections(small, 40) as idle:
        assert statuses(small, LAST) == [200]
        assert [closed(client) for client in idle] == [True] * 25 + [False] * 15


@pytest.mark.parametrize("start", [b"", b"GET /healthz HTTP/1.1\r\nX: "], ids=["silent", "half a head"])
def test_many_connections_that_do_nothing_keep_nobody_waiting(repository, start):
    with served(repository) as address, connections(address, 600, start):
        for _ in range(20):
            started = time.monotonic()
            assert statuses(address, post() + LAST) == [200, 200]
            assert time.monotonic() - started < 1


def test_what_has_been_idle_for_longest_goes_first(small):
    with connections(small, 16) as clients:
        for client in clients:
            assert ask(client) == 200
        assert ask(clients[0]) == 200
        with connections(small, 3):
            assert [closed(client) for client in clients] == [False] + [True] * 3 + [False] * 12


def test_a_head_that_has_begun_goes_after_all_that_are_idle(small):
    with connections(small, 10, get()[:20]) as begun, connections(small, 6) as idle, connections(small, 5):
        assert not any(closed(client) for client in begun)
        assert [closed(client) for client in idle] == [True] * 5 + [False]
        assert ask(begun[0], get()[20:]) == 200
        with connections(small, 15, get()[:20]):
            assert [closed(client) for client in begun] == [False] + [True] * 9  # the first has just been answered


def test_requests_are_never_closed_for_others(small):
    with connections(small, 10, post(b'{"instances": [-0.2]}')) as busy, connections(small, 30):
        assert [answer(client) for client in busy] == [200] * 10


def test_health_is_answered_when_all_else_is_busy(small):
    with connections(small, 15, post(b"", b"Content-Length: 20\r\n")) as busy:
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/v1/models/emoji_ab", 503), ("/", 503)):
            (reply,) = talk(small, get(path, "Connection: close"))
            assert reply.status == status
            if status == 503:
                assert "too many connections" in json.loads(reply.body)["error"]
                assert (reply.headers["retry-after"], reply.headers["connection"]) == ("1", "close")
        assert sorted(ask(client, GOOD) for client in busy) == [200] * 14 + [503]
        assert statuses(small, get("/v1/models/emoji_ab") + LAST) == [200, 200]


def test_there_is_room_for_twice_the_connections_among_the_open_files():
    most = http_server._most_connections()
    files, _ = http_server.resource.getrlimit(http_server.resource.RLIMIT_NOFILE)
    assert 16 <= most <= 512 and 2 * most + 128 <= max(files, 160)
