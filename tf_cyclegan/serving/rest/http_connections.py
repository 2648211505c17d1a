"""Connections of the HTTP server: the time that they have, and the room that idle ones make for new ones."""

import http

import h11
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from tf_cyclegan.serving.rest.hosts import HEADERS, HEALTH
from tf_cyclegan.serving.rest.http_messages import Connection
from tf_cyclegan.serving.rest.json_reply import write_error
from tf_cyclegan.serving.service import GRACE_SECONDS, REPLY_SECONDS

_HEAD_SECONDS = 10  # for the head of a request to arrive
_LINGER_SECONDS = 10  # for a client to stop sending after a reply that came early
_FRESH_SECONDS = 1  # for the first bytes of a connection to arrive
_JSON = {"Content-Type": "application/json", "Connection": "close"}


class Protocol(H11Protocol):
    """A connection. It ends when its time is over, and when it is idle and a new one needs its room."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.conn = Connection()
        self.app = self._answer
        self._timers = {}

    # ---- calls of the transport ----

    def connection_made(self, transport):
        super().connection_made(_Transport(transport, self.conn, self.loop))
        self.transport.set_write_buffer_limits(0)  # so that `resume_writing` means: the client has all of the reply
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

    # ---- calls of uvicorn ----

    def on_response_complete(self):
        super().on_response_complete()
        self._settle()

    def send_400_response(self, msg):
        """Says what is wrong, unless a reply has begun, and closes."""
        if not (self._busy and self.cycle.response_started):
            self.transport.write(_refusal(self.conn, self.server_state.default_headers))
        if self._busy:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def shutdown(self):
        """Ends later, so that requests on their way are still answered."""
        self.loop.call_later(GRACE_SECONDS, self._end)

    def _end(self):
        if not self.transport.is_closing():
            super().shutdown()

    # ---- requests ----

    async def _answer(self, scope, receive, send):
        async def send_last(message):
            """Closes after a reply that came before the whole request, whose rest would be taken for the next."""
            if message["type"] == "http.response.start" and self.conn.their_state is h11.SEND_BODY:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        app = _unavailable if self._crowded() and scope["path"] not in HEALTH else self.config.loaded_app
        await app(scope, receive, send_last)

    def _crowded(self):
        """Whether requests keep seven of eight connections busy; the others are left for health."""
        busy = len(self.connections) - len(self.server_state.waiting)
        return busy > self.server_state.most_connections * 7 // 8

    @property
    def _busy(self):
        return self.cycle is not None and not self.cycle.response_complete

    # ---- room and time ----

    def _make_room(self):
        """Closes the connection that has been idle for longest or, if none is idle, has waited for longest."""
        if len(self.connections) <= self.server_state.most_connections:
            return
        waiting = self.server_state.waiting
        idle = (each for each, since in waiting.items() if each._idle and self.loop.time() > since + _FRESH_SECONDS)
        victim = next(idle, next(iter(waiting)))  # this connection waits too: there is always one
        del waiting[victim]
        self.connections.discard(victim)
        victim.transport.abort()

    @property
    def _idle(self):
        return self.transport.is_closing() or not self.conn.begun

    def _settle(self, begun=False):
        """Notes whether a request is in work. Without one the connection may make room, and a head has a time limit."""
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


class _Transport:
    """A transport whose `close` waits until the client has stopped sending.

    The system answers bytes to a closed connection with a reset, after which the client may not see our reply
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


def _refusal(conn, headers):
    """The bytes of the reply to a request that breaks the rules of HTTP."""
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
