"""What is said of a weight file that cannot be read: what was expected, what was found, and what to do."""

COPY_AGAIN = "Copy or download it again: it is cut short or damaged."


class Unreadable(ValueError):
    """A file that cannot be read. Its readers add the name of the file."""


def refuse(expected, found, advice=COPY_AGAIN):
    """Raises `Unreadable` in one line.

    Args:
        expected: str, what should stand in the file.
        found: str, what stands there. Whatever comes from the file goes through `shown` first.
        advice: str, what the user can do; may be empty. Defaults to `COPY_AGAIN`.

    Raises:
        Unreadable: always.
    """
    raise Unreadable(f"Expected {expected}. Found {found}" + (f". {advice}" if advice else ""))


def shown(value):
    """Anything from a file as one short line of ASCII."""
    return ascii(value.decode("latin-1") if isinstance(value, bytes) else value)[:80]
