"""Agreement of label maps, counted by hand."""

import numpy as np
import pytest

from tf_cyclegan.metrics import class_accuracy, class_iou, confusion_matrix, pixel_accuracy

LABELS = np.array([[0, 0, 0, 0], [1, 1, 2, 255]], np.uint8)
PREDICTIONS = np.array([[0, 0, 0, 1], [1, 2, 1, 9]], np.uint8)
MATRIX = [[3, 1, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_pixels_are_counted_by_label_and_prediction():
    matrix = confusion_matrix(LABELS, PREDICTIONS, classes=4)
    assert matrix.tolist() == MATRIX
    assert (matrix + matrix).sum() == 14, "the pixel to ignore does not count"


def test_scores_by_hand():
    matrix = confusion_matrix(LABELS, PREDICTIONS, classes=4)
    assert pixel_accuracy(matrix) == pytest.approx(4 / 7)
    mean, by_class = class_accuracy(matrix)
    np.testing.assert_allclose(by_class, [3 / 4, 1 / 2, 0, np.nan])
    assert mean == pytest.approx((3 / 4 + 1 / 2) / 3)
    mean, by_class = class_iou(matrix)
    np.testing.assert_allclose(by_class, [3 / 4, 1 / 4, 0, np.nan])
    assert mean == pytest.approx((3 / 4 + 1 / 4) / 3)


def test_a_class_only_predicted_counts_for_iou_alone():
    matrix = confusion_matrix([0, 0], [0, 1], classes=3)
    assert class_accuracy(matrix)[0] == pytest.approx(0.5)
    assert class_iou(matrix)[0] == pytest.approx(0.25)


def test_maps_are_added():
    both = confusion_matrix(np.stack([LABELS] * 2), np.stack([PREDICTIONS] * 2), classes=4)
    np.testing.assert_array_equal(both, 2 * confusion_matrix(LABELS, PREDICTIONS, classes=4))


def test_nothing_but_ignored_pixels_has_no_score():
    matrix = confusion_matrix([255], [0], classes=2)
    assert np.isnan([pixel_accuracy(matrix), class_accuracy(matrix)[0], class_iou(matrix)[0]]).all()


def test_label_255_counts_where_it_is_a_class():
    labels, predictions = np.array([255, 0, 299], np.uint16), np.array([255, 0, 255])
    matrix = confusion_matrix(labels, predictions, classes=300)
    assert (matrix.sum(), matrix[255, 255], matrix[299, 255]) == (3, 1, 1)
    assert confusion_matrix(labels, predictions, classes=300, ignore=255).sum() == 2


def test_numbers_that_are_no_classes_are_named():
    with pytest.raises(ValueError, match="`labels` must be from 0 to 1.*0 to 255"):
        confusion_matrix([0, 255], [0, 0], classes=2, ignore=None)
    with pytest.raises(ValueError, match="`predictions` must be from 0 to 1.*-1 to 0"):
        confusion_matrix([0, 1], [0, -1], classes=2)
    with pytest.raises(ValueError, match="`predictions` must hold integers.*float64"):
        confusion_matrix([0, 1], [0.0, 1.0], classes=2)
    with pytest.raises(ValueError, match=r"`predictions` must have the shape of `labels`.*\(1,\) and \(2,\)"):
        confusion_matrix([0, 1], [0], classes=2)
