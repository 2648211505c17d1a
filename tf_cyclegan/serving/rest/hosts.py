"""Who may ask: the hosts that requests name, and headers that keep other pages from using the replies."""

import functools
import ipaddress
import re

from starlette.datastructures import Headers
from starlette.responses import Response

from tf_cyclegan.serving.rest.json_reply import write_error

HEALTH = ("/healthz", "/readyz")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""Of every reply; the page has a policy of its own."""

_FIELDS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._~!$&'()*+,;=%-]*))(?::[0-9]*)?", re.IGNORECASE)
_PATTERN = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]*:[0-9a-f:.]+")


def host_name(field):
    """The name or address in a `Host` field, in lower case and without port and brackets; None if it is no host."""
    match = _HOST.fullmatch(field)
    return match and (match[1] or match[2]).lower().removesuffix(".")


@functools.lru_cache(64)
def is_loopback(host):
    """Whether a name or address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def allowed_hosts(setting, address):
    """The hosts that a server goes by.

    Args:
        setting: str, names, `*.` and the end of names, and addresses, between commas; or `*`, which is any.
        address: str, where the server listens.

    Returns:
        Tuple of the names in lower case, or None for any, which is what servers on other than loopback addresses take
        where no names are given.

    Raises:
        ValueError: if a name is none.
    """
    names = [name.strip().lower() for name in setting.split(",") if name.strip()]
    for name in names:
        if not _PATTERN.fullmatch(name):
            raise ValueError(
                f"`allowed_hosts` must be names without ports between commas, as models.example.com. Received: {name}"
            )
    if "*" in names or not (names or is_loopback(address)):
        return None
    return tuple(names)


class Guard:
    """Answers only requests that are meant for this server, and gives every reply `HEADERS`.

    A page of any site can have its own name lead to 127.0.0.1 (DNS rebinding): for the browser it is then of the same
    origin as the server there. The name in `Host` tells the two apart. Health has nothing to hide and is asked by load
    balancers under any name: it is always answered.

    Args:
        app: ASGI application.
        names: what `allowed_hosts` returns; those of this machine are taken as well.
    """

    # Starlette's TrustedHostMiddleware knows no networks as 127.0.0.0/8, and its errors are text.

    def __init__(self, app, names=None):
        self._app = app
        self._names = names

    async def __call__(self, scope, receive, send):
        async def send_guarded(message):
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                missing = (field for field in _FIELDS if field[0] not in given)
                message = {**message, "headers": [*message["headers"], *missing]}
            await send(message)

        app = self._app
        if self._names is not None and scope["type"] == "http" and not _asks_for_health(scope):
            host = host_name(Headers(scope=scope).get("host", "")) or ""
            app = app if self._takes(host) else _misdirected(host[:100])
        await app(scope, receive, send_guarded)

    def _takes(self, host):
        return is_loopback(host) or any(
            host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in self._names
        )


def _asks_for_health(scope):
    return scope["path"].removeprefix(scope.get("root_path", "")) in HEALTH


def _misdirected(host):
    name = host if re.fullmatch(r"[a-z0-9._:-]+", host) else "NAME"  # as somebody may paste it into a shell
    text = f"The server does not go by the Host {host!r}: ask for localhost, or start it with --allowed-hosts={name}"
    return Response(write_error(text), 421, media_type="application/json")
