"""The gRPC server, in the event loop of the HTTP server and over the same models and limits."""

import asyncio

import grpc

from tf_cyclegan.serving.grpc.grpc_calls import HEALTH_SERVICE, Calls, Probes
from tf_cyclegan.serving.grpc.grpc_services import GrpcServices
from tf_cyclegan.serving.service import FINISH_SECONDS, GRACE_SECONDS, REPLY_SECONDS

_CALLS = 512  # at the same time; a call that is not yet read has little in memory
_AGE_SECONDS = 120  # of a connection, after which it takes no more calls


class GrpcServer:
    """Serves from `start` to `stop`.

    Args:
        service: `Service`.
        address: str, where to listen, `HOST:PORT`, an IPv6 address in brackets.
    """

    def __init__(self, service, address):
        self._service = service
        self._limits = service.limits
        self._address = address

    async def start(self):
        """Begins to listen.

        Raises:
            OSError: if it cannot listen on the address.
        """
        self._server = grpc.aio.server(options=self._options(), maximum_concurrent_rpcs=_CALLS)
        self._server.add_generic_rpc_handlers(self._handlers())
        try:
            self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise OSError(f"Cannot listen on {self._address}: gRPC could not bind") from error
        await self._server.start()

    async def stop(self):
        """Answers the calls that it has accepted, for half a minute at most; probes hear of the end before."""
        self._probes.stop()
        await asyncio.sleep(GRACE_SECONDS)
        await self._calls.stop()
        await self._server.stop(FINISH_SECONDS)

    def _handlers(self):
        calls = Calls(self._limits)
        services = GrpcServices(self._service, calls).methods()
        self._calls, self._probes = calls, Probes(self._service.repository, calls, services)
        services[HEALTH_SERVICE] = {"Check": self._probes.check, "Watch": self._probes.watch}
        return [
            grpc.method_handlers_generic_handler(
                service, {name: calls.handler(method) for name, method in methods.items()}
            )
            for service, methods in services.items()
        ]

    def _options(self):
        return [
            ("grpc.max_receive_message_length", self._limits.max_body_bytes),  # also after decompression
            ("grpc.max_send_message_length", -1),
            # Clients then open another connection by themselves; a client that does not take its replies loses them.
            ("grpc.max_connection_age_ms", _AGE_SECONDS * 1000),
            ("grpc.max_connection_age_grace_ms", int(1000 * (2 * self._limits.timeout_seconds + REPLY_SECONDS))),
            ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share the calls
        ]
