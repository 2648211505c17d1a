"""How far translations keep to label maps: one matrix of counted pixels, whatever the number of images."""

import numpy as np

from tf_cyclegan.evaluating.label_maps import NO_CLASS
from tf_cyclegan.metrics import class_accuracy, class_iou, confusion_matrix, pixel_accuracy

NOTE = (
    "The FCN-8s of the papers is not part of the package: what another segmenter gives compares only with its own "
    "ceiling, the same score on the real photos of these label maps, for which the data must be pairs."
)
_VALUE, _CEILING = "value", "ceiling"


class LabelScores:
    """Counts pixels by their true class and the one that is seen.

    From labels to photos, a segmenter sees classes in the translation, and for the ceiling in the right answer, where
    that is known. From photos to labels, the translation's own colors are compared with those of the right answer.

    Args:
        labels: `label_maps.LabelMaps`.
        direction: str.
        segmenter: `Segmenter`, or None for a direction to labels.
    """

    def __init__(self, labels, direction, segmenter=None):
        self._labels, self._from_labels = labels, direction[0] == labels.domain
        self._segmenter = segmenter if self._from_labels else None
        self._matrices = {}
        self._images = 0

    def add(self, image, output, answer=None):
        """Adds an input, its translation and the right answer, float arrays `(height, width, channels)` in [-1, 1]."""
        self._images += 1
        if not self._from_labels:
            self._count(_VALUE, self._labels.labels(answer), self._labels.palette.predictions(output))
            return
        truth = self._labels.labels(image)
        self._count(_VALUE, truth, self._segmenter(output, truth.shape))
        if answer is not None:
            self._count(_CEILING, truth, self._segmenter(answer, truth.shape))

    def records(self):
        """Dict of metric to record; None for records without a pixel that counts."""
        matrix = self._matrices[_VALUE]
        common = {
            "images": self._images,
            "pixels": int(matrix.sum()),
            "classes": self._labels.classes,
            "labels": self._labels.describe(),
        }
        common |= {"segmenter": self._segmenter.name} if self._segmenter else {}
        scores = {
            "pixel_accuracy": pixel_accuracy,
            "class_accuracy": lambda counted: class_accuracy(counted)[0],
            "class_iou": lambda counted: class_iou(counted)[0],
        }
        return {
            name: {kind: score(counted) for kind, counted in self._matrices.items()} | common if matrix.any() else None
            for name, score in scores.items()
        }

    def classes(self):
        """A row for each class that occurs: its pixels, accuracy and IoU, and their ceilings; None for no number."""
        matrix = self._matrices[_VALUE]
        columns = {"accuracy": class_accuracy(matrix)[1], "iou": class_iou(matrix)[1]}
        if _CEILING in self._matrices:
            ceiling = self._matrices[_CEILING]
            columns |= {"accuracy_ceiling": class_accuracy(ceiling)[1], "iou_ceiling": class_iou(ceiling)[1]}
        occurring = sum(counted.sum(axis=0) + counted.sum(axis=1) for counted in self._matrices.values())
        return [
            {"class": number, "pixels": int(matrix[number].sum())}
            | {name: None if np.isnan(values[number]) else float(values[number]) for name, values in columns.items()}
            for number in np.flatnonzero(occurring).tolist()
        ]

    def _count(self, kind, truth, seen):
        counted = confusion_matrix(truth, seen, self._labels.classes, NO_CLASS)
        self._matrices[kind] = self._matrices.get(kind, 0) + counted
