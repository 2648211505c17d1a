"""HTTP by uvicorn, with what it lacks: room for new connections, times to send and to take in, and clean ends."""

import asyncio
import contextlib
import http
import signal

import h11
import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from tf_cyclegan.serving.rest.hosts import HEADERS, HEALTH
from tf_cyclegan.serving.rest.messages import Connection
from tf_cyclegan.serving.rest.reply import write_error
from tf_cyclegan.serving.service import FINISH_SECONDS, GRACE_SECONDS, REPLY_SECONDS

try:
    import resource
except ImportError:  # on Windows
    resource = None

_HEAD_SECONDS = 10
_LINGER_SECONDS = 10
_KEEP_ALIVE_SECONDS = 75  # load balancers keep theirs for 60, and must be the ones to close
_FRESH_SECONDS = 1  # for the first bytes to come
_CONNECTIONS = 512  # idle ones too
_OTHER_FILES = 128  # that the process may have open
_JSON = {"Content-Type": "application/json", "Connection": "close"}


def run_app(app, listener, keep_alive_seconds=_KEEP_ALIVE_SECONDS, beside=None):
    """Serves until SIGTERM or SIGINT, then answers what has been accepted, for half a minute at most.

    Args:
        app: application of `create_app`.
        listener: listening socket.
        keep_alive_seconds: float, for which a connection may be idle. Defaults to 75.
        beside: optional object with coroutine functions `start` and `stop`, to run in the same event loop. Defaults
            to None.
    """
    server = make_server(app, keep_alive_seconds)
    server.beside = beside
    # uvicorn ends by the signal that it caught, which must then mean nothing any more.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    server.run([listener])


def make_server(app, keep_alive_seconds=_KEEP_ALIVE_SECONDS):
    """A uvicorn server with our protocol and times; it ends when its `should_exit` is set."""
    most = _most_connections()
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=most,
        timeout_keep_alive=keep_alive_seconds,
        timeout_graceful_shutdown=FINISH_SECONDS,
    )
    return _Server(config, most)


def _most_connections():
    """As many as there is room for twice among the open files: a full backlog is taken in before any is closed."""
    if resource is None:
        return _CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _CONNECTIONS if files < 0 else max(16, min(_CONNECTIONS, (files - _OTHER_FILES) // 2))


class _Server(uvicorn.Server):
    beside = None

    def __init__(self, config, most_connections):
        super().__init__(config)
        self.server_state.most_connections = most_connections
        self.server_state.waiting = {}  # connections that no request keeps busy, and since when, in this order
        config.app.state.service.unread_bytes = self._unread_bytes

    def _unread_bytes(self):
        """Replies that clients have yet to take in."""
        return sum(connection.transport.get_write_buffer_size() for connection in list(self.server_state.connections))

    async def startup(self, sockets=None):
        if self.beside:
            await self.beside.start()
        await super().startup(sockets)

    def handle_exit(self, sig, frame):
        self.config.app.state.service.stopping = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets=None):
        """Takes in the connections that the system has accepted, which closing the listener would reset."""
        beside = asyncio.ensure_future(self.beside.stop()) if self.beside else None
        taken = [connection for listener in sockets or () for connection in _queue(listener)]
        for server in self.servers:
            server.close()
        for connection in taken:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        await super().shutdown(sockets)
        if beside:
            await beside

    def _protocol(self):
        return Protocol(self.config, self.server_state, self.lifespan.state)


def _queue(listener):
    with contextlib.suppress(OSError):  # there are no more
        while True:
            yield listener.accept()[0]


class _Transport:
    """A transport whose `close` waits for the client to finish where it may still be sending.

    The system answers what comes to a closed connection by a reset, which takes our reply from the client, too
    (RFC 9112, 9.6).
    """

    def __init__(self, transport, conn, loop):
        self._transport = transport
        self._conn = conn
        self._loop = loop
        self._closing = False

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def is_closing(self):
        return self._closing or self._transport.is_closing()

    def close(self):
        if not self._conn.unread:
            self._transport.close()
        elif not self.is_closing():
            self._closing = True
            self._transport.write_eof()
            self._transport.resume_reading()
            self._loop.call_later(_LINGER_SECONDS, self._transport.close)


class Protocol(H11Protocol):
    """Closes connections that hold memory and do not come to the point, and idle ones where others need the room."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.conn = Connection()
        self.app = self._answer
        self._timers = {}

    # ---- what the transport says ----

    def connection_made(self, transport):
        super().connection_made(_Transport(transport, self.conn, self.loop))
        self.transport.set_write_buffer_limits(0)  # to be told when all of a reply has been taken in
        self._settle()
        self._make_room()

    def data_received(self, data):
        if self.transport.is_closing() or self.conn.their_state is h11.MUST_CLOSE:
            return  # nobody reads it
        super().data_received(data)
        self._settle(begun=True)

    def pause_writing(self):
        super().pause_writing()
        self._abort_in(REPLY_SECONDS, "reply")

    def resume_writing(self):
        super().resume_writing()
        self._cancel("reply")
        self._settle()

    def connection_lost(self, exc):
        super().connection_lost(exc)
        self.server_state.waiting.pop(self, None)
        self._cancel("head", "reply")

    # ---- what uvicorn says ----

    def on_response_complete(self):
        super().on_response_complete()
        self._settle()

    def send_400_response(self, msg):
        """Says what is wrong, unless an answer has begun, and closes."""
        if not (self._busy and self.cycle.response_started):
            self.transport.write(_refusal(self.conn, self.server_state.default_headers))
        if self._busy:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def shutdown(self):
        """Requests that are on their way when the end comes are still answered."""
        self.loop.call_later(GRACE_SECONDS, self._end)

    def _end(self):
        if not self.transport.is_closing():
            super().shutdown()

    # ---- requests ----

    async def _answer(self, scope, receive, send):
        async def send_last(message):
            """After a reply to a request that is not all there, its rest would be taken for another."""
            if message["type"] == "http.response.start" and self.conn.their_state is h11.SEND_BODY:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        app = _unavailable if self._crowded() and scope["path"] not in HEALTH else self.config.loaded_app
        await app(scope, receive, send_last)

    def _crowded(self):
        """Whether requests keep all connections busy but the few that are left for health."""
        busy = len(self.connections) - len(self.server_state.waiting)
        return busy > self.server_state.most_connections * 7 // 8

    @property
    def _busy(self):
        return self.cycle is not None and not self.cycle.response_complete

    # ---- room and time ----

    def _make_room(self):
        """Closes the connection that has been idle for longest, or, where all have begun or just come, the oldest."""
        if len(self.connections) <= self.server_state.most_connections:
            return
        waiting = self.server_state.waiting
        idle = (each for each, since in waiting.items() if each._idle and self.loop.time() > since + _FRESH_SECONDS)
        victim = next(idle, next(iter(waiting)))  # this one at the worst
        del waiting[victim]
        self.connections.discard(victim)
        victim.transport.abort()

    @property
    def _idle(self):
        return self.transport.is_closing() or not self.conn.begun

    def _settle(self, begun=False):
        """Between requests, a connection can be done without, and a head has its time from the first byte on."""
        if (self._busy and not self.transport.is_closing()) or self.flow.write_paused:
            self.server_state.waiting.pop(self, None)
            self._cancel("head")
            return
        self.server_state.waiting.setdefault(self, self.loop.time())
        if self.cycle is None or begun or self.conn.begun:
            self._abort_in(_HEAD_SECONDS, "head")

    def _abort_in(self, seconds, reason):
        if reason not in self._timers:
            self._timers[reason] = self.loop.call_later(seconds, self.transport.abort)

    def _cancel(self, *reasons):
        for reason in reasons:
            if timer := self._timers.pop(reason, None):
                timer.cancel()


def _refusal(conn, headers):
    """The bytes of a reply that says what is wrong with a request."""
    phrase = http.HTTPStatus(conn.status).phrase
    body = write_error(f"{phrase}: {str(conn.fault).partition(': bytearray')[0]}")
    fields = {**_JSON, **HEADERS, "Content-Length": len(body)}
    head = b"".join(b"%s: %s\r\n" % field for field in headers)
    head += "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode()
    to_head = conn.request is not None and conn.request.method == b"HEAD"
    return f"HTTP/1.1 {conn.status} {phrase}\r\n".encode() + head + b"\r\n" + (b"" if to_head else body)


async def _unavailable(scope, receive, send):
    body = write_error("The server has too many connections. Try again later.")
    await Response(body, 503, {**_JSON, **HEADERS, "Retry-After": "1"})(scope, receive, send)
