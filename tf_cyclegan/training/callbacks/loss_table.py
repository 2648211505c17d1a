"""Tables of losses that grow by a line an epoch."""

import csv
import io
import logging
import os

import keras

from tf_cyclegan.files import free_name, write_whole
from tf_cyclegan.settings.checks import one_line


def read_table(path, index, report):
    """The rows of a table, without those that are damaged.

    A table of which nothing can be read is moved aside, so that the next one takes nothing away.

    Args:
        path: the CSV file; one that is not there has no rows.
        index: str, the column that numbers the rows by whole numbers.
        report: callable, takes the line that says what was moved, and where to.

    Returns:
        List of dicts of names to text, without empty cells.

    Raises:
        OSError: if it can neither be read nor moved.
    """
    try:
        with open(path, newline="", errors="replace") as file:
            rows = list(csv.DictReader(file))
        if rows and index not in rows[0]:
            raise csv.Error(f"there is no column {index!r}")
    except FileNotFoundError:
        return []
    except (OSError, csv.Error) as error:
        aside = free_name(path)
        os.replace(path, aside)
        report(f"Cannot go on with the table {path}: {one_line(error)}. It is now {aside}, and another begins.")
        return []
    rows = [{name: text for name, text in row.items() if text} for row in rows]
    return [row for row in rows if _is_whole(row, index)]


def write_table(path, rows):
    """Writes what `read_table` reads, whole at any time.

    Args:
        path: the CSV file; the folder must exist.
        rows: list of dicts, which need not have the same names.

    Raises:
        OSError: if it cannot be written.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, stream.getvalue().encode())


def _is_whole(row, index):
    """Whether all cells are numbers; those beyond the columns are a list."""
    try:
        return all(map(_is_number, row.values())) and row[index].isdecimal()
    except (KeyError, TypeError):
        return False


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


class LossTable(keras.callbacks.Callback):
    """Keeps a CSV file with a row for each epoch, its number from 0, as in Keras's `CSVLogger`, and its losses.

    A run that goes on within an epoch, or from a checkpoint before the last row, replaces the rows from that epoch on:
    the row of an epoch is of its last part. Like all files of a run it is whole at any time. Rows that something else
    has damaged are left out, and a table that cannot be read is moved aside.

    Args:
        path: the CSV file; the folder must exist.
        report: callable that shows one line. Defaults to a warning of the logger `tf_cyclegan`.

    Example:
        >>> model.fit(dataset, callbacks=[LossTable("run/losses.csv")])  # doctest: +SKIP
    """

    def __init__(self, path, report=None):
        super().__init__()
        self.path = os.path.expanduser(path)
        self.report = report or logging.getLogger("tf_cyclegan").warning

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        rows = [row for row in read_table(self.path, "epoch", self.report) if int(row["epoch"]) < epoch]
        write_table(self.path, [*rows, {"epoch": epoch, **{name: logs[name] for name in sorted(logs)}}])
