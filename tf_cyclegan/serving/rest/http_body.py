"""Bodies of requests: read within limits of size, time and memory, and decompressed."""

import asyncio
import contextlib
import time
import zlib

from tf_cyclegan.serving.errors import Disconnected, ServingError, invalid

_SLOWEST = 64 * 1024  # bytes that give a body another second


class BodyReader:
    """Reads bodies, within a limit for all that are in memory at the same time.

    Args:
        limits: `Limits`.
    """

    def __init__(self, limits):
        self._limits = limits
        self._held = 0
        self._max_held = limits.max_body_bytes * (limits.max_running + limits.max_queued + 1)

    @contextlib.asynccontextmanager
    async def read(self, headers, receive):
        """Gives the body as the client sent it, a bytearray.

        Args:
            headers: Starlette's `Headers` of the request.
            receive: ASGI callable.

        Raises:
            ServingError: if it is too large or too slow, or too many other bodies are being read.
            Disconnected: if the client left.
        """
        self._check_length(headers.get("content-length", "0"))
        body = bytearray()
        try:
            async for chunk in self._chunks(receive):
                body += chunk
                self._held += len(chunk)
                self._check(len(body))
            yield body
        finally:
            self._held -= len(body)

    async def _chunks(self, receive):
        started, received, more = time.monotonic(), 0, True
        while more:
            left = started + self._limits.body_seconds + received / _SLOWEST - time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), max(0, min(left, self._limits.body_seconds)))
            except TimeoutError:
                text = f"The body did not arrive within {self._limits.body_seconds:g} seconds"
                raise ServingError("DEADLINE_EXCEEDED", text, http_status=408) from None
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunk, more = message.get("body", b""), message.get("more_body", False)
            received += len(chunk)
            yield chunk

    def _check(self, length):
        if length > self._limits.max_body_bytes:
            raise _too_large(self._limits.max_body_bytes)
        if self._held > self._max_held:
            raise ServingError("UNAVAILABLE", "Too many requests are being sent. Try again later.")

    def _check_length(self, length):
        if length.isdecimal() and len(length) < 20 and int(length) <= self._limits.max_body_bytes:
            return
        raise _too_large(self._limits.max_body_bytes)


def is_gzip(headers):
    """Whether a request's body is gzip.

    Raises:
        ServingError: if it has another encoding, or several.
    """
    encoding = ", ".join(headers.getlist("content-encoding"))
    codings = [coding.strip().lower() for coding in encoding.split(",")]
    codings = [coding for coding in codings if coding not in ("identity", "")]
    if codings not in ([], ["gzip"], ["x-gzip"]):
        text = f"Content-Encoding must be gzip or absent. Received: {encoding}"
        raise ServingError("INVALID_ARGUMENT", text, http_status=415)
    return bool(codings)


def gunzip(data, limit):
    """Decompresses up to a limit.

    Args:
        data: bytes.
        limit: int, the most bytes of the result.

    Raises:
        ServingError: if the result would be larger, or the data are not gzip.
    """
    decompressor = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        plain = decompressor.decompress(data, limit + 1)
    except zlib.error as error:
        raise invalid("The body is not gzip, as its Content-Encoding says") from error
    if len(plain) > limit:
        raise _too_large(limit)
    if not decompressor.eof:
        raise invalid("The body's gzip ends too early")
    return plain


def _too_large(limit):
    return ServingError("INVALID_ARGUMENT", f"The body is too large. Expected at most: {limit} bytes", http_status=413)
