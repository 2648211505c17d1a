"""Messages of HTTP/1.1 by h11, with the rules of RFC 9112 for requests that h11 lacks."""

import re

import h11

from tf_cyclegan.serving.rest.hosts import host_name

_MAX_HEAD = 16 * 1024
_MAX_FIELDS = 100
# A chunk takes h11 as long as 10 kB: a body of tiny chunks would stop all other requests.
_FREE_CHUNKS, _MIN_CHUNK = 1000, 256
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)(.*)", re.IGNORECASE)


class Connection(h11.Connection):
    """The server's end of a connection. `request` is the request in work, `fault` the rule that it breaks."""

    def __init__(self, received=b""):
        super().__init__(h11.SERVER, _MAX_HEAD)
        self._received = bytearray(received)
        self._chunks = self._bytes = 0
        self._plain = False  # whether a body of known length is being received
        self.request = None
        self.fault = None

    def receive_data(self, data):
        """Takes bytes that the client sent."""
        self._received += data

    def start_next_cycle(self):
        """Gets ready for the next request."""
        given, _ = self.trailing_data
        self.__init__(given + self._received)  # an empty line before the next request cannot be removed within h11

    def next_event(self):
        """Returns h11's next event; a request has passed all rules, and its target is a path or `*`."""
        try:
            event = super().next_event()
            while event is h11.NEED_DATA and self._received:
                self._give()
                event = super().next_event()
            return self._checked(event)
        except h11.RemoteProtocolError as error:
            self.fault = error
            raise

    def _give(self):
        """Gives h11 all bytes of a body, but only so many of a head that it notices in time lines that are too long."""
        if self.their_state is h11.IDLE and not self.trailing_data[0]:
            self._received = self._received.lstrip(b"\r\n")  # clients send empty lines after a body
        size = len(self._received) if self._plain else _MAX_HEAD
        if self._received:  # no bytes would mean the end of the connection
            super().receive_data(bytes(self._received[:size]))
            del self._received[:size]

    def _checked(self, event):
        if isinstance(event, h11.Request):
            self.request = event
            request = _checked_request(event)
            self._plain = b"transfer-encoding" not in dict(event.headers)
            return request
        if isinstance(event, h11.EndOfMessage):
            _check_fields(event.headers)
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_start
            self._bytes += len(event.data)
            if self._chunks > _FREE_CHUNKS + self._bytes // _MIN_CHUNK:
                raise _Refused(f"Expected chunks of at least: {_MIN_CHUNK} bytes, beyond the first {_FREE_CHUNKS}")
        return event

    @property
    def begun(self):
        """Whether bytes wait that are not read yet; between requests they are the start of a head."""
        return bool(self._received or self.trailing_data[0])

    @property
    def unread(self):
        """Whether the client has sent, or may still send, bytes that the server does not read after the reply."""
        return self.their_state in (h11.SEND_BODY, h11.ERROR) or (self.begun and self.their_state is not h11.IDLE)

    @property
    def status(self):
        """The HTTP status of the fault."""
        hint = self.fault.error_status_hint
        if hint != 431 or isinstance(self.fault, _Refused):
            return hint
        if self.request is not None:
            return 400  # a line among its chunks is too long
        return 431 if b"\n" in self.trailing_data[0] else 414


class _Refused(h11.RemoteProtocolError):
    def __init__(self, message, status=400):
        super().__init__(message, status)


def _checked_request(request):
    """Checks a request, and makes a path of a target that is a whole address."""
    if len(request.target) > _MAX_HEAD:
        raise _Refused(f"Expected a target of at most: {_MAX_HEAD} bytes", 414)
    _check_fields(request.headers)
    if not request.http_version.startswith(b"1."):
        raise _Refused(f"The version must be HTTP/1.1. Received: HTTP/{request.http_version.decode()}", 505)
    if request.method == b"CONNECT":
        raise _Refused("CONNECT is for proxies, and this is none", 501)
    fields = dict(request.headers)
    _check_framing(request.http_version, fields)
    if absolute := _ABSOLUTE.fullmatch(request.target):
        fields[b"host"] = absolute[1]  # whatever the field says
        request = _with_path(request, absolute)
    _check_host(request.http_version, fields.get(b"host"))
    if not request.target.startswith(b"/") and (request.method, request.target) != (b"OPTIONS", b"*"):
        raise _Refused("The target must be a path that begins with / or an address that begins with http://")
    return request


def _check_fields(fields):
    if sum(len(name) + len(value) for name, value in fields) > _MAX_HEAD or len(fields) > _MAX_FIELDS:
        raise _Refused(f"Expected at most: {_MAX_FIELDS} header fields, {_MAX_HEAD} bytes", 431)


def _check_framing(version, fields):
    """Refuses a body whose end a proxy may see elsewhere: a request could pass the proxy as part of the body."""
    if b"transfer-encoding" in fields and b"content-length" in fields:
        raise _Refused("Transfer-Encoding and Content-Length exclude each other. Send one of them")
    if b"transfer-encoding" in fields and version == b"1.0":
        raise _Refused("Transfer-Encoding needs HTTP/1.1. Received: HTTP/1.0")


def _check_host(version, host):
    if host is None and version != b"1.0":
        raise _Refused("The header field Host is missing")
    if host is not None and host_name(host.decode("latin-1")) is None:
        raise _Refused("Host must be a name or an address, with or without a port")


def _with_path(request, absolute):
    authority, path = absolute.groups()
    if not path.startswith(b"/"):
        path = b"*" if request.method == b"OPTIONS" and not path else b"/" + path
    others = [(name, value) for name, value in request.headers if name != b"host"]
    return h11.Request(
        method=request.method,
        headers=[(b"host", authority), *others],
        target=path,
        http_version=request.http_version,
    )
