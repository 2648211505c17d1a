"""The hosts that requests may name, and headers that keep pages of other sites from using the replies."""

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
"""Headers of every reply; the page has its own policy."""

_FIELDS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._~!$&'()*+,;=%-]*))(?::[0-9]*)?", re.IGNORECASE)
_PATTERN = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]*:[0-9a-f:.]+")


def host_name(field):
    """Returns the name or address in a `Host` field in lower case, without port and brackets; None if it is no host."""
    match = _HOST.fullmatch(field)
    return match and (match[1] or match[2]).lower().removesuffix(".")


@functools.lru_cache(64)
def is_loopback(host):
    """Whether a name or address means this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def allowed_hosts(setting, address):
    """Reads the setting `allowed_hosts`.

    Args:
        setting: str, names, ends of names after `*.`, and addresses, between commas; or `*` for any.
        address: str, on which the server listens.

    Returns:
        Tuple of the names in lower case, or None for any. Without names a server takes any on other addresses than
        loopback.

    Raises:
        ValueError: if one is no name.
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
    """Refuses requests whose `Host` is not this server, and adds `HEADERS` to every reply.

    A site can make its own name lead to 127.0.0.1 (DNS rebinding). For the browser its pages then have the same origin
    as the server there, and only `Host` tells the two apart. Requests for health are always answered: load balancers
    ask under any name, and health has nothing to hide.

    Args:
        app: ASGI application.
        names: result of `allowed_hosts`; the names of this machine are always allowed.
    """

    # Starlette's TrustedHostMiddleware knows no networks like 127.0.0.0/8, and its errors are plain text.

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
    name = host if re.fullmatch(r"[a-z0-9._:-]+", host) else "NAME"  # somebody may paste it into a shell
    text = f"The server does not go by the Host {host!r}: ask for localhost, or start it with --allowed-hosts={name}"
    return Response(write_error(text), 421, media_type="application/json")
