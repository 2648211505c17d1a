"""What goes wrong while serving, with TensorFlow's codes, and what HTTP calls it."""

HTTP_STATUS = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
"""TensorFlow Serving's table. Its order is that of TensorFlow's numbers, which begin at 1."""


class ServingError(Exception):
    """A request that gets an error for an answer.

    Args:
        code: str, TensorFlow's name of the kind of error, a key of `HTTP_STATUS`.
        message: str, for the client: what was expected and what was found, nothing of the server's inside.
        http_status: optional int, where HTTP has a word that TensorFlow lacks (408, 413, 415). Defaults to the code's.
    """

    def __init__(self, code, message, http_status=None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.http_status = http_status or HTTP_STATUS[code]


class Disconnected(Exception):
    """The client is gone; nobody reads a reply."""

    code = "CANCELLED"


def too_late():
    """A `ServingError` that says the deadline is over."""
    return ServingError("DEADLINE_EXCEEDED", "No answer in time")


def invalid(message):
    """A `ServingError` that says the request is wrong."""
    return ServingError("INVALID_ARGUMENT", message)
