"""Metrics of translations whose right answers are unknown."""

import math

import numpy as np

from tf_cyclegan.evaluation.metrics.image_batches import float_batch

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def cycle_error(model, batches, direction="ab"):
    """Mean absolute difference between images and their translations there and back.

    Args:
        model: `TranslationModel` of two directions.
        batches: iterable of arrays `(batch, height, width, channels)`, uint8, or float in [-1, 1], images of the domain
            that `direction` begins with.
        direction: `"ab"` or `"ba"`, the translation that comes first. Defaults to `"ab"`.

    Returns:
        float in [0, 2], in the units of [-1, 1], the mean over images.

    Raises:
        ValueError: if the model does not translate there and back, or there is no image.
    """
    back = direction[::-1]
    missing = [name for name in (direction, back) if name not in model.directions]
    if missing:
        raise ValueError(
            f"`model` must translate there and back, {direction} and {back}. Received: directions={model.directions}"
        )
    return _mean_difference(batches, lambda images: model.translate(model.translate(images, direction), back))


def identity_distance(model, batches, direction=None):
    """Mean absolute difference between images and their translation.

    Images of the domain that `direction` leads to should not change: for them the difference is the error of the
    identity loss. For images of the other domain it is the change by the translation.

    Args:
        model: `TranslationModel`.
        batches: iterable of arrays `(batch, height, width, channels)`, uint8, or float in [-1, 1].
        direction: one of the model's directions. Defaults to the first of them.

    Returns:
        float in [0, 2], in the units of [-1, 1], the mean over images.

    Raises:
        ValueError: if translations and images differ in their channels, or there is no image.
    """
    return _mean_difference(batches, lambda images: model.translate(images, direction))


def pairwise_distance(samples):
    """Mean absolute difference between two samples, over all pairs; 0 for fewer than two.

    Args:
        samples: float array `(count, ...)`.

    Returns:
        float.
    """
    pairs = [np.abs(a - b).mean() for i, a in enumerate(samples) for b in samples[:i]]
    return float(np.mean(pairs)) if pairs else 0.0


def luminance_correlation(inputs, outputs):
    """Correlation of the brightness of an image and its translation over the pixels, the mean over images.

    Args:
        inputs, outputs: float arrays `(count, height, width, channels)`; the channels may differ.

    Returns:
        float in [-1, 1], below 0 where light and dark are exchanged, or None if every pair has an image of one flat
        brightness.
    """
    values = []
    for x, y in zip(_luminance(inputs), _luminance(outputs), strict=True):
        x, y = x - x.mean(), y - y.mean()
        scale = math.sqrt((x * x).mean() * (y * y).mean())
        if scale > 1e-4:  # the correlation of flat images is noise
            values.append((x * y).mean() / scale)
    return float(np.mean(values)) if values else None


def _luminance(samples):
    return samples @ np.asarray(LUMA, samples.dtype) if samples.shape[-1] == 3 else samples.mean(axis=-1)


def _mean_difference(batches, transform):
    total, count = 0.0, 0
    for batch in batches:
        images = float_batch("batches", batch)
        results = np.asarray(transform(images.astype(np.float32)), np.float64)
        if results.shape != images.shape:
            raise ValueError(
                "`model` must give images of the shape it is given, to be compared. "
                f"Received: {results.shape} from {images.shape}"
            )
        total += np.abs(results - images).mean(axis=(1, 2, 3)).sum()
        count += len(images)
    if not count:
        raise ValueError("`batches` must hold at least one image. Received: none")
    return float(total / count)
