"""Connections: idle ones make room, times run out, and too many are refused. TensorFlow is replaced."""

import contextlib
import http.client
import json
import socket
import time

import pytest
from serving_fakes import fake_repository
from serving_process import eventually
from serving_sockets import GOOD, LAST, get, post, running, served, statuses, talk

from tf_cyclegan.serving.limits import Limits
from tf_cyclegan.serving.rest import http_connections, http_server
from tf_cyclegan.serving.rest.app import create_app

HEALTH = get()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    return fake_repository(tmp_path, monkeypatch)


@pytest.fixture
def client(repository):
    """A connection on which a request has been answered."""
    with served(repository) as address, socket.create_connection(address, timeout=60) as client:
        assert ask(client) == 200
        yield client


@pytest.fixture
def patient(monkeypatch):
    """Servers that wait for heads as long as any test takes."""
    monkeypatch.setattr(http_connections, "_HEAD_SECONDS", 300)


@pytest.fixture
def hurried(client, monkeypatch):
    """Servers that wait for the next heads for half a second only."""
    monkeypatch.setattr(http_connections, "_HEAD_SECONDS", 0.5)


@pytest.fixture
def small(repository, patient, monkeypatch):
    """A server of 16 connections, 14 of them for requests."""
    monkeypatch.setattr(http_server, "_CONNECTIONS", 16)
    monkeypatch.setattr(http_connections, "_FRESH_SECONDS", 0.05)
    with running(repository, Limits(max_running=2, max_queued=100, body_seconds=60.0)) as server:
        yield server


@contextlib.contextmanager
def connections(server, count, start=b""):
    """Connections whose start the server has read, the first one first."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            found.append(stack.enter_context(socket.create_connection(server.address, timeout=60)))
            with contextlib.suppress(ConnectionError):  # it has made room already
                found[-1].sendall(start)
        eventually(lambda: taken_in(server, found, start))
        time.sleep(0.1)  # more than `_FRESH_SECONDS`
        yield found


def taken_in(server, clients, start):
    """Whether the server has the last of the connections, and the start of each that it has kept."""
    kept = {connection.client: connection for connection in list(server.server_state.connections)}
    ours = [kept.get(client.getsockname()) for client in clients]
    read = (each.cycle is not None or each.conn.begun for each in ours if each)
    return ours[-1] is not None and (not start or all(read))


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
        client.settimeout(60)


def shows(clients, expected):
    """Waits until those connections are closed that are expected to be, and no others."""
    eventually(lambda: [closed(client) for client in clients] == expected)


def ends(client):
    """Waits until the server closes a connection, on which no reply is waiting."""
    with contextlib.suppress(ConnectionError):
        assert client.recv(100) == b""


# ---- times ----


@pytest.mark.parametrize("head", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(repository, head, monkeypatch):
    monkeypatch.setattr(http_connections, "_HEAD_SECONDS", 0.5)
    started = time.monotonic()
    with served(repository) as address, socket.create_connection(address, timeout=60) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(head)
        ends(client)
        assert time.monotonic() - started > 0.4


@pytest.mark.parametrize("head", [b"G", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
def test_a_head_after_another_request_is_not_waited_for(client, hurried, head):
    started = time.monotonic()
    client.sendall(head)
    ends(client)
    assert time.monotonic() - started > 0.4


def test_a_head_that_begins_with_the_request_before_is_not_waited_for(client, hurried):
    assert ask(client, post() + get()[:20]) == 200
    ends(client)


def test_a_slow_request_is_not_taken_for_a_slow_head(client, hurried):
    body = json.dumps({"instances": [-1]}).encode()
    client.sendall(post(b"", b"Content-Length: %d\r\n" % len(body)))
    time.sleep(0.7)
    assert ask(client, body) == 200
    time.sleep(0.7)
    assert ask(client) == 200  # idle is not slow


def test_idle_connections_are_kept_as_long_as_asked(repository):
    with served(repository, keep_alive_seconds=3) as address, socket.create_connection(address, timeout=60) as client:
        assert ask(client) == 200
        time.sleep(0.5)
        started = time.monotonic()
        assert ask(client) == 200
        ends(client)
        assert time.monotonic() - started > 2.9


def test_idle_connections_outlast_those_of_load_balancers(repository):
    assert http_server.make_server(create_app(repository, Limits())).config.timeout_keep_alive > 60


def test_replies_that_are_not_taken_in_are_not_kept(repository, monkeypatch):
    monkeypatch.setattr(http_connections, "REPLY_SECONDS", 0.5)
    body = b'{"instances": [%s]}' % b",".join([b"0.123456789"] * 100_000)
    limits = Limits(max_instances=100_000)
    with served(repository, limits) as address, socket.create_connection(address, timeout=60) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(post(body) * 5)  # the next requests wait for the reply to be taken in
        with pytest.raises(ConnectionError):
            while True:
                client.sendall(b" ")
                time.sleep(0.05)


# ---- room ----


def test_idle_connections_make_room_for_new_ones(small):
    with connections(small, 40) as idle:
        assert statuses(small.address, LAST) == [200]
        shows(idle, [True] * 25 + [False] * 15)


@pytest.mark.parametrize("start", [b"", b"GET /healthz HTTP/1.1\r\nX: "], ids=["silent", "half a head"])
def test_many_connections_that_do_nothing_keep_nobody_waiting(repository, patient, start):
    with running(repository) as server, connections(server, 600, start):
        for _ in range(20):
            assert statuses(server.address, post() + LAST) == [200, 200]


def test_what_has_been_idle_for_longest_goes_first(small):
    with connections(small, 16) as clients:
        for client in clients:
            assert ask(client) == 200
        assert ask(clients[0]) == 200
        with connections(small, 3):
            shows(clients, [False] + [True] * 3 + [False] * 12)


def test_a_head_that_has_begun_goes_after_all_that_are_idle(small):
    with connections(small, 10, get()[:20]) as begun, connections(small, 6) as idle, connections(small, 5):
        shows(idle, [True] * 5 + [False])
        assert not any(closed(client) for client in begun)
        assert ask(begun[0], get()[20:]) == 200
        with connections(small, 15, get()[:20]):
            shows(begun, [False] + [True] * 9)  # the first has just been answered


def test_requests_are_never_closed_for_others(small):
    with connections(small, 10, post(b'{"instances": [-0.2]}')) as busy, connections(small, 30):
        assert [answer(client) for client in busy] == [200] * 10


def test_health_is_answered_when_all_else_is_busy(small):
    with connections(small, 15, post(b"", b"Content-Length: 20\r\n")) as busy:
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/v1/models/emoji_ab", 503), ("/", 503)):
            (reply,) = talk(small.address, get(path, "Connection: close"))
            assert reply.status == status
            if status == 503:
                assert "too many connections" in json.loads(reply.body)["error"]
                assert (reply.headers["retry-after"], reply.headers["connection"]) == ("1", "close")
        assert sorted(ask(client, GOOD) for client in busy) == [200] * 14 + [503]
        assert statuses(small.address, get("/v1/models/emoji_ab") + LAST) == [200, 200]


def test_there_is_room_for_twice_the_connections_among_the_open_files():
    most = http_server._most_connections()
    files, _ = http_server.resource.getrlimit(http_server.resource.RLIMIT_NOFILE)
    assert 16 <= most <= 512 and 2 * most + 128 <= max(files, 160)
