"""The HTTP server, by uvicorn: it listens, and at its end it answers the requests that it has accepted."""

import asyncio
import contextlib
import signal

import uvicorn

from tf_cyclegan.serving.rest.http_connections import Protocol
from tf_cyclegan.serving.service import FINISH_SECONDS

try:
    import resource
except ImportError:  # on Windows
    resource = None

_KEEP_ALIVE_SECONDS = 75  # load balancers keep theirs for 60, and must be the ones to close
_CONNECTIONS = 512  # idle connections count
_OTHER_FILES = 128  # files that the process may open in addition to its connections


def run_app(app, listener, keep_alive_seconds=_KEEP_ALIVE_SECONDS, grpc_server=None):
    """Serves until SIGTERM or SIGINT, then answers the requests it has accepted, for half a minute at most.

    Args:
        app: application of `create_app`.
        listener: listening socket.
        keep_alive_seconds: float, for which a connection may be idle. Defaults to 75.
        grpc_server: optional `GrpcServer`, which runs in the same event loop. Defaults to None.
    """
    server = make_server(app, keep_alive_seconds, grpc_server)
    # uvicorn raises the signal that it caught again when it has ended; the process must not die of it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    server.run([listener])


def make_server(app, keep_alive_seconds=_KEEP_ALIVE_SECONDS, grpc_server=None):
    """Makes the `uvicorn.Server` of `run_app`; it ends when its `should_exit` is set."""
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
    return _Server(config, most, grpc_server)


def _most_connections():
    """The connections that fit twice among the open files: a full backlog is taken in before any is closed."""
    if resource is None:
        return _CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _CONNECTIONS if files < 0 else max(16, min(_CONNECTIONS, (files - _OTHER_FILES) // 2))


class _Server(uvicorn.Server):
    def __init__(self, config, most_connections, grpc_server):
        super().__init__(config)
        self._grpc_server = grpc_server
        self.server_state.most_connections = most_connections
        self.server_state.waiting = {}  # connections without a request in work, and since when, in this order
        config.app.state.service.unread_bytes = self._unread_bytes

    def _unread_bytes(self):
        """The size of the replies that clients have yet to take in."""
        return sum(connection.transport.get_write_buffer_size() for connection in list(self.server_state.connections))

    async def startup(self, sockets=None):
        if self._grpc_server:
            await self._grpc_server.start()
        await super().startup(sockets)

    def handle_exit(self, sig, frame):
        self.config.app.state.service.stopping = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets=None):
        """Takes in the connections that the system has accepted, which closing the listener would reset."""
        stopping = asyncio.ensure_future(self._grpc_server.stop()) if self._grpc_server else None
        taken = [connection for listener in sockets or () for connection in _queue(listener)]
        for server in self.servers:
            server.close()
        for connection in taken:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        await super().shutdown(sockets)
        if stopping:
            await stopping

    def _protocol(self):
        return Protocol(self.config, self.server_state, self.lifespan.state)


def _queue(listener):
    with contextlib.suppress(OSError):  # the queue is empty
        while True:
            yield listener.accept()[0]
