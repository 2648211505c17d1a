"""The CSV tables of a run: the callback that writes the losses of each epoch, and reading and writing of tables."""

import csv
import io
import logging
import os

import keras

from tf_cyclegan.files import free_name, write_whole
from tf_cyclegan.settings.checks import one_line


class LossTable(keras.callbacks.Callback):
    """Writes a CSV file with a row for each epoch: its number from 0, as in Keras's `CSVLogger`, and its losses.

    A resumed run replaces the rows from its first epoch on; an epoch that was interrupted has the losses of its last
    part. The file is whole at any time. Damaged rows are left out, and a table that cannot be read is moved aside.

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


def read_table(path, index, report):
    """The rows of a table, without damaged rows.

    A table that cannot be read is moved aside, so that the next table does not replace it.

    Args:
        path: the CSV file; a missing file has no rows.
        index: str, the column with the whole numbers of the rows.
        report: callable, takes the line that says which file was moved where.

    Returns:
        List of dicts of names to text, without empty cells.

    Raises:
        OSError: if the file can neither be read nor moved.
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
    """Writes a table for `read_table`, whole or not at all.

    Args:
        path: the CSV file; the folder must exist.
        rows: list of dicts, which may have different names.

    Raises:
        OSError: if the file cannot be written.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, stream.getvalue().encode())


def _is_whole(row, index):
    """Whether all cells are numbers; the reader collects cells beyond the columns in a list."""
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
