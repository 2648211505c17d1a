"""Verdicts on the health of a training: one rule with its thresholds, for the running log and the report."""

import numpy as np

from tf_cyclegan.evaluation.metrics.unpaired import luminance_correlation, pairwise_distance

UNCHANGED_MEAN = 0.02  # of the range of values: the mean change of a pixel ...
UNCHANGED_PEAK = 0.1  # ... and the change that one pixel in a hundred exceeds: a small zebra is a change too
COLLAPSED = 0.1  # spread of the outputs, relative to the spread of the inputs and of real images of their domain
INVERTED = -0.3  # correlation of luminance between input and output

CURES = {
    "won": "Lower the discriminators' learning rate, give them fewer filters or layers, or add images.",
    "unchanged": "Lower `lambda_identity` to 0, then `lambda_cycle` or `lambda_reconstruction`, so that a change costs "
    "less.",
    "collapsed": "Go back to an earlier checkpoint and lower both learning rates; raise `lambda_cycle`; check that the "
    "domain does not hold many copies of one image.",
    "inverted": "Unless the domains call for it, start again with another seed and raise `lambda_identity` (0.5 or 1).",
}


def is_told(kind, paired):
    """Whether a failure is reported: pairs, the data of some models, say how much changes and what becomes of light."""
    return not paired or kind not in ("unchanged", "inverted")


def is_unchanged(mean_change, share_of_large):
    """Whether translations equal their inputs: the mean change is small, and almost no pixel changes a lot.

    Args:
        mean_change: float, mean absolute difference of the pixels, relative to the range of values.
        share_of_large: float, share of pixels that change by more than `UNCHANGED_PEAK`.
    """
    return mean_change < UNCHANGED_MEAN and share_of_large < 0.01


def is_collapsed(spread, references):
    """Whether translations differ far less from each other than inputs and real images do.

    Args:
        spread: float, `metrics.unpaired.pairwise_distance` of the translations.
        references: list of floats, the `pairwise_distance` of the inputs, and of real images of the outputs' domain.
    """
    return spread < COLLAPSED * min(references)


def is_inverted(correlation):
    """Whether light and dark are exchanged, by the correlation of luminance, which may be None."""
    return correlation is not None and correlation < INVERTED


def image_verdicts(inputs, outputs, targets=None):
    """The failures that images show.

    Args:
        inputs: float array `(count, height, width, channels)` in [-1, 1].
        outputs: their translations, of the same height and width.
        targets: optional real images of the outputs' domain.

    Returns:
        List of `"unchanged"`, `"collapsed"` and `"inverted"`, or some of them.
    """
    references = [inputs] if targets is None else [inputs, targets]
    verdicts = {
        "unchanged": inputs.shape == outputs.shape and is_unchanged(*_change(inputs, outputs)),
        "collapsed": len(inputs) > 1
        and is_collapsed(pairwise_distance(outputs), list(map(pairwise_distance, references))),
        "inverted": is_inverted(luminance_correlation(inputs, outputs)),
    }
    return [kind for kind, found in verdicts.items() if found]


def _change(inputs, outputs):
    change = np.abs(outputs - inputs) / 2
    return change.mean(), (change >= UNCHANGED_PEAK).mean()
