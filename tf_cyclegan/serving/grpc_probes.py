"""The health service of gRPC, as orchestrators ask it: of the server by the name "", of a model by the model's."""

import asyncio
import contextlib

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from tf_cyclegan.serving.errors import ServingError
from tf_cyclegan.serving.grpc_calls import parse

SERVICE = "grpc.health.v1.Health"
_LOOK_SECONDS = 0.5


class Probes:
    """Answers `Check`, and tells those who `Watch` what changes until the server stops.

    Args:
        repository: `Repository`.
        calls: `Calls`.
        services: names of services that are there when the server is.
    """

    def __init__(self, repository, calls, services):
        self._repository = repository
        self._calls = calls
        self._whole = {"", *services}
        self._stopping = asyncio.Event()

    def stop(self):
        """Says from now on that nothing is served, and lets the watchers go."""
        self._stopping.set()

    async def check(self, context):
        status = self._status(await self._name(context))
        if status == HealthCheckResponse.SERVICE_UNKNOWN:
            raise ServingError("NOT_FOUND", "There is no such service or model")
        return HealthCheckResponse(status=status).SerializeToString()

    async def watch(self, context):
        name, told, stopping = await self._name(context), None, False
        while not stopping:
            stopping = self._stopping.is_set()
            if told != (told := self._status(name)):
                await context.write(HealthCheckResponse(status=told).SerializeToString())
            if not stopping:
                await self._look_again()

    async def _look_again(self):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), _LOOK_SECONDS)

    async def _name(self, context):
        return parse(HealthCheckRequest, await self._calls.read_small(context, probe=True)).service

    def _status(self, name):
        if name not in self._whole and not self._repository.knows(name):
            return HealthCheckResponse.SERVICE_UNKNOWN
        served = {version.name for version in self._repository.newest()}
        serving = (self._repository.ready if name in self._whole else name in served) and not self._stopping.is_set()
        return HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
