"""Errors of requests, with TensorFlow's codes and the HTTP status of each code."""

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
"""TensorFlow Serving's table, in the order of TensorFlow's numbers, which begin at 1."""


class ServingError(Exception):
    """A request fails; the reply is this error.

    Args:
        code: str, TensorFlow's name of the kind of error, a key of `HTTP_STATUS`.
        message: str, for the client: what was expected and what was found, without a detail of the server.
        http_status: optional int, a status that TensorFlow has no code for (408, 413, 415). Defaults to the code's.
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
    """Makes the `ServingError` of a deadline that has passed."""
    return ServingError("DEADLINE_EXCEEDED", "No answer in time")


def invalid(message):
    """Makes the `ServingError` of a wrong request."""
    return ServingError("INVALID_ARGUMENT", message)
