"""HTTP/1.1 by the byte, by the rules of RFC 9112 and 9110. A stand-in takes the place of TensorFlow."""

import socket
import time

import pytest
from serving_fakes import fake_repository
from serving_sockets import CHUNKED, GOOD, LAST, get, post, refused, served, statuses, talk

from tf_cyclegan.serving.limits import Limits
from tf_cyclegan.serving.rest import http_connections


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield fake_repository(tmp_path_factory.mktemp("models"), monkeypatch)


@pytest.fixture(scope="module")
def address(repository):
    with served(repository) as found:
        yield found


# ---- where a message ends ----


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (CHUNKED + b"Content-Length: 5\r\n", 400),
        (b"Content-Length: 5\r\n" + CHUNKED, 400),
        (b"Transfer-Encoding: gzip, chunked\r\n", 501),
        (b"Transfer-Encoding: chunked, gzip\r\n", 501),
        (b"Transfer-Encoding: chunked, chunked\r\n", 501),
        (b"Transfer-Encoding: identity\r\n", 501),
        (b"Transfer-Encoding: xchunked\r\n", 501),
        (b"Transfer-Encoding: \r\n", 501),
        (b"Transfer-Encoding: chunked;a=b\r\n", 501),
        (CHUNKED + CHUNKED, 501),
        (b"Transfer-Encoding: \x0bchunked\r\n", 400),
        (b"Transfer-Encoding : chunked\r\n", 400),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        (b"Content-Length: 5, 6\r\n", 400),
        (b"Content-Length: +5\r\n", 400),
        (b"Content-Length: -5\r\n", 400),
        (b"Content-Length: 0x5\r\n", 400),
        (b"Content-Length: 5 5\r\n", 400),
        (b"Content-Length: 5_0\r\n", 400),
        (b"Content-Length: \xb2\r\n", 400),
        (b"Content-Length: \r\n", 400),
        (b"Content-Length: 5,\r\n", 400),
        (b"Content-Length : 5\r\n", 400),
        (b"Content-Length: %s\r\n" % (b"9" * 30), 400),
    ],
)
def test_a_body_whose_end_is_in_doubt_ends_the_connection(address, head, status):
    assert refused(address, post(b"0\r\n\r\n", head) + LAST) == status


def test_chunks_of_http_1_0_are_refused(address):
    request = post(b"14\r\n" + GOOD + b"\r\n0\r\n\r\n", CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert refused(address, request) == 400


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 20\r\nContent-Length: 20\r\n", b"Content-Length: 20, 20\r\n", b"Content-Length: 0020\r\n"],
)
def test_lengths_that_agree(address, head):
    assert statuses(address, post(GOOD, head) + LAST) == [200, 200]


@pytest.mark.parametrize(
    "body",
    [
        b"14\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"0a\r\n" + GOOD[:10] + b"\r\n0A;name=value;more\r\n" + GOOD[10:] + b"\r\n000\r\n\r\n",
        b"14\r\n" + GOOD + b"\r\n0\r\nX-Trailer: 1\r\nContent-Length: 3\r\n\r\n",
    ],
    ids=["one", "two and extensions", "trailers"],
)
def test_chunks(address, body):
    assert statuses(address, post(body, CHUNKED) + LAST) == [200, 200]
    request = post(body, CHUNKED) + LAST
    assert statuses(address, *[request[place : place + 7] for place in range(0, len(request), 7)], pause=0) == [
        200,
        200,
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"-1\r\n" + GOOD,
        b"+14\r\n" + GOOD,
        b"0x14\r\n" + GOOD,
        b" 14\r\n" + GOOD,
        b"1 4\r\n" + GOOD,
        b"\r\n14\r\n" + GOOD,
        b"f" * 40 + b"\r\n" + GOOD,
        b"14;a\nb\r\n" + GOOD,
        b"14\r\n" + GOOD + b"0\r\n\r\n",
        b"14\r\n" + GOOD + b"XX0\r\n\r\n",
        b"14;" + b"a" * 400_000 + b"\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"14\r\n" + GOOD + b"\r\n0\r\nno trailer\r\n\r\n",
        b"14\r\n" + GOOD + b"\r\n0\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"14\r\n" + GOOD + b"\r\n0\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
    ],
)
def test_broken_chunks_end_the_connection(address, body):
    status = 431 if body.count(b"X: y") == 200 else 400
    assert refused(address, post(body, CHUNKED) + LAST) == status
    assert refused(address, post(b"", CHUNKED), body + LAST) == status  # and where the application waits for the body


def test_tiny_chunks(address):
    """They cost the server far more than the client, and all requests wait meanwhile."""
    blanks = b"1\r\n \r\n"
    chunk = b"14\r\n" + GOOD + b"\r\n"
    assert statuses(address, post(chunk + blanks * 900 + b"0\r\n\r\n", CHUNKED) + LAST) == [200, 200]
    full = b"400\r\n" + b" " * 1024 + b"\r\n"
    assert statuses(address, post(chunk + full * 900 + blanks * 3000 + b"0\r\n\r\n", CHUNKED) + LAST) == [200, 200]
    assert refused(address, post(chunk + blanks * 100_000 + b"0\r\n\r\n", CHUNKED) + LAST) == 400


def test_chunks_that_end_in_the_middle(repository):
    with served(repository, Limits(body_seconds=0.5)) as address:
        assert refused(address, post(b"14\r\n" + GOOD[:5], CHUNKED)) == 408


# ---- heads ----


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /healthz", 400),
        ("GET /healthz HTTP/1.1 ", 400),
        ("GET  /healthz HTTP/1.1", 400),
        ("GET\t/healthz\tHTTP/1.1", 400),
        ("GET /heal thz HTTP/1.1", 400),
        ("G(T /healthz HTTP/1.1", 400),
        ("GET /healthz http/1.1", 400),
        ("GET /healthz HTTP/1.10", 400),
        ("GET /h\u00e9 HTTP/1.1", 400),
        ("GET /h\x01 HTTP/1.1", 400),
        ("GET healthz HTTP/1.1", 400),
        ("GET ftp://localhost/healthz HTTP/1.1", 400),
        ("GET http:///healthz HTTP/1.1", 400),
        ("GET http://me:pass@localhost/healthz HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET /healthz HTTP/0.9", 505),
        ("GET /healthz HTTP/2.0", 505),
        ("GET /healthz HTTP/9.9", 505),
        ("CONNECT localhost:80 HTTP/1.1", 501),
        ("CONNECT /healthz HTTP/1.1", 501),
        ("GET /" + "a" * 20_000 + " HTTP/1.1", 414),
        ("GET /" + "a" * 200_000 + " HTTP/1.1", 414),
    ],
)
def test_request_lines_that_are_none(address, request_line, status):
    assert refused(address, f"{request_line}\r\nHost: localhost\r\n\r\n".encode("latin-1") + LAST) == status


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("", 400),
        ("Host: a\r\nHost: a", 400),
        ("Host: a\r\nHost: b", 400),
        ("Host: a b", 400),
        ("Host: a/b", 400),
        ("Host: a@b", 400),
        ("Host: a:b", 400),
        ("Host: [::1", 400),
        ("Host: \u00e9", 400),
        ("Host: a\r\nX : y", 400),
        ("Host: a\r\nX", 400),
        ("Host: a\r\n: y", 400),
        (" X: y\r\nHost: a", 400),
        ("Host: a\r\nX: y\rZ: z", 400),
        ("Host: a\r\nX: y\r\r\nZ: z", 400),
        ("Host: a\r\nX: y\0z", 400),
        ("Host: a\r\nX\u00e9: y", 400),
        ("Host: a\r\n" + "X: y\r\n" * 150 + "Z: z", 431),
        ("Host: a\r\n" + "X: y\r\n" * 20_000 + "Z: z", 431),
        ("Host: a\r\nX: " + "y" * 20_000, 431),
        ("Host: a\r\nX: " + "y" * 400_000, 431),
    ],
)
def test_fields_that_are_none(address, lines, status):
    lines = f"{lines}\r\n" if lines else ""
    assert refused(address, f"GET /healthz HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + LAST) == status


def test_a_later_1_x_needs_a_host_too(address):
    assert refused(address, b"GET /healthz HTTP/1.2\r\n\r\n") == 400
    assert statuses(address, get(version="1.2") + LAST) == [200, 200]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /healthz HTTP/1.1\nHost: a\nConnection: close\n\n",  # bare LF ends a line
        b"\r\n\r\n" + LAST,
        b"\r\n" + get() + b"\r\n" + LAST,
        post(GOOD) + b"\r\n" + LAST,
        get("/healthz", "X: a", "\tb") + LAST,  # folded
        get("/healthz", "X:", "Y:y", "Z: \t z \t") + LAST,
        b"GET /healthz HTTP/1.1\r\nhOST:localhost\r\nConnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n",
        get("/healthz?" + "a" * 8000) + LAST,
    ],
)
def test_heads_that_are_unusual(address, request_bytes):
    assert set(statuses(address, request_bytes)) == {200}


def test_an_empty_line_may_come_apart(address):
    assert statuses(address, get(), b"\r", b"\n", LAST) == [200, 200]
    assert statuses(address, b"\r", b"\n" + LAST) == [200]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://localhost/healthz", 200),
        ("HTTP://localhost:8501/healthz?x=1", 200),
        ("https://[::1]/healthz", 200),
        ("http://localhost", 200),
        ("http://localhost?x=1", 200),
        ("http://localhost/v1/models/emoji_ab", 200),
        ("http://localhost/x", 404),
    ],
)
def test_targets_in_absolute_form(address, target, status):
    assert statuses(address, get(target) + LAST) == [status, 200]


def test_the_whole_server_is_asked(address):
    for target in ("*", "http://localhost"):
        first, second = talk(address, f"OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() + LAST)
        assert (first.status, first.body, second.status) == (200, b"", 200)
        assert first.headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_http_2_is_told_to_be_http_1(address):
    assert refused(address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0") == 505
    upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"
    assert statuses(address, get("/healthz", upgrade) + post(GOOD, upgrade.encode() + b"\r\nContent-Length: 20\r\n")
        + LAST) == [200, 200, 200]  # fmt: skip
    websocket = get("/healthz", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AA==")
    assert statuses(address, websocket + LAST) == [200, 200]


@pytest.mark.parametrize("path", ["/", "/healthz", "/demo/config.json", "/monitoring/prometheus/metrics", "/x"])
def test_replies_to_head_have_no_body(address, path):
    head = get(path).replace(b"GET", b"HEAD")
    first, second = talk(address, head + LAST, heads=[0])
    (whole, _) = talk(address, get(path) + LAST)
    assert (first.status, second.status) == (whole.status, 200)
    if path in ("/", "/healthz", "/demo/config.json"):  # the others tell of the request, or of the time
        assert first.headers["content-length"] == str(len(whole.body))
    assert refused_head(address) == b""


def refused_head(address):
    """What follows the head of a reply to a HEAD request that is refused."""
    request = post(b"0\r\n\r\n", CHUNKED + b"Content-Length: 5\r\n").replace(b"POST", b"HEAD")
    with socket.create_connection(address, timeout=60) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")[2]


# ---- one after another ----


def test_requests_in_one_piece_are_answered_in_order(address):
    wrong = post(b"{}")
    slow = post(b'{"instances": [-0.2]}')
    assert statuses(address, slow + wrong + get() + post() + LAST) == [200, 400, 200, 200, 200]
    assert statuses(address, get() * 3000 + LAST) == [200] * 3001
    assert statuses(address, (post() + b"\r\n") * 1000 + LAST) == [200] * 1001


@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, close"])
def test_close_is_honored(address, value):
    close = get("/healthz", f"Connection: {value}")
    (reply,) = talk(address, close + get())
    assert reply.headers["connection"] == "close"
    assert statuses(address, close, get()) == [200]
    slow = post(b'{"instances": [-0.3]}', b"Connection: close\r\nContent-Length: 21\r\n")
    assert statuses(address, slow, b"\r\n", get()) == [200]


@pytest.mark.parametrize("connection", ["", "Connection: keep-alive\r\n"])
def test_http_1_0_is_answered_and_closed(address, connection):
    request = f"GET /healthz HTTP/1.0\r\n{connection}\r\n".encode()
    (reply,) = talk(address, request)
    assert reply.status == 200 and reply.headers["connection"] == "close"


def test_a_get_with_a_body(address):
    inner = get("/x")
    whole = get("/healthz", f"Content-Length: {len(inner)}") + inner
    assert statuses(address, whole + LAST) == [200, 200]
    # What comes later than the reply is not taken for a request.
    (reply,) = talk(address, get("/healthz", f"Content-Length: {len(LAST)}"), LAST, in_turn=True)
    assert reply.status == 200 and reply.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 3000000\r\n", 413),
        (CHUNKED, 413),
        (b"Content-Encoding: br\r\nContent-Length: 3000000\r\n", 415),
        (b"Content-Encoding: br\r\n" + CHUNKED, 415),
    ],
)
def test_what_is_refused_before_its_body_is_read(address, head, status):
    body = b"%x\r\n" % 3_000_000 + b" " * 3_000_000 + b"\r\n0\r\n\r\n" if b"chunked" in head else b" " * 3_000_000
    assert refused(address, post(body, head) + LAST) == status  # the reply arrives, though all has been sent
    assert refused(address, post(b"", head), body[:1000], body[1000:]) == status


def test_a_reply_is_not_waited_with_forever(address, monkeypatch):
    """A client that does not go is cut off."""
    monkeypatch.setattr(http_connections, "_LINGER_SECONDS", 0.5)
    with socket.create_connection(address, timeout=60) as client:
        client.sendall(post(b"", b"Content-Length: 3000000\r\n"))
        while client.recv(65536):
            pass
        started = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() < started + 60:
                client.sendall(b" " * 10)
                time.sleep(0.05)


def test_continue_is_said_where_the_body_is_read(address):
    expect = b"Expect: 100-continue\r\n"
    head = expect + b"Content-Length: 20\r\n"
    assert statuses(address, post(b"", head), GOOD + LAST) == [100, 200, 200]
    for refused_head, status in ((b"Content-Length: 3000000\r\n", 413), (b"Content-Encoding: br\r\n" + CHUNKED, 415)):
        assert refused(address, post(b"", expect + refused_head)) == status
    (reply,) = talk(address, post(b"", head, "/healthz"))
    assert reply.status == 404 and reply.headers["connection"] == "close"
    old = post(b"", head + b"Connection: close\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert statuses(address, old, GOOD) == [200]
