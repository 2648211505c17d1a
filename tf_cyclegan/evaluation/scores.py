"""Scores of a model on a data set, for each direction, computed one image at a time."""

import numpy as np

from tf_cyclegan.evaluation import measures
from tf_cyclegan.evaluation.catalog import DISTANCES, METRICS, OF_ANSWERS, OF_LABELS, published_fids
from tf_cyclegan.evaluation.examples import counts_of, examples, has_answers
from tf_cyclegan.evaluation.instruments import open_instruments
from tf_cyclegan.evaluation.label_maps import LabelScores, find_labels, label_hindrances
from tf_cyclegan.evaluation.metrics import mean_absolute_difference, perceptual_distance, psnr, ssim
from tf_cyclegan.models.any_size import image_translator
from tf_cyclegan.settings.checks import check_integer

# The scores by which images are ranked: the first that exists.
_RANKS = ("l1", "cycle", "change")
_SSIM_SIDE = 11
_VGG_SIDE = 16
_TOO_SMALL = f"VGG19 takes images of at least {_VGG_SIDE} pixels a side"


def evaluate_model(model, data, instruments=None, directions=None, count=None, seed=0, means=None, gallery=None):
    """Scores of a model, for every direction.

    If the right answers are known (pairs, and the bundled test drawings), the scores are L1, PSNR, SSIM and the
    perceptual distance, and the L1 of two trivial baselines. All data have distances between sets of images, and models
    of two directions have errors of cycle and identity. If one domain has label maps, accuracy and IoU say how far
    translations keep to them.

    Args:
        model: `TranslationModel`.
        data: `TranslationDataset`, of which every image is taken once. Augmented data give augmented images.
        instruments: `Instruments`. Defaults to all metrics that can be computed.
        directions: some of `model.directions`. Defaults to all.
        count: optional int, at most so many images of each domain, spread over all. Defaults to all.
        seed: int, for drawing samples and subsets. Defaults to 0.
        means: optional dict of domain letters to mean training images `(height, width, channels)`, which are a trivial
            baseline. Defaults to None.
        gallery: optional `Gallery`, which gets the images. Defaults to None.

    Returns:
        Dict as JSON knows it: `data`, `left_out` (metric to reason) and `directions`, each with `scores` (metric to a
        dict with `value`, the numbers of images and what else it depends on), `names` and `per_image` (metric to a
        number or None for each image), `ranked_by`, and with scores by label maps `classes`, a dict for each class.

    Raises:
        ValueError: if a setting is out of its range, or a metric that the user named cannot be computed.

    Example:
        >>> evaluate_model(model, open_dataset("emoji", "test"))["directions"]["ab"]["scores"]["l1"]  # doctest: +SKIP
        {'value': 0.21, 'deviation': 0.06, 'images': 95, 'of_input': 0.35}
    """
    evaluator = Evaluator(model, data, instruments or open_instruments(), directions, count, seed)
    return evaluator.evaluate(means, gallery)


class Evaluator:
    """A model and its data, prepared for many evaluations, as during training.

    Args:
        model, data, instruments, directions, count, seed: as in `evaluate_model`.

    Raises:
        ValueError: as in `evaluate_model`.
    """

    def __init__(self, model, data, instruments, directions=None, count=None, seed=0):
        if count is not None:
            check_integer("count", count, 2)
        self.directions = tuple(directions or model.directions)
        if unknown := [name for name in self.directions if name not in model.directions]:
            raise ValueError(f"`direction` must be one of {model.directions}. Received: direction={unknown[0]!r}")
        self.model, self.data, self.instruments, self.count, self.seed = model, data, instruments, count, seed
        self.translators = {direction: image_translator(model, direction) for direction in model.directions}
        self._channels = _channels(model)
        self.answers = has_answers(data)
        self.labels = self._find_labels()
        self._metrics = {direction: self._available(direction) for direction in self.directions}

    def evaluate(self, means=None, gallery=None):
        """The result of `evaluate_model`; the model and all random states do not change."""
        parts = {direction: _Direction(self, direction, means or {}, gallery) for direction in self.directions}
        for example in examples(self.data, self.count):
            for part in parts.values():
                part.add(example)
        results = {direction: part.result() for direction, part in parts.items()}
        left_out = dict(self.instruments.left_out)
        for direction, (names, missing) in self._metrics.items():
            empty = [name for name in names if name in OF_LABELS and name not in results[direction]["scores"]]
            left_out |= missing | dict.fromkeys(empty, "no pixel of the label maps is of a class")
        return {"data": self.describe(), "left_out": left_out, "directions": results}

    def metrics(self, direction):
        """The names of the metrics of a direction."""
        return self._metrics[direction][0]

    def counts(self):
        """Numbers of images that are evaluated, by the domains' letters."""
        return counts_of(self.data, self.count)

    def describe(self):
        """A dict of the data: name, split, numbers of images and their size."""
        return {
            "name": self.data.name,
            "split": self.data.split,
            "images": self.counts(),
            "of": dict(zip("ab", self.data.counts, strict=True)),
            "image_size": list(self.data.image_size),
            "answers_known": self.answers,
            "seed": self.seed,
        }

    def _available(self, direction):
        """The metrics that can be computed, and a dict of the others to reasons; a named metric is then an error."""
        names = self.instruments.metrics
        if self.labels is None and not self.instruments.asked:
            names = [name for name in names if name not in OF_LABELS]  # most data have no label maps
        reasons = {name: self._hindrance(name, direction) for name in names}
        missing = {name: reason for name, reason in reasons.items() if reason}
        if missing and self.instruments.asked:
            name, reason = next(iter(missing.items()))
            raise ValueError(f"`metrics` {name} cannot be computed here: {reason}. Received: {self.data.name}")
        return tuple(name for name in reasons if not reasons[name]), missing

    def _find_labels(self):
        """The `LabelMaps` of the data, or None if there are none or no score needs them."""
        instruments = self.instruments
        if not set(OF_LABELS) & set(instruments.metrics):
            return None
        return find_labels(self.model, self.data, self._channels, instruments.palette, instruments.segmenter)

    def _hindrance(self, metric, direction):
        """The reason why a metric cannot be computed, or None."""
        source, target = (self._channels[domain] for domain in direction)
        of_ids = self.model.takes_ids and direction == "ab"
        smallest = min(side or _VGG_SIDE for side in self.data.image_size)
        kinds = ("input and translation are of different kinds", of_ids or source != target)
        back = ("the model does not translate back", direction[::-1] not in self.model.directions)
        answers = ("the right answers are not known, the data are not pairs", not self.answers)
        channels = ("features are of images with one or three channels", target not in (1, 3))
        few = ("it takes two images of each domain", min(self.counts().values()) < 2)
        hindrances = {
            "l1": [answers],
            "psnr": [answers],
            "ssim": [answers, (f"images must have at least {_SSIM_SIDE} pixels a side", smallest < _SSIM_SIDE)],
            "perceptual": [answers, ("VGG19 takes three channels", target != 3), (_TOO_SMALL, smallest < _VGG_SIDE)],
            "cycle": [back],
            "identity": [back, kinds],
            "change": [kinds],
            "luminance": [("the input holds numbers of classes, not brightness", of_ids)],
            "diversity": [],
            **dict.fromkeys(DISTANCES, [channels, few]),
            **dict.fromkeys(
                OF_LABELS, label_hindrances(self.labels, self.instruments.segmenter, direction, self.answers)
            ),
        }
        return next((reason for reason, found in hindrances[metric] if found), None)


class _Direction:
    """The measures of one direction, to which images are added one by one."""

    def __init__(self, evaluator, direction, means, gallery):
        self.evaluator, self.direction, self.gallery = evaluator, direction, gallery
        self.metrics = evaluator.metrics(direction)
        self._translate, self._translate_back = (evaluator.translators.get(way) for way in (direction, direction[::-1]))
        counts = evaluator.counts()
        source, target = direction
        of_sets = (*DISTANCES, *OF_LABELS)
        self._values = {name: measures.PerImage() for name in self.metrics if name not in of_sets}
        self._values |= {"change": measures.Change()} if "change" in self._values else {}
        self._baselines = {"of_input": measures.PerImage(), "of_mean": measures.PerImage()}
        self._mean = means.get(target)
        self._diversity = measures.Diversity({"inputs": counts[source], "targets": counts[target]}, seed=evaluator.seed)
        distances = [name for name in self.metrics if name in DISTANCES]
        extractor = evaluator.instruments.extractor
        self._distances = measures.Distances(extractor, distances, evaluator.seed) if distances else None
        of_labels = set(OF_LABELS) & set(self.metrics)
        self._labels = LabelScores(evaluator.labels, direction, evaluator.instruments.segmenter) if of_labels else None
        self._names = []
        self.ranked_by = next((name for name in _RANKS if name in self._values), None)

    def add(self, example):
        source, target = self.direction
        if target in example.images:
            self._add_real(example.images[target])
        if source in example.images:
            answer = example.images.get(target) if self.evaluator.answers else None
            self._add_input(example.index, example.names[source], example.images[source], answer)

    def result(self):
        records = {name: value.record() for name, value in self._values.items() if name != "diversity"}
        if self._distances is not None:
            data = self.evaluator.data
            reference = {"reference": f"{data.name}, {data.split}, domain {self.direction[1].upper()}"}
            records |= {name: record | reference for name, record in self._distances.records().items()}
        if "fid" in records:
            known = published_fids(self.evaluator.describe(), self.direction, records["fid"]["resize"])
            records["fid"] |= {"published": known} if known else {}
        if "diversity" in self.metrics:
            records["diversity"] = self._diversity.record()
        if records.get("l1"):
            baselines = {name: value.record() for name, value in self._baselines.items()}
            records["l1"] |= {name: found["value"] for name, found in baselines.items() if found}
        classes = {}
        if self._labels is not None:
            records |= {name: record for name, record in self._labels.records().items() if name in self.metrics}
            classes["classes"] = self._labels.classes()
        return {
            "scores": {name: records[name] for name in METRICS if records.get(name)},
            **classes,
            "ranked_by": self.ranked_by,
            "names": self._names,
            "per_image": {name: value.values for name, value in self._values.items() if self._is_per_image(name)},
        }

    def _is_per_image(self, name):
        return name not in ("diversity", "identity")  # identity is measured on images of the other domain

    def _add_real(self, image):
        if self._distances is not None:
            self._distances.add("real", image)
        self._diversity.add("targets", image)
        if "identity" in self.metrics:
            same = self._translate(image)
            self._values["identity"].add(_difference(same, image))

    def _add_input(self, index, name, image, answer):
        output = self._translate(image)
        self._names.append(str(name))
        self._diversity.add("inputs", image)
        self._diversity.add("outputs", output)
        if self._distances is not None:
            self._distances.add("translated", output)
        if "change" in self.metrics:
            self._values["change"].add_pair(image, output)
        if "luminance" in self.metrics:
            self._values["luminance"].add(measures.luminance_of(image, output))
        if self._labels is not None:
            self._labels.add(image, output, answer)
        back = self._add_back(image, output)
        if answer is not None:
            self._compare(image, output, answer)
        if self.gallery is not None and self.ranked_by:
            score = self._values[self.ranked_by].values[-1]
            third = (answer, self.direction[1]) if answer is not None else (back, self.direction[0])
            self.gallery.add(self.direction, index, str(name), score, image, output, *third)

    def _add_back(self, image, output):
        """The translation back of a translation, or None."""
        if "cycle" not in self.metrics:
            return None
        back = self._translate_back(output)
        self._values["cycle"].add(_difference(back, image))
        return back

    def _compare(self, image, output, answer):
        pair = (output[None], answer[None])
        functions = {"l1": mean_absolute_difference, "psnr": psnr, "ssim": ssim, "perceptual": self._perceptual}
        for name in OF_ANSWERS:
            if name in self.metrics:
                self._values[name].add(functions[name](*pair)[0])
        if image.shape == answer.shape and not (self.evaluator.model.takes_ids and self.direction == "ab"):
            self._baselines["of_input"].add(_difference(image, answer))
        if self._mean is not None and self._mean.shape == answer.shape:
            self._baselines["of_mean"].add(_difference(self._mean, answer))

    def _perceptual(self, output, answer):
        return perceptual_distance(output, answer, self.evaluator.instruments.perceptual_network)


def flat_scores(result):
    """The values of a result by the names of `metrics.csv`, `{"l1_ab": 0.21, ...}`."""
    return {
        f"{name}_{direction}": record["value"]
        for direction, found in result["directions"].items()
        for name, record in found["scores"].items()
    }


def _channels(model):
    """Dict of the letters of the domains to the channels of their images, as a generator of the model has them."""
    direction = model.directions[0]
    network = model.generator(direction)
    return dict(sorted(zip(direction, (network.input_shape[-1], network.output_shape[-1]), strict=True)))


def _difference(a, b):
    return float(np.abs(np.asarray(a, np.float64) - b).mean())
