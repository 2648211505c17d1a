"""HTTP by uvicorn, with what it lacks: times to send a request's head and to take the reply in, and a clean end."""

import asyncio
import contextlib
import signal

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_HEAD_SECONDS = 10
_REPLY_SECONDS = 60
_KEEP_ALIVE_SECONDS = 5
_GRACE_SECONDS = 0.5
_FINISH_SECONDS = 30
_CONNECTIONS = 512  # idle ones too


def run_app(app, listener):
    """Serves until SIGTERM or SIGINT, then answers what has been accepted, for half a minute at most.

    Args:
        app: application of `create_app`.
        listener: listening socket.
    """
    server = make_server(app)
    # uvicorn ends by the signal that it caught, which must then mean nothing any more.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    server.run([listener])


def make_server(app):
    """A uvicorn server with our protocol and times; it ends when its `should_exit` is set."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_FINISH_SECONDS,
    )
    return _Server(config)


class _Server(uvicorn.Server):
    def handle_exit(self, sig, frame):
        self.config.app.state.stopping = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets=None):
        """Takes in the connections that the system has accepted, which closing the listener would reset."""
        taken = [connection for listener in sockets or () for connection in _queue(listener)]
        for server in self.servers:
            server.close()
        for connection in taken:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        await super().shutdown(sockets)

    def _protocol(self):
        return Protocol(self.config, self.server_state, self.lifespan.state)


def _queue(listener):
    with contextlib.suppress(OSError):  # there are no more
        while True:
            yield listener.accept()[0]


class Protocol(H11Protocol):
    """Closes connections that hold memory and do not come to the point."""

    _watchdog = None

    def connection_made(self, transport):
        super().connection_made(transport)
        self._watch()

    def data_received(self, data):
        super().data_received(data)
        self._watch()

    def on_response_complete(self):
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(_REPLY_SECONDS, self._abort_if_unread, self.cycle)

    def connection_lost(self, exc):
        super().connection_lost(exc)
        self._unwatch()

    def shutdown(self):
        """Requests that are on their way when the end comes are still answered."""
        self.loop.call_later(_GRACE_SECONDS, super().shutdown)

    def _watch(self):
        """Between requests, the time runs from the first byte on; the application times the body itself."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._unwatch()
        elif self._watchdog is None and not self.transport.is_closing():
            self._watchdog = self.loop.call_later(_HEAD_SECONDS, self.transport.close)

    def _unwatch(self):
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def _abort_if_unread(self, cycle):
        if cycle is self.cycle and self.transport.get_write_buffer_size():
            self.transport.abort()
