"""The ranges of values that a trained model's domains have, as far as its files tell them."""

import json
from typing import NamedTuple

import numpy as np

from tf_cyclegan.data.value_ranges import as_text, range_in
from tf_cyclegan.settings.checks import check_range
from tf_cyclegan.weights import read_document
from tf_cyclegan.weights.run_files import run_settings
from tf_cyclegan.weights.trained_models import weights_folder

# A file in the folder of an exported model.
RANGES_FILE = "assets.extra/value_ranges.json"


class Ranges(NamedTuple):
    """The ranges of values of two domains: `(low, high)`, or None where a range is not known.

    Args:
        a, b: of the domains; of an exported model, of its images and of their translations.
    """

    a: tuple | None = None
    b: tuple | None = None

    def along(self, direction):
        """The ranges of the images and of their translations in a direction."""
        return self if direction == "ab" else Ranges(self.b, self.a)

    def flags(self):
        """The flags of a command line that give these ranges."""
        given = {"--value-range": self.a, "--value-range-b": self.b}
        return " ".join(f"{name} {value[0]:.10g} {value[1]:.10g}" for name, value in given.items() if value)


def known_ranges(path, given=None, report=lambda line: None):
    """The ranges that a model was trained with.

    Args:
        path: whatever `load_trained` takes.
        given: optional settings with a `value_range` and a `value_range_b`, which come first.
        report: callable, takes the line that is told where one range is given and another stays. Defaults to nothing.

    Returns:
        `Ranges`.

    Raises:
        ValueError: if `given` has a range that is none.
    """
    try:
        folder = weights_folder(path)
        settings = (run_settings(path) if folder is None else read_document(folder)) or {}
    except ValueError:  # loading it says why
        settings = {}
    return given_ranges(ranges_in(settings), given, report=report)


def given_ranges(known, given=None, direction="ab", report=lambda line: None):
    """The `Ranges` of a model, replaced by those that a command gives for the images and translations of a direction.

    A range for the images alone replaces both, where both had the same range or the other was not known. Otherwise the
    range of the translations stays, and `report` is told.
    """
    range_a, range_b = (getattr(given, name, None) for name in ("value_range", "value_range_b"))
    check_range("value_range", range_a)
    check_range("value_range_b", range_b)
    known = known.along(direction)
    if range_b is None:
        range_b = range_a if range_a and known.b in (None, known.a) else known.b
        if range_a and range_b != range_a:
            report(f"--value-range-b stays {as_text(range_b)}, the range of the model.")
    return Ranges(range_a or known.a, range_b).along(direction)


def ranges_in(settings):
    """The `Ranges` in the settings of a run, or in the document of a folder of weights.

    Where no range was given, it is the range of the integers that the run has read.
    """
    names = ("value_range", "value_range_b", "type_range", "type_range_b")
    range_a, range_b, type_a, type_b = (_range(settings.get(name)) for name in names)
    return Ranges(range_a or type_a, range_b or range_a or type_b)


def read_exported(version):
    """The `Ranges` in the folder of an exported model: of its images and of their translations."""
    try:
        found = json.loads((version / RANGES_FILE).read_bytes())
        return Ranges(_range(found["images"]), _range(found["translations"]))
    except (OSError, ValueError, TypeError, KeyError):  # of an earlier version, or not what `export` writes
        return Ranges()


def exported_text(ranges):
    """The text of the file that `read_exported` reads."""
    return json.dumps({"images": ranges.a, "translations": ranges.b})


def notes_of(ranges, channels, takes_ids=False):
    """Lines on the ranges of an exported model, for people who serve it. Label maps have no range."""
    lines = []
    if ranges.a is not None and not takes_ids:
        lines += [f"Images: {as_text(ranges.a)} in 16 bits is black to white, and -1 to 1 in tensors."]
    elif channels == 1 and not takes_ids:
        lines += ["Images: 0 to 65535 in 16 bits is black to white, as no range is known: --value-range gives one."]
    if ranges.b is not None:
        stored = as_text(range_in(np.uint16, ranges.b))
        stands = "" if stored == as_text(ranges.b) else f"; where these are gray of 16 bits, {stored} stands for it"
        lines += [f"Translations: {as_text(ranges.b)} is black to white, and -1 to 1 in tensors{stands}."]
    return lines


def _range(value):
    """A range out of JSON; None for anything else."""
    try:
        low, high = map(float, value)
        check_range("value_range", (low, high))
    except (ValueError, TypeError):
        return None
    return low, high
