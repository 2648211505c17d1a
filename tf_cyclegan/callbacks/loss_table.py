"""The losses of a run as a table for spreadsheets and for the report."""

import logging
import os

import keras

from tf_cyclegan.callbacks.tables import read_table, write_table


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
