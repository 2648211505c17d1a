"""How a file of weights is refused: what was expected, what was found, what to do."""

import re

COPY_AGAIN = "Copy or download it again: it is cut short or damaged."
SAVE_AGAIN = "Where it was made, save each network again by `network.save_weights('name.h5')` of tf.keras."
UNSURE = (
    "Weights alone do not tell what they were normalized over: only tfa.layers.InstanceNormalization and, in a whole "
    "model, GroupNormalization(groups=-1), with their epsilon of 1e-3, are read."
)
# Normalizations whose weights have the names and shapes of instance normalization.
_OTHER_NORMALIZATION = re.compile(r"(batch|group|layer)_?normalization", re.IGNORECASE)


class Unreadable(ValueError):
    """A file that is not read; `read_addons_weights` adds its name."""


def refuse(expected, found, advice=COPY_AGAIN):
    """Raises `Unreadable` in one line; what is `found` in the file went through `shown`."""
    raise Unreadable(f"Expected {expected}. Found {found}" + (f". {advice}" if advice else ""))


def shown(value):
    """Anything from a file as one short line of ASCII."""
    return ascii(value)[:80]


def check_floats(array, name):
    """Raises `Unreadable` unless an array holds floats."""
    if array.dtype.kind != "f":
        refuse(f"floats at {shown(name)}", shown(array.dtype.name), SAVE_AGAIN)
    return array


def check_not_other(name):
    """Raises `Unreadable` where a name shows another normalization: Keras names a layer after its kind."""
    if _OTHER_NORMALIZATION.search(name):
        refuse("instance normalization", shown(name), UNSURE)
