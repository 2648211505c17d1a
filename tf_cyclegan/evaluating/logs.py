"""What a run has written down of itself, as far as it is there."""

import csv
import json
import math
from pathlib import Path


def read_rows(path):
    """The rows of a CSV file of numbers; a file that is not there has none, and what is no number is left out.

    Args:
        path: `losses.csv` or `metrics.csv` of a run folder.

    Returns:
        List of dicts of names to floats.
    """
    try:
        with open(path, newline="") as file:
            return [_numbers(row) for row in csv.DictReader(file)]
    except (OSError, csv.Error, UnicodeDecodeError):
        return []


def read_best(folder):
    """What `checkpoints/best.json` of a run folder says, or None."""
    try:
        found = json.loads((Path(folder) / "checkpoints" / "best.json").read_text())
        return found if {"step", "score", "value", "better"} <= found.keys() else None
    except (OSError, ValueError, AttributeError):
        return None


def finite(value):
    """A structure without NaN and infinities, which JSON does not know."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(row):
    numbers = {}
    for name, text in row.items():
        try:
            numbers[name] = float(text)
        except (TypeError, ValueError):
            continue
    return numbers
