"""Metrics of label maps: the agreement of classes, as in the FCN score."""

import numpy as np

from tf_cyclegan.settings.checks import check_integer

_IGNORED = 255  # the label that data sets give to pixels of no class


def confusion_matrix(labels, predictions, classes, ignore="auto"):
    """Counts pixels by their true and their predicted class. The matrices of several images can be added.

    Args:
        labels: integer array of any shape, the true classes.
        predictions: integer array of the same shape, from 0 to `classes - 1` at all pixels that count.
        classes: int, number of classes.
        ignore: int, the label of pixels that do not count, or None if all count. Defaults to `"auto"`: 255, unless 255
            is a class.

    Returns:
        int64 array `(classes, classes)`: true classes by rows, predicted ones by columns.

    Raises:
        ValueError: if the shapes differ, or a number is no class.

    Example:
        >>> confusion_matrix([0, 0, 1, 255], [0, 1, 1, 0], classes=2).tolist()
        [[1, 1], [0, 1]]
    """
    check_integer("classes", classes, 1)
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape:
        raise ValueError(
            f"`predictions` must have the shape of `labels`. Received: {predictions.shape} and {labels.shape}"
        )
    if ignore == "auto":
        ignore = _IGNORED if classes <= _IGNORED else None
    counted = np.ones(labels.shape, bool) if ignore is None else labels != ignore
    labels = _checked("labels", labels[counted], classes)
    predictions = _checked("predictions", predictions[counted], classes)
    return np.bincount(labels * classes + predictions, minlength=classes**2).reshape(classes, classes)


def pixel_accuracy(matrix):
    """Share of the pixels whose class is right.

    Args:
        matrix: array `(classes, classes)` of `confusion_matrix`.

    Returns:
        float in [0, 1], NaN without pixels.
    """
    return float(_share(np.trace(matrix), np.sum(matrix)))


def class_accuracy(matrix):
    """Share of the pixels of a class that are found; the mean over the classes that occur in the labels.

    Args:
        matrix: array `(classes, classes)` of `confusion_matrix`.

    Returns:
        `(mean, by class)`: float in [0, 1], and array `(classes,)` with NaN for classes that do not occur.
    """
    shares = _share(np.diagonal(matrix), np.sum(matrix, axis=1))
    return _mean(shares), shares


def class_iou(matrix):
    """Intersection over union of a class; the mean over the classes that occur in labels or predictions.

    Args:
        matrix: array `(classes, classes)` of `confusion_matrix`.

    Returns:
        `(mean, by class)`: float in [0, 1], and array `(classes,)` with NaN for classes that do not occur.

    Reference:
        [Long et al., 2015](https://arxiv.org/abs/1411.4038)
    """
    hits = np.diagonal(matrix)
    shares = _share(hits, np.sum(matrix, axis=0) + np.sum(matrix, axis=1) - hits)
    return _mean(shares), shares


def _share(part, whole):
    with np.errstate(invalid="ignore"):
        return np.divide(part, whole, dtype=np.float64)


def _mean(shares):
    occurring = shares[~np.isnan(shares)]
    return float(occurring.mean()) if occurring.size else float("nan")


def _checked(name, values, classes):
    if values.dtype.kind not in "bui":
        raise ValueError(f"`{name}` must hold integers, the numbers of classes. Received: dtype={values.dtype}")
    if values.size and (values.min() < 0 or values.max() >= classes):
        raise ValueError(
            f"`{name}` must be from 0 to {classes - 1} for classes={classes}, apart from pixels labeled `ignore`. "
            f"Received: {values.min()} to {values.max()}"
        )
    return values.astype(np.int64)
