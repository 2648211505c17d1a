"""Requests and replies as JSON texts: small ones where they are, large ones in processes of their own.

Python reads and writes a text of 16 MiB in a second or more, in which no other thread can run, and holds up to 30 times
its size meanwhile. Processes keep the server answering, and two of them bound the memory, however many cores there are.
"""

import math

from tf_cyclegan.serving.errors import invalid
from tf_cyclegan.serving.rest.http_body import gunzip
from tf_cyclegan.serving.rest.json_inputs import read_inputs, signature_name
from tf_cyclegan.serving.rest.json_parser import read_document
from tf_cyclegan.serving.rest.json_reply import write_reply
from tf_cyclegan.serving.rest.worker_processes import Workers

_SMALL = 2**19  # bytes of text, or of arrays
PROCESSES = 2
_READING = 64  # bytes of memory for a byte of text: emoji, each a string of its own, take 25
_WRITING = 128  # for a value: its text, in a list, joined, and joined again
_SHARE = 0.2  # of what is free when the server starts; images may take the rest
_LEAST = 2**26
_MAX_STRINGS = 2**20


class Documents:
    """Reads requests and writes replies.

    Args:
        limits: `Limits`.
        free_bytes: optional int, memory that the server may still take: the processes take no more than their share of
            a fifth of it. Defaults to None, any.
    """

    def __init__(self, limits, free_bytes=None):
        self._max_bytes = limits.max_body_bytes
        self._most = math.inf if free_bytes is None else max(_LEAST, int(_SHARE * free_bytes / PROCESSES))
        self._workers = Workers(PROCESSES)

    def read(self, body, packed, signatures, deadline):
        """Reads a request.

        Args:
            body: bytes.
            packed: bool, whether it is gzip.
            signatures: dict, name to `Signature`, of the model that is asked; empty if there is none.
            deadline: float, on the clock of `time.monotonic`.

        Returns:
            `(signature_name, inputs, rows)`, the last two as of `read_inputs`; None if there is no such signature.

        Raises:
            ServingError: if it is no request that fits the signature, or takes too much memory or time.
        """
        arguments = (body, self._max_bytes if packed else None, signatures)
        if not is_large(body, packed):
            return read_request(*arguments)
        return self._workers.run(read_request, arguments, min(_READING * self._max_bytes, self._most), deadline)

    def write(self, outputs, rows, deadline):
        """Writes a reply, as `write_reply`.

        Args:
            outputs: dict, name to array.
            rows: bool.
            deadline: float, on the clock of `time.monotonic`.

        Returns:
            bytes.

        Raises:
            ServingError: if JSON has no form for it, or it takes too much memory or time.
        """
        if not is_long(outputs):
            return write_reply(outputs, rows)
        values = sum(array.size for array in outputs.values())
        memory = max(_READING * self._max_bytes, _WRITING * values + 8 * bytes_of(outputs))
        return self._workers.run(write_reply, (outputs, rows), min(memory, self._most), deadline)

    def close(self):
        """Ends the processes."""
        self._workers.close()


def is_large(body, packed):
    """Whether a body is read in a process; of one that is gzip nobody knows how long it is."""
    return packed or len(body) > _SMALL


def is_long(outputs):
    """Whether a reply is written in a process."""
    return bytes_of(outputs) > _SMALL


def read_request(body, limit, signatures):
    """`Documents.read` where it is; `limit` is None, or how much may come out of a body that is gzip."""
    document = read_document(body if limit is None else gunzip(body, limit))
    name = signature_name(document)
    if name not in signatures:
        return name, None, None
    inputs, rows = read_inputs(document, signatures[name].inputs)
    strings = sum(array.size for array in inputs.values() if array.dtype == object)
    if strings > _MAX_STRINGS:
        raise invalid(f"The request has {strings} strings. Expected at most: {_MAX_STRINGS}")
    return name, inputs, rows


def bytes_of(arrays):
    """The size of a dict of arrays."""
    return sum(sum(map(len, array.ravel())) if array.dtype == object else array.nbytes for array in arrays.values())
