"""Errors that the user can correct: how they differ from bugs, and how they name flags."""

import contextlib
import dis
import re

_RAISE = dis.opmap["RAISE_VARARGS"]


class UserError(ValueError):
    """Settings, files or data that a command cannot use; the message says what to change."""


def is_ours(error):
    """Whether a `raise` statement of this package raised an error, and not NumPy, Keras or a bug.

    The place tells, not the class: this package raises plain `ValueError`s.
    """
    made = error.__traceback__
    while made.tb_next is not None:
        made = made.tb_next
    package = made.tb_frame.f_globals.get("__name__", "").partition(".")[0]
    # At another instruction of our frame, a function in C has raised it, for example NumPy's.
    return package == __name__.partition(".")[0] and made.tb_frame.f_code.co_code[made.tb_lasti] == _RAISE


@contextlib.contextmanager
def restated(words, kind=ValueError):
    """Changes the message of an error of this package; other errors pass unchanged.

    Args:
        words: callable, message to message.
        kind: class of the new error. Defaults to `ValueError`.
    """
    try:
        yield
    except ValueError as error:
        if not is_ours(error):
            raise
        raise kind(words(str(error))) from error


def renamed(**names):
    """Makes errors use the caller's names of arguments: `with renamed(filters="discriminator_filters"): ...`."""
    return restated(lambda message: _with_names(message, names, "`", "{}=".format))


def speaking_of_flags(names, **flags):
    """Makes each error of this package a `UserError` that names flags. Takes the arguments of `with_flags`."""
    return restated(lambda message: with_flags(message, names, **flags), UserError)


def with_flags(message, names, **flags):
    """Replaces the names of arguments in an error's message by the flags of a command line.

    Args:
        message: str, with names in backticks or as `name=value`.
        names: iterable of str, the settings that are flags.
        **flags: words for other names.

    Returns:
        The message with `--batch-size` for `batch_size`, and without values that only Python has.
    """
    flags = {name: f"--{name.replace('_', '-')}" for name in names} | flags
    message = _with_names(message, flags, "", lambda name: f"{name}=" if name.startswith("--") else "")
    message = re.sub(r"(--[\w-]+)='([\w.]+)'", r"\1=\2", message)
    message = re.sub(r"(--image-size=)\((\d+), (\d+)[^)]*\)", r"\1\2x\3", message)
    message = re.sub(r"(--[\w-]+)=\(([^()]*)\)", lambda match: f"{match[1]} {match[2].replace(',', '')}", message)
    return re.sub(r",? or None\b", "", message).replace("must be None", "must be left out")


def _with_names(message, names, quote, before_value):
    """Replaces names in backticks, as in "`name`" and "`name=value`", and in "Received: name=value"."""

    def quoted(match):
        return f"{quote}{names.get(match[1], match[1])}{match[2]}{quote}"

    def received(match):
        return before_value(names[match[1]]) if match[1] in names else match[0]

    return re.sub(r"(?<=[\s(])(\w+)=", received, re.sub(r"`(\w+)((?:=[^`]*)?)`", quoted, message))
