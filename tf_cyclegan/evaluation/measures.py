"""Measures that take one image at a time, and keep a few numbers of each."""

import numpy as np

from tf_cyclegan.data.images import to_uint8
from tf_cyclegan.evaluation.examples import small
from tf_cyclegan.evaluation.metrics import (
    Moments,
    distance_name,
    frechet_distance,
    kernel_distance,
    luminance_correlation,
    pairwise_distance,
)
from tf_cyclegan.evaluation.metrics.features import INCEPTION
from tf_cyclegan.evaluation.verdicts import UNCHANGED_PEAK

KERNEL_SUBSETS, KERNEL_SUBSET_SIZE = 100, 1000
DIVERSITY_SAMPLE = 64  # images: 2016 pairs


class PerImage:
    """A number for each image, as L1; the mean leaves infinite and missing numbers out."""

    def __init__(self):
        self.values = []

    def add(self, value):
        """Adds the number of an image, or None."""
        self.values.append(None if value is None or not np.isfinite(value) else float(value))

    def record(self):
        """Mean, deviation and count as a dict, or None if there is no number."""
        known = [value for value in self.values if value is not None]
        if not known:
            return None
        record = {"value": float(np.mean(known)), "deviation": float(np.std(known)), "images": len(known)}
        return record | ({"without": len(self.values) - len(known)} if len(known) < len(self.values) else {})


class Change(PerImage):
    """The change of the input: the mean difference, and the share of values that change a lot."""

    def __init__(self):
        super().__init__()
        self._peaks = self._values = 0

    def add_pair(self, image, output):
        """Adds an image and its translation, float arrays `(height, width, channels)` of one shape."""
        difference = np.abs(output - image)
        self.add(difference.mean())
        self._peaks += int((difference / 2 >= UNCHANGED_PEAK).sum())
        self._values += difference.size

    def record(self):
        record = super().record()
        return record and record | {"share_of_large_changes": self._peaks / self._values}


class Diversity:
    """The mean difference between two outputs, between two inputs, and between two real images of the domain.

    Args:
        counts: dict of `"inputs"` and `"targets"` to the numbers of images that will be added.
        seed: int, for drawing a sample of `DIVERSITY_SAMPLE` images.
    """

    def __init__(self, counts, seed):
        random = np.random.default_rng(seed)
        self._chosen = {
            kind: set(random.choice(count, min(count, DIVERSITY_SAMPLE), replace=False).tolist())
            for kind, count in counts.items()
        }
        self._chosen["outputs"] = self._chosen["inputs"]
        self._seen = dict.fromkeys(self._chosen, 0)
        self._kept = {kind: [] for kind in self._chosen}

    def add(self, kind, image):
        """Adds an image `(height, width, channels)` to the inputs, outputs or targets."""
        if self._seen[kind] in self._chosen[kind]:
            self._kept[kind].append(small(image))
        self._seen[kind] += 1

    def record(self):
        """Value and references as a dict; None for fewer than two outputs."""
        if len(self._kept["outputs"]) < 2:
            return None
        means = {kind: _pairwise(kept) for kind, kept in self._kept.items()}
        return {
            "value": means["outputs"],
            "inputs": means["inputs"],
            "targets": means["targets"],
            "images": len(self._kept["outputs"]),
            "target_images": len(self._kept["targets"]),
        }


class Distances:
    """Distances between sets of images by their features.

    Args:
        extractor: `metrics.FeatureExtractor`.
        metrics: list of `"fid"`, `"kid"`, `"frechet"` and `"kernel"`, or some of them.
        seed: int, for drawing the subsets of the kernel distance.
    """

    def __init__(self, extractor, metrics, seed):
        self.extractor, self.metrics, self.seed = extractor, metrics, seed
        self._waiting = {"real": [], "translated": []}
        self._moments = {side: Moments(extractor.dimensions) for side in self._waiting}
        self._features = {side: [] for side in self._waiting}

    def add(self, side, image):
        """Adds an image in [-1, 1], rounded to 8 bits as in a PNG file, to `"real"` or `"translated"`."""
        self._waiting[side].append(to_uint8(image))
        # If the network takes any size, images may differ in size, and one batch cannot hold them.
        if len(self._waiting[side]) >= (self.extractor.batch_size if self.extractor.image_size else 1):
            self._flush(side)

    def records(self):
        """Dict of metric to record; it is empty if a set has fewer than two images."""
        for side in self._waiting:
            self._flush(side)
        real, translated = (self._moments[side] for side in ("real", "translated"))
        if min(real.count, translated.count) < 2:
            return {}
        common = {
            "features": self.extractor.name,
            "is_inception": self.extractor.name == INCEPTION,
            "resize": self.extractor.resize if self.extractor.image_size else "none",
            "real": real.count,
            "translated": translated.count,
        }
        return {name: {**self._record(name, real, translated), **common} for name in self.metrics}

    def _record(self, name, real, translated):
        if name in ("fid", "frechet"):
            value = frechet_distance(real.mean, real.covariance, translated.mean, translated.covariance)
            return {"name": distance_name(self.extractor, "frechet"), "value": value}
        features = [np.concatenate(self._features[side]) for side in ("real", "translated")]
        size = kernel_subset_size(*map(len, features))
        value, deviation = kernel_distance(*features, KERNEL_SUBSETS, size, self.seed)
        return {
            "name": distance_name(self.extractor, "kernel"),
            "value": value,
            "deviation": deviation,
            "subsets": KERNEL_SUBSETS,
            "subset_size": size,
        }

    def _flush(self, side):
        if self._waiting[side]:
            found = self.extractor(self._waiting[side])
            self._waiting[side] = []
            self._moments[side].update(found)
            if {"kid", "kernel"} & set(self.metrics):
                self._features[side].append(found)


def kernel_subset_size(*counts):
    """1000 images as usual, but at most half of a set: subsets that are whole sets would not deviate."""
    return min(KERNEL_SUBSET_SIZE, max(2, min(counts) // 2))


def luminance_of(image, output):
    """Correlation of the brightness of an image and its translation, None if one is flat."""
    return luminance_correlation(image[None], output[None])


def _pairwise(kept):
    return pairwise_distance(kept) if len({image.shape for image in kept}) == 1 and len(kept) > 1 else None
