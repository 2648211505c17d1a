"""The losses of a run as a table for spreadsheets and for the report."""

import csv
import io
import os

import keras

from tf_cyclegan.files import write_whole


class LossTable(keras.callbacks.Callback):
    """Keeps a CSV file with a row for each epoch, its number from 0 and its losses.

    A run that goes on within an epoch, or from a checkpoint before the last row, replaces the rows from that epoch on:
    the row of an epoch is of its last part. Like all files of a run it is whole at any time.

    Args:
        path: the CSV file; the folder must exist.

    Example:
        >>> model.fit(dataset, callbacks=[LossTable("run/losses.csv")])  # doctest: +SKIP
    """

    def __init__(self, path):
        super().__init__()
        self.path = os.fspath(path)

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        rows = [row for row in self._rows() if int(row["epoch"]) < epoch]
        rows.append({"epoch": epoch, **{name: logs[name] for name in sorted(logs)}})
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self.path, stream.getvalue().encode())

    def _rows(self):
        """The rows as they stand there, without empty cells; none of a table that is damaged."""
        try:
            with open(self.path, newline="") as file:
                rows = [{name: text for name, text in row.items() if text} for row in csv.DictReader(file)]
            return rows if all(row["epoch"].isdecimal() for row in rows) else []
        except (OSError, ValueError, KeyError, TypeError, csv.Error):
            return []
