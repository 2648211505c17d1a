"""How a checkpoint file is refused: what was expected, what was found, what to do."""

SAVE_AGAIN = "Where it was made, save it again by `torch.save(network.state_dict(), path)`."
COPY_AGAIN = "Copy or download it again: it is cut short or damaged."


class Unreadable(ValueError):
    """A file that is not read; `read_checkpoint` adds the name of the file."""


def refuse(expected, found, advice=COPY_AGAIN):
    """Raises `Unreadable` in one line.

    Args:
        expected: str, what should stand there.
        found: str, what stands there; anything taken from the file went through `shown`.
        advice: str, what the user can do.

    Raises:
        Unreadable: always.
    """
    raise Unreadable(f"Expected {expected}. Found {found}. {advice}")


def shown(value):
    """Text or bytes of a file as one short line of ASCII, whatever they hold."""
    text = value[:80].decode("latin-1") if isinstance(value, bytes) else str(value)[:80]
    return ascii(text)
