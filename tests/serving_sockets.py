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
def served(repository, limits=None, hosts=None, **settings):
    """A server on a free port; gives its address."""
    app = create_app(repository, limits or Limits(body_seconds=1.0, max_body_bytes=2**20), hosts=hosts)
    running = make_server(app, **settings)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=running.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        running.should_exit = True
        thread.join()


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


def talk(address, *parts, pause=0.05, heads=()):
    """Sends parts one after another, and takes all that comes until the server closes.

    Returns:
        The replies.
    """
    data = b""
    with socket.create_connection(address, timeout=10) as client:
        for part in parts:
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
