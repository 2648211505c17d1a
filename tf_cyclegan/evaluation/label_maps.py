"""Label maps in the data of an evaluation, and scores of how far translations keep to them."""

import dataclasses

import numpy as np

from tf_cyclegan.evaluation.metrics import class_accuracy, class_iou, confusion_matrix, pixel_accuracy
from tf_cyclegan.evaluation.palettes import Palette
from tf_cyclegan.networks.instance_maps import to_ids

# The largest distance of label maps from the colors of a palette, in levels of 255: JPEG and resizing change colors a
# little, and photos are several times as far away.
_FARTHEST = 16
NO_CLASS = -1  # 255, which palettes use, can be a class
_LOOKED_AT = 4  # images
NOTE = (
    "The FCN-8s of the papers is not part of the package. Compare the scores of another segmenter only with its own "
    "ceiling, its score on the real photos of these label maps, for which the data must be pairs."
)
_VALUE, _CEILING = "value", "ceiling"


@dataclasses.dataclass(frozen=True)
class LabelMaps:
    """The label maps of a domain, and how they are read.

    Args:
        domain: `"a"` or `"b"`.
        classes: int, number of classes.
        palette: optional `Palette`; without one, the first channel has ids. Defaults to None.
    """

    domain: str
    classes: int
    palette: Palette | None = None

    def labels(self, image):
        """The class of each pixel of a label map, int array `(height, width)`; -1 for pixels of no class."""
        ids = self.palette.labels(image) if self.palette else to_ids(image[..., 0]).numpy()
        return np.where((ids >= 0) & (ids < self.classes), ids, NO_CLASS)

    def describe(self):
        """How labels are read, in a few words."""
        how = f"colors of {self.palette.name}" if self.palette else "ids"
        return f"{how} in domain {self.domain.upper()}"


def find_labels(model, data, channels, palette=None, segmenter=None):
    """Finds the label maps: the ids that a model takes, or the domain that has the colors of a palette.

    Args:
        model: `TranslationModel`.
        data: `TranslationDataset`.
        channels: dict of the domains' letters to the channels of their images.
        palette: optional `Palette`. Defaults to None.
        segmenter: optional `Segmenter`. Defaults to None.

    Returns:
        `LabelMaps`, or None if there are none.

    Raises:
        ValueError: if no domain has the palette's colors, or the segmenter does not fit.
    """
    if model.takes_ids and palette is not None:
        raise ValueError(
            f"`palette` is of color-coded label maps, and this model takes ids. Received: palette {palette.name}"
        )
    if model.takes_ids:
        labels = LabelMaps("a", model.label_classes)
    else:
        labels = LabelMaps(_colored_domain(data, channels, palette), palette.classes, palette) if palette else None
    if segmenter is not None:
        _check_segmenter(segmenter, labels, data, channels)
    return labels


def label_hindrances(labels, segmenter, direction, answers):
    """Reasons why label maps cannot be compared in a direction: pairs of a text and whether it holds.

    Args:
        labels: `LabelMaps` or None.
        segmenter: `Segmenter` or None.
        direction: str.
        answers: bool, whether the right answers are known.
    """
    source, target = (labels is not None and labels.domain == letter for letter in direction)
    unpaired = "a translation to labels is compared with the right one, and the data are not pairs"
    return [
        ("there are no label maps, neither ids that the model takes nor colors by a `palette`", labels is None),
        ("translations of label maps need a `segmenter` that finds classes in them", source and segmenter is None),
        (unpaired, target and not answers),
    ]


def _colored_domain(data, channels, palette):
    """The domain whose first images are nearest to a palette."""
    distances = {letter: [] for letter, count in channels.items() if count == 3}
    for pair in data.epoch().unbatch().take(_LOOKED_AT):
        for letter in distances:
            distances[letter].append(palette.distance(pair["ab".index(letter)].numpy()))
    medians = {letter: float(np.median(found)) for letter, found in distances.items()}
    nearest = min(medians, key=medians.get, default=None)
    if nearest is None or medians[nearest] > _FARTHEST:
        received = ", ".join(f"{distance:.0f} in {letter.upper()}" for letter, distance in medians.items())
        raise ValueError(
            f"`palette` must have the colors of label maps in the data, to about {_FARTHEST} levels. Received: "
            f"{palette.name}, whose distance is {received or 'of colors and the data are gray'}"
        )
    return nearest


def _check_segmenter(segmenter, labels, data, channels):
    if labels is None:
        raise ValueError(
            "`segmenter` needs label maps, ids that the model takes or colors by a `palette`. "
            f"Received: no label maps in {data.name}"
        )
    if segmenter.classes != labels.classes:
        raise ValueError(
            f"`segmenter` must tell the {labels.classes} classes of the label maps ({labels.describe()}). "
            f"Received: {segmenter.name} of {segmenter.classes} classes"
        )
    photos = channels["ba"["ab".index(labels.domain)]]
    if segmenter.channels != photos:
        raise ValueError(
            f"`segmenter` must take images of {photos} channels, as the translations are. "
            f"Received: {segmenter.name} for {segmenter.channels}"
        )
    if any(side not in (None, given) for side, given in zip(segmenter.image_size, data.image_size, strict=True)):
        size, given = ("x".join(map(str, sides)) for sides in (segmenter.image_size, data.image_size))
        raise ValueError(
            f"`segmenter` must take images of the data's size; `image_size` sets that. Received: {segmenter.name} for "
            f"{size} and images of {given} (height x width)"
        )


class LabelScores:
    """Counts pixels by their true class and by the class that is found.

    From labels to photos, a segmenter finds classes in the translation, and for the ceiling in the right answer, if the
    answer is known. From photos to labels, colors of the translation are compared with colors of the right answer.

    Args:
        labels: `LabelMaps`.
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
        """Dict of metric to record; None for a record without a pixel that counts."""
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
        """A dict for each class that occurs: its pixels, accuracy and IoU, and their ceilings; None for no number."""
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
