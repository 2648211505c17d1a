"""Errors that are the user's to mend, told from bugs, and their words."""

import contextlib
import dis
import re

_RAISE = dis.opmap["RAISE_VARARGS"]


class UserError(ValueError):
    """Settings, files or data that a command cannot take as they are; the message says what to change."""


def is_ours(error):
    """Whether a `raise` of this package made an error. NumPy, Keras and bugs make the others.

    The place tells, not the class: from Python, errors of ours are plain `ValueError`s.
    """
    made = error.__traceback__
    while made.tb_next is not None:
        made = made.tb_next
    package = made.tb_frame.f_globals.get("__name__", "").partition(".")[0]
    # At another instruction of a frame of ours it was a function written in C, as NumPy's.
    return package == __name__.partition(".")[0] and made.tb_frame.f_code.co_code[made.tb_lasti] == _RAISE


@contextlib.contextmanager
def restated(words, kind=ValueError):
    """Says in other words what an error of ours says; others pass.

    Args:
        words: callable, message to message.
        kind: class of what is raised. Defaults to `ValueError`.
    """
    try:
        yield
    except ValueError as error:
        if not is_ours(error):
            raise
        raise kind(words(str(error))) from error


def renamed(**names):
    """Has errors name arguments as the caller calls them: `with renamed(filters="discriminator_filters"): ...`."""
    return restated(lambda message: _with_names(message, names, "`", "{}=".format))


def speaking_of_flags(names, **flags):
    """Makes each error of ours a `UserError` in the words of a command line. Arguments are those of `with_flags`."""
    return restated(lambda message: with_flags(message, names, **flags), UserError)


def with_flags(message, names, **flags):
    """Calls the arguments that an error names in backticks, or says to have received, by the flags of a command line.

    Args:
        message: str.
        names: iterable of str, the settings that are flags.
        **flags: what other names are to be called.

    Returns:
        The message with `--batch-size` for `batch_size`, and without what only Python can say.
    """
    flags = {name: f"--{name.replace('_', '-')}" for name in names} | flags
    message = _with_names(message, flags, "", lambda name: f"{name}=" if name.startswith("--") else "")
    message = re.sub(r"(--[\w-]+)='([\w.]+)'", r"\1=\2", message)
    message = re.sub(r"(--image-size=)\((\d+), (\d+)[^)]*\)", r"\1\2x\3", message)
    message = re.sub(r"(--[\w-]+)=\(([^()]*)\)", lambda match: f"{match[1]} {match[2].replace(',', '')}", message)
    return re.sub(r",? or None\b", "", message).replace("must be None", "must be left out")


def _with_names(message, names, quote, before_value):
    """Calls by other names what stands in backticks, as "`name`" and "`name=value`", or in "Received: name=value"."""

    def quoted(match):
        return f"{quote}{names.get(match[1], match[1])}{match[2]}{quote}"

    def received(match):
        return before_value(names[match[1]]) if match[1] in names else match[0]

    return re.sub(r"(?<=[\s(])(\w+)=", received, re.sub(r"`(\w+)((?:=[^`]*)?)`", quoted, message))
