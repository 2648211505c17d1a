"""The hosts that requests may name: pages of other sites get nothing. A stand-in takes the place of TensorFlow."""

import asyncio
import re

import pytest
from serving_asgi import ask_now
from serving_fakes import fake_repository
from serving_sockets import LAST, get, served, statuses, talk

from tf_cyclegan.serving.limits import Limits
from tf_cyclegan.serving.rest.app import create_app
from tf_cyclegan.serving.rest.hosts import allowed_hosts

PREDICT = "/v1/models/emoji_ab:predict"
GOOD = b'{"instances": [1.0]}'
LOCAL = ["localhost", "LOCALHOST:8501", "localhost.", "127.0.0.1", "127.0.0.1:8501", "127.9.9.9", "[::1]", "[::1]:8501"]
FOREIGN = [
    *("evil.example", "evil.example:8501", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost"),
    *("192.168.0.1", "0.0.0.0", "[::]", "[fe80::1]", "", "localhost:80:80", "a b", "http://localhost", "[127.0.0.1"),
]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    return fake_repository(tmp_path, monkeypatch)


@pytest.mark.parametrize("host", LOCAL)
def test_hosts_of_this_machine(repository, host):
    app = create_app(repository, Limits(), hosts=allowed_hosts("", "127.0.0.1"))
    assert ask_now(app, "POST", PREDICT, GOOD, headers={"Host": host}).status == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_pages_that_have_their_own_name_lead_here_get_nothing(repository, host):
    app = create_app(repository, Limits(), hosts=allowed_hosts("", "::1"))
    for method, path in (("POST", PREDICT), ("GET", "/"), ("GET", "/monitoring/prometheus/metrics"), ("OPTIONS", "*")):
        answer = ask_now(app, method, path, GOOD, headers={"Host": host})
        assert answer.status == 421 and answer.headers["content-type"] == "application/json"
        assert re.search(r"localhost.* --allowed-hosts=\S+$", answer.json()["error"])
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert ask_now(app, "GET", "/healthz", headers={"Host": host}).status == 200  # load balancers use any name
    assert ask_now(app, "GET", "/readyz").status == 200


@pytest.mark.parametrize(
    ("setting", "host", "status"),
    [
        ("models.example.com", "Models.Example.com:80", 200),
        ("models.example.com", "other.example.com", 421),
        ("models.example.com", "localhost", 200),
        ("a.example, b.example ,", "b.example", 200),
        ("*.example.com", "models.example.com", 200),
        ("*.example.com", "example.com", 421),
        ("*.example.com", "badexample.com", 421),
        ("192.168.0.1", "192.168.0.1:8501", 200),
        ("fd00::1", "[FD00::1]:8501", 200),
        ("*", "evil.example", 200),
    ],
)
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_hosts_that_are_named(repository, setting, host, status, address):
    app = create_app(repository, Limits(), hosts=allowed_hosts(setting, address))
    assert ask_now(app, "POST", PREDICT, GOOD, headers={"Host": host}).status == status


def test_the_host_of_a_whole_address_counts(repository):
    foreign, local = "http://evil.example/", "http://localhost/"
    with served(repository, hosts=()) as address:
        asked = get(foreign) + get(local).replace(b"Host: localhost", b"Host: evil.example") + get("/")
        assert statuses(address, asked + LAST) == [421, 200, 200, 200]
        (refusal,) = talk(address, b"GET / HTTP/1.0\r\n\r\n")  # no browser, but none that names this machine either
        assert refusal.status == 421


def test_what_is_no_request_passes(repository):
    """Servers of others begin with `lifespan`."""
    app, sent = create_app(repository, Limits(), hosts=()), []

    async def receive():
        return {"type": "lifespan.startup" if not sent else "lifespan.shutdown"}

    async def send(message):
        sent.append(message["type"])

    asyncio.run(app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_other_addresses_take_any_host():
    assert [allowed_hosts("", address) for address in ("0.0.0.0", "192.168.0.1", "::", "fe80::1%eth0")] == [None] * 4
    assert [allowed_hosts("", address) for address in ("127.0.0.1", "127.0.1.1", "::1")] == [()] * 3


@pytest.mark.parametrize(
    "path", ["/", "/demo/config.json", "/healthz", "/monitoring/prometheus/metrics", PREDICT, "/x"]
)
def test_no_reply_is_for_other_pages_to_show_or_to_guess_at(repository, path):
    for method in ("GET", "POST"):
        headers = ask_now(create_app(repository, Limits()), method, path, GOOD).headers
        assert headers["content-security-policy"].endswith("; frame-ancestors 'none'")
        assert headers["x-content-type-options"] == "nosniff"
