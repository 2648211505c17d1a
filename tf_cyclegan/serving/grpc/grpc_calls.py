"""Calls of gRPC: a message in, a message out, and errors as statuses; and the health service."""

import asyncio
import contextlib
import logging
import time

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from tf_cyclegan.serving.errors import ServingError, invalid

_log = logging.getLogger(__name__)
HEALTH_SERVICE = "grpc.health.v1.Health"
_SHOWN = 2000  # bytes of an error's text: clients take 8 KiB of trailers, in which a byte can become three
_SMALL = 64 * 1024  # bytes of a message that only names something
_SMALL_TOGETHER = 8  # calls with such a message that are read at the same time
_PROBES_TOGETHER, _PROBE_SECONDS = 64, 2  # probes of health must not wait for calls that send nothing
_QUIET_SECONDS = 0.2  # without a call, after which a server that ends has no more callers
_LONGEST_STOP_SECONDS = 2
_LOOK_SECONDS = 0.5  # from one look at the health of a watched model to the next


class Calls:
    """Reads requests and sends replies, within a limit for all that are in memory at the same time.

    Handlers get bytes, which they parse in threads. gRPC reads a message when it is asked to, and holds little of it
    before.

    Args:
        limits: `Limits`.
    """

    def __init__(self, limits):
        self._limits = limits
        self._room = limits.max_running + limits.max_queued + 1
        self._unread = 0
        self._small, self._probes = asyncio.Semaphore(_SMALL_TOGETHER), asyncio.Semaphore(_PROBES_TOGETHER)
        self._stopping = False
        self._came = time.monotonic()

    @contextlib.asynccontextmanager
    async def read(self, context):
        """Gives the message of a call, bytes; it must arrive within the time for an answer.

        Raises:
            ServingError: if it is too slow or missing, or too many other calls are in work.
        """
        self._came = time.monotonic()
        if self._stopping:
            raise ServingError("UNAVAILABLE", "The server is stopping.")
        self._limits.check_unread(self._unread)
        if not self._room:
            raise ServingError("UNAVAILABLE", "Too many requests are being sent. Try again later.")
        self._room -= 1
        try:
            yield await _message(context, self._limits.timeout_seconds)
        finally:
            self._room += 1

    async def read_small(self, context, probe=False):
        """Reads the message of a call that only names something.

        Args:
            context: gRPC's context of the call.
            probe: bool, whether the call asks for health. Defaults to False.

        Raises:
            ServingError: if the message is too slow, too large or missing.
        """
        async with self._probes if probe else self._small:
            message = await _message(context, _PROBE_SECONDS if probe else self._limits.body_seconds)
        if len(message) > _SMALL:
            text = f"The request has {len(message)} bytes. Expected of its method at most: {_SMALL}"
            raise ServingError("RESOURCE_EXHAUSTED", text)
        return message

    def handler(self, answer):
        """Makes gRPC's handler of a method.

        Args:
            answer: coroutine function that gets the call's context and returns the reply as bytes, or writes several
                replies and returns None. Its errors become statuses without a traceback.
        """

        async def handle(_, context):
            try:
                reply = await answer(context)
            except ServingError as error:
                failure = error.code, error.message
            except MemoryError:
                failure = "RESOURCE_EXHAUSTED", "The server is out of memory"
            except Exception:
                _log.exception("%s failed", answer.__name__)
                failure = "INTERNAL", "The server failed; its log says why."
            else:
                return await self._send(context, reply)
            await _end(context, *failure)

        # A method with streams leaves it to us when the one request is read, and tells when the one reply is taken.
        return grpc.stream_stream_rpc_method_handler(handle)

    async def _send(self, context, reply):
        """Waits until the client has taken the reply, or its connection ends."""
        if reply is None:
            return
        self._unread += len(reply)
        try:
            await context.write(reply)
        finally:
            self._unread -= len(reply)

    async def stop(self):
        """Refuses calls until no more arrive.

        gRPC cancels the calls that clients send before they know that it shuts down, and does not say that they may
        send them again. A client that is refused waits, or sends elsewhere.
        """
        self._stopping, last = True, time.monotonic() + _LONGEST_STOP_SECONDS
        while time.monotonic() < min(last, self._came + _QUIET_SECONDS):
            await asyncio.sleep(_QUIET_SECONDS / 4)


def parse(kind, data):
    """Parses bytes as a message of a protobuf class.

    Raises:
        ServingError: if they are no such message.
    """
    try:
        return kind.FromString(data)
    except DecodeError:
        raise invalid(f"The request is no {kind.DESCRIPTOR.name}") from None


class Probes:
    """The health service: answers `Check`, and sends changes to callers of `Watch` until the server stops.

    Args:
        repository: `Repository`.
        calls: `Calls`.
        services: names of the services that are healthy when the server is.
    """

    def __init__(self, repository, calls, services):
        self._repository = repository
        self._calls = calls
        self._whole = {"", *services}
        self._stopping = asyncio.Event()

    def stop(self):
        """Says from now on that nothing is served, and ends the calls of `Watch`."""
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


async def _message(context, seconds):
    try:
        message = await asyncio.wait_for(context.read(), seconds)
    except TimeoutError:
        raise ServingError("DEADLINE_EXCEEDED", f"The request did not arrive within {seconds:g} seconds") from None
    if message is not grpc.aio.EOF:
        return message
    if context.done():  # gRPC has answered: it is larger than its limit
        raise asyncio.CancelledError
    raise invalid("The call has no request")


async def _end(context, code, text):
    shown = text.encode(errors="replace")[:_SHOWN].decode(errors="ignore")
    await context.abort(grpc.StatusCode[code], shown)
