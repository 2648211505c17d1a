"""TensorFlow Serving's gRPC interface in the event loop of the REST interface, over the same models and limits."""

import asyncio

import grpc

from tf_cyclegan.serving.grpc_calls import CallReader, answering
from tf_cyclegan.serving.grpc_probes import SERVICE, Probes
from tf_cyclegan.serving.grpc_services import GrpcServices

_CALLS = 512  # at the same time; of those that are not yet read little is in memory
_IDLE_SECONDS = 300
_GRACE_SECONDS = 0.5
_FINISH_SECONDS = 30


class GrpcServer:
    """Serves from `start` to `stop`.

    Args:
        repository: `Repository`.
        limits: `Limits`.
        app: application of `create_app`, whose admission, predictor and telemetry it shares.
        host: str, address to listen on.
        port: int.
    """

    def __init__(self, repository, limits, app, host, port):
        self._repository = repository
        self._limits = limits
        self._app = app
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def start(self):
        """Begins to listen.

        Raises:
            OSError: if the address cannot be listened on.
        """
        self._server = grpc.aio.server(options=self._options(), maximum_concurrent_rpcs=_CALLS)
        self._server.add_generic_rpc_handlers(self._handlers())
        try:
            self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise OSError(f"Cannot listen on {self._address}: gRPC could not bind") from error
        await self._server.start()

    async def stop(self):
        """Answers what has been accepted, for half a minute at most; probes see the end before it comes."""
        self._probes.stop()
        await asyncio.sleep(_GRACE_SECONDS)
        await self._reader.stop()
        await self._server.stop(_FINISH_SECONDS)

    def _handlers(self):
        reader, state = CallReader(self._limits), self._app.state
        shared = state.admission, state.predictor, state.telemetry
        services = GrpcServices(self._repository, self._limits, *shared, reader).methods()
        self._reader, self._probes = reader, Probes(self._repository, reader, services)
        handlers = {
            service: {name: answering(method) for name, method in methods.items()}
            for service, methods in services.items()
        }
        watch = answering(self._probes.watch, grpc.stream_stream_rpc_method_handler)
        handlers[SERVICE] = {"Check": answering(self._probes.check), "Watch": watch}
        return [grpc.method_handlers_generic_handler(service, methods) for service, methods in handlers.items()]

    def _options(self):
        return [
            ("grpc.max_receive_message_length", self._limits.max_body_bytes),  # also after decompression
            ("grpc.max_send_message_length", -1),
            ("grpc.max_connection_idle_ms", _IDLE_SECONDS * 1000),
            ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share the calls
        ]
