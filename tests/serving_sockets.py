"""Requests and replies by the byte, and a server in a thread that answers them, for the tests of serving."""

import contextlib
import json
import re
import socket
import threading
import time
from dataclasses import dataclass

from tf_cyclegan.serving.limits import Limits
from tf_cyclegan.serving.rest.app import create_app
from tf_cyclegan.serving.rest.http_server import make_server

PREDICT = "/v1/models/emoji_ab:predict"
GOOD = b'{"instances": [1.0]}'
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@contextlib.contextmanager
def running(repository, limits=None, hosts=None, **settings):
    """A server on a free port, with its `address`; it waits for slow senders as long as any test takes."""
    app = create_app(repository, limits or Limits(body_seconds=60.0, max_body_bytes=2**20), hosts=hosts)
    server = make_server(app, **settings)
    listener = socket.create_server(("127.0.0.1", 0))
    server.address = listener.getsockname()
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def served(*arguments, **settings):
    """`running`, of which only the address counts."""
    with running(*arguments, **settings) as server:
        yield server.address


@dataclass(frozen=True)
class Reply:
    """One reply of several; header names are in lower case."""

    status: int
    headers: dict
    body: bytes


def replies_of(data, heads=()):
    """Takes apart what came, which must be whole replies; `heads` are the places of those without a body."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", first)[1])
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert len(headers) == len(lines)  # none twice
        length = 0 if status < 200 or len(found) in heads else int(headers["content-length"])
        assert len(data) >= length
        found.append(Reply(status, headers, data[:length]))
        data = data[length:]
    return found


def talk(address, *parts, pause=0.05, heads=(), in_turn=False):
    """Sends parts one after another, with `in_turn` each after a reply to the one before, and takes all replies.

    Returns:
        The replies, when the server has closed the connection.
    """
    data = b""
    with socket.create_connection(address, timeout=60) as client:
        for number, part in enumerate(parts):
            if in_turn and number:
                data += client.recv(65536)
            client.sendall(part)
            time.sleep(pause if len(parts) > 1 else 0)
        while part := client.recv(65536):
            data += part
    return replies_of(data, heads)


def get(path="/healthz", *lines, version="1.1"):
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: localhost", *lines, "", ""]).encode("latin-1")


def post(body=GOOD, head=b"", path=PREDICT):
    length = b"" if b"ransfer-" in head or b"ontent-" in head else b"Content-Length: %d\r\n" % len(body)
    return b"POST %s HTTP/1.1\r\nHost: localhost\r\n" % path.encode() + length + head + b"\r\n" + body


LAST = get("/healthz", "Connection: close")


def statuses(address, *parts, **settings):
    return [reply.status for reply in talk(address, *parts, **settings)]


def refused(address, *parts):
    """The one reply to what is followed by nothing that counts; the connection is closed after it."""
    (reply,) = talk(address, *parts)
    assert reply.headers["connection"] == "close" and reply.headers["content-type"] == "application/json"
    assert list(json.loads(reply.body)) == ["error"]
    return reply.status
