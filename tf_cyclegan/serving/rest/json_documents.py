"""Requests and replies as JSON texts: small ones are read and written in the thread, large ones in processes.

Python takes a second or more for a text of 16 MiB. Meanwhile no other thread can run, and the text takes up to 30 times
its size in memory. With processes the server goes on answering; there are two on any machine, which bounds the memory.
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
_READING = 64  # bytes of memory for a byte of text; a list of emoji takes 25
_WRITING = 128  # for a value: its text, in a list, joined, and joined again
_SHARE = 0.2  # of the memory that is free when the server starts; images may take the rest
_LEAST = 2**26  # bytes that a process may take on any machine
_MAX_STRINGS = 2**20


class Documents:
    """Reads requests and writes replies.

    Args:
        limits: `Limits`.
        free_bytes: optional int, memory that is free; all processes together take at most a fifth of it. Defaults to
            None, without a limit.
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
            signatures: dict, name to `Signature`, of the model that the request names; empty for an unknown model.
            deadline: float, on the clock of `time.monotonic`.

        Returns:
            `(signature_name, inputs, rows)`, the last two from `read_inputs`; both None for an unknown signature.

        Raises:
            ServingError: if the request does not fit the signature, or takes too much memory or time.
        """
        arguments = (body, self._max_bytes if packed else None, signatures)
        if not is_large(body, packed):
            return read_request(*arguments)
        return self._workers.run(read_request, arguments, min(_READING * self._max_bytes, self._most), deadline)

    def write(self, outputs, rows, deadline):
        """Writes a reply by `write_reply`.

        Args:
            outputs: dict, name to array.
            rows: bool.
            deadline: float, on the clock of `time.monotonic`.

        Returns:
            bytes.

        Raises:
            ServingError: if JSON has no form for an output, or the reply takes too much memory or time.
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
    """Whether a body is read in a process; the size of a gzip body is unknown, so it counts as large."""
    return packed or len(body) > _SMALL


def is_long(outputs):
    """Whether a reply is written in a process."""
    return bytes_of(outputs) > _SMALL


def read_request(body, limit, signatures):
    """`Documents.read` in the calling process; `limit` is the most bytes of a gzip body once unpacked, else None."""
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
    """The size of a dict of arrays in bytes."""
    return sum(sum(map(len, array.ravel())) if array.dtype == object else array.nbytes for array in arrays.values())
