"""The results of an evaluation as tables and texts, and the logs of a training as rows."""

import csv
import dataclasses
import json
import math
from pathlib import Path

from tf_cyclegan.evaluation.catalog import BASELINES, METRICS, number_text
from tf_cyclegan.settings.train import TRAIN_NAMES
from tf_cyclegan.settings.user_errors import with_flags

TITLES = {"ab": "A to B", "ba": "B to A"}
_REFERENCES = {
    "inputs": "two inputs",
    "targets": "two real images",
    "ceiling": "the segmenter on real photos",
}
_ARROWS = {"lower": "lower is better", "higher": "higher is better"}


def score_rows(result):
    """All scores of a result, a row for each metric and for each reference that it is compared with.

    Args:
        result: dict of `evaluate_model`.

    Returns:
        List of `(metric, label, note, cells, is_main)`: `cells` has two texts for each direction, the value and its
        deviation, `""` for a missing one; `note` says whether lower or higher is better.
    """
    found = [scores["scores"] for scores in result["directions"].values()]
    rows = []
    for metric, kind in METRICS.items():
        records = [scores.get(metric) for scores in found]
        if any(records):
            label = next(record.get("name", kind.label) for record in records if record)
            cells = [_value(record, metric) for record in records]
            rows.append((metric, label, _ARROWS.get(kind.better, ""), cells, True))
            merged = [record | record.get("published", {}) if record else {} for record in records]
            labels = {name: name for record in records if record for name in record.get("published", {})}
            for name, words in (BASELINES | _REFERENCES | labels).items():
                if any(record.get(name) is not None for record in merged):
                    cells = [(number_text(record.get(name), metric), "") for record in merged]
                    rows.append((metric, words, "", cells, False))
    return rows


def counts_text(record):
    """The numbers of images of a record, and what else it depends on."""
    if "features" in record:
        text = f"{record['translated']:,} translated, {record['real']:,} real; {record['features']}, "
        text += f"resized by {record['resize']}"
        return text + (f"; {record['subsets']} subsets of {record['subset_size']}" if "subsets" in record else "")
    if "labels" in record:
        text = f"{record['images']:,} images, {record['pixels']:,} pixels of {record['classes']:,} classes, "
        return f"{text}{record['labels']}" + (f"; segmenter {record['segmenter']}" if "segmenter" in record else "")
    text = f"{record['images']:,} images"
    return text + (f", {record['without']:,} without" if record.get("without") else "")


def described(result):
    """A line about the data of a result."""
    data = result["data"]
    height, width = data["image_size"]
    size = "of differing sizes" if height is None else f"of {height}x{width} pixels"
    counts = [
        f"{number:,}" + (f" of {data['of'][letter]:,}" if number < data["of"][letter] else "") + f" in {letter.upper()}"
        for letter, number in data["images"].items()
    ]
    return f"{data['name']} ({data['split']}): {', '.join(counts)}, {size}"


def text_table(result):
    """The scores as lines of text."""
    titles = [TITLES[direction] for direction in result["directions"]]
    rows = [
        (label if main else f"  {label}", note, [" ".join(cell).rstrip() for cell in cells])
        for _, label, note, cells, main in score_rows(result)
    ]
    wide = max([len(label) for label, _, _ in rows] + [8])
    column = max([len(cell) for _, _, cells in rows for cell in cells] + [10]) + 2
    lines = ["".join([" " * wide, *(title.rjust(column) for title in titles)])]
    for label, note, cells in rows:
        line = "".join([label.ljust(wide), *(cell.rjust(column) for cell in cells)])
        lines.append(f"{line}  {note}".rstrip())
    return lines


def finding_lines(findings):
    """Findings as lines of text."""
    signs = {"problem": "!!", "caution": " !", "good": "ok"}
    lines = []
    for finding in findings:
        where = f"{TITLES[finding.direction]}: " if finding.direction else ""
        lines.append(f"{signs[finding.level]} {where}{finding.text}. {finding.advice}".rstrip())
    return lines


def in_flags(findings):
    """Findings whose advice calls settings by their flags."""
    return [dataclasses.replace(finding, advice=with_flags(finding.advice, TRAIN_NAMES)) for finding in findings]


def segmenter_used(result):
    """Whether a segmenter made a score."""
    scores = [record for found in result["directions"].values() for record in found["scores"].values()]
    return any("segmenter" in record for record in scores)


def class_cells(row, pixels):
    """The row of a class as texts: its number, its share of the pixels, and accuracy and IoU with their ceilings.

    Args:
        row: dict of `LabelScores.classes()`.
        pixels: int, the pixels of all classes.

    Returns:
        List of pairs of texts, a value and its ceiling, `""` for none.
    """
    cells = [(str(row["class"]), ""), (f"{row['pixels'] / pixels:.1%}", "")]
    for name in ("accuracy", "iou"):
        value, ceiling = (number_text(row.get(key), f"class_{name}") for key in (name, f"{name}_ceiling"))
        cells.append((value or "–", f"of {ceiling}" if ceiling else ""))
    return cells


def left_out_by_reason(result):
    """Dict of each reason for which scores were left out to the labels of those scores."""
    reasons = {}
    for name, reason in result["left_out"].items():
        reasons.setdefault(reason, []).append(METRICS[name].label)
    return {reason: ", ".join(labels) for reason, labels in reasons.items()}


def _value(record, metric):
    """The value of a record and its deviation, as texts."""
    if not record:
        return "", ""
    deviation = number_text(record.get("deviation"), metric)
    return number_text(record["value"], metric), f"± {deviation}" if deviation else ""


# ---- what lies in files ----


def read_rows(path):
    """The rows of a CSV file of numbers; a missing file has no rows, and texts that are no numbers are left out.

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
    """The contents of `checkpoints/best.json` of a run folder, or None."""
    try:
        found = json.loads((Path(folder) / "checkpoints" / "best.json").read_text())
        return found if {"step", "score", "value", "better"} <= found.keys() else None
    except (OSError, ValueError, AttributeError):
        return None


def finite(value):
    """A structure for JSON, with None for NaN and infinite numbers."""
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
