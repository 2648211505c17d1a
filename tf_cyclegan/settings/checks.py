"""Checks of values, with one wording of errors for the whole package."""

import math
import numbers


def check_choice(name, value, choices):
    """Raises `ValueError` unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(map(str, choices))}. Received: {name}={value!r}")


def check_integer(name, value, minimum=None):
    """Raises `ValueError` unless `value` is an integer and, with a `minimum`, at least that."""
    integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not integer or (minimum is not None and value < minimum):
        least = "" if minimum is None else f" of at least {minimum}"
        raise ValueError(f"`{name}` must be an integer{least}. Received: {name}={value!r}")


def check_positive(name, value):
    """Raises `ValueError` unless `value` is above 0."""
    if not value > 0:
        raise ValueError(f"`{name}` must be above 0. Received: {name}={value}")


def check_share(name, value):
    """Raises `ValueError` unless `value` is in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={value}")


def check_weight(name, value, pair=False):
    """Raises `ValueError` unless `value` is a number of at least 0 or, with `pair`, two such numbers."""
    values = value if pair and isinstance(value, (tuple, list)) and len(value) == 2 else (value,)
    if not all(isinstance(v, (int, float)) and v >= 0 for v in values):
        expected = "a number of at least 0" + (" or a pair (forward, backward) of them" if pair else "")
        raise ValueError(f"`{name}` must be {expected}. Received: {name}={value}")


def check_range(name, value):
    """Raises `ValueError` unless `value` is None or `(low, high)` with low < high."""
    if value is not None and not (len(value) == 2 and -math.inf < value[0] < value[1] < math.inf):
        raise ValueError(f"`{name}` must be (low, high) with low < high. Received: {name}={value}")


def one_line(error):
    """The message of an error in one line, or the name of its class if the message is empty."""
    return " ".join(str(error).split()) or type(error).__name__
