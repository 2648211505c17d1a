"""Diagnostics: problems of a model and what to change, in plain words, from scores and logs of the training."""

import dataclasses
import math

from tf_cyclegan.evaluation.catalog import BASELINES, METRICS
from tf_cyclegan.evaluation.verdicts import CURES, is_collapsed, is_inverted, is_told, is_unchanged
from tf_cyclegan.models.losses import Adversaries

MANY_IMAGES = 2048  # with fewer, the covariance of Inception's features is not of full rank, and an FID biased upward
CLOSE = 0.9  # the error relative to the error of a trivial baseline: above, the model has learned little
LEARNED = 0.75  # ... and below, it has learned much
HIDDEN = 0.35  # the cycle error relative to the error of the translation
EARLY = 0.75  # the step of the best score relative to the last step
MUCH_WORSE = 1.05  # the last score relative to the best
IDENTITY = 0.2  # on [-1, 1]: 25 levels of 255
LAST_EPOCHS = 3  # the epochs whose mean losses count

PROBLEM, CAUTION, GOOD = "problem", "caution", "good"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that a user should know of a model.

    Args:
        level: `"problem"`, `"caution"` or `"good"`.
        text: str, what was found, with its numbers.
        advice: str, what to change. Defaults to an empty text.
        direction: str, or None for a finding about the whole run. Defaults to None.
    """

    level: str
    text: str
    advice: str = ""
    direction: str | None = None


def diagnose(result=None, losses=(), metrics=(), best=None, model=None):
    """The findings from an evaluation and from the training before it.

    Args:
        result: dict of `evaluate_model`, or None without one. Defaults to None.
        losses: rows of `losses.csv`, dicts of names to floats. Defaults to none.
        metrics: rows of `metrics.csv`, dicts with `step` and scores. Defaults to none.
        best: dict of `best.json`, or None. Defaults to None.
        model: `TranslationModel`, whose `paired` and `adversaries` are used. Defaults to None.

    Returns:
        List of `Finding`, problems first.

    Example:
        >>> diagnose()
        []
    """
    adversaries = Adversaries() if model is None else model.adversaries
    paired = None if model is None else model.paired
    findings = [*_of_losses(losses, adversaries), *_of_progress(metrics, best)]
    for direction, found in (result or {"directions": {}})["directions"].items():
        findings += [
            dataclasses.replace(finding, direction=direction) for finding in _of_scores(found["scores"], paired)
        ]
    if result is not None:
        findings += _of_numbers(result)
    order = (PROBLEM, CAUTION, GOOD)
    return sorted(findings, key=lambda finding: order.index(finding.level))


# ---- the training ----


def _of_losses(losses, adversaries):
    """Findings from the losses of the last epochs."""
    recent = list(losses)[-LAST_EPOCHS:]
    if not recent:
        return
    names = [name for name in recent[-1] if name != "epoch"]
    broken = sorted(name for name in names if not math.isfinite(recent[-1][name]))
    if broken:
        yield Finding(PROBLEM, f"The losses {', '.join(broken)} are NaN or infinite", "Lower the learning rate.")
    else:
        yield from _of_adversaries(recent, adversaries)


def _of_adversaries(recent, adversaries):
    """Findings about the balance of generators and discriminators."""
    balanced = []
    for direction in ("ab", "ba"):
        losses = _mean_loss(recent, "discriminator", direction[1]), _mean_loss(recent, "adversarial", direction)
        verdict = adversaries.verdict(*losses, direction[1])
        if verdict:
            yield Finding(PROBLEM, verdict, CURES["won"], direction)
        elif verdict is not None:
            balanced.append(direction[1].upper())
    if balanced:
        where = f"domain {balanced[0]}" if len(balanced) == 1 else "either domain"
        yield Finding(GOOD, f"In the last epochs neither side has won in {where}")


def _mean_loss(rows, kind, suffix):
    """The mean of a loss over the rows that have it, or None."""
    name = f"{kind}_{suffix}"
    values = [row[name] for row in rows if row.get(name) is not None]
    return sum(values) / len(values) if values else None


def _of_progress(metrics, best):
    """A finding if the best score is of an early step."""
    rows = [row for row in metrics if row.get("step") is not None]
    if not best or len(rows) < 3:
        return
    last = rows[-1]
    now = score_of(last, best["score"])
    if now is None:
        return
    ratio = now / best["value"] if best["better"] == "lower" and best["value"] > 0 else None
    ratio = best["value"] / now if best["better"] == "higher" and now > 0 else ratio
    text = (
        f"{best['score']} was best at step {best['step']:,} ({best['value']:.4g}); at the last, {int(last['step']):,}, "
        f"it is {now:.4g}"
    )
    if best["step"] < EARLY * last["step"] and ratio is not None and ratio > MUCH_WORSE:
        advice = "Take checkpoints/best.keras, and train fewer epochs or with more images."
        yield Finding(CAUTION, text, advice)
    elif best["step"] == last["step"]:
        yield Finding(GOOD, f"{best['score']} is best at the last step, {best['step']:,} ({best['value']:.4g})")
    elif best["step"] >= EARLY * last["step"]:
        yield Finding(GOOD, f"{text}: it did not get worse with time")


# ---- the images ----


def _of_scores(scores, paired):
    yield from _of_answers(scores, unpaired=paired is False)
    if "diversity" in scores:
        yield from _of_diversity(scores["diversity"])
    if "change" in scores and is_told("unchanged", paired):
        yield from _of_change(scores["change"])
    if "luminance" in scores and is_told("inverted", paired):
        yield from _of_luminance(scores["luminance"])
    if "identity" in scores and not paired and scores["identity"]["value"] > IDENTITY:
        yield Finding(
            CAUTION,
            f"Images that are in the target domain already are changed by {scores['identity']['value']:.3f}",
            "If the tint of translations drifts, raise `lambda_identity`.",
        )


def _of_answers(scores, unpaired):
    """A finding that compares the error with the errors of trivial baselines.

    A model that learns without pairs cannot know which of many fitting answers is the right one: it comes only a little
    nearer than the input. So do models that learn the bundled drawings from pairs (`benchmarks/emoji_bound.py`).
    """
    found = scores.get("l1")
    trivial = {name: found[name] for name in ("of_input", "of_mean") if name in found} if found else {}
    if not trivial:
        return
    name = min(trivial, key=trivial.get)
    ratio = found["value"] / max(trivial[name], 1e-12)
    text = f"The error is {found['value']:.3f}, the error of {BASELINES[name]} {trivial[name]:.3f}"
    if ratio >= 1:
        yield Finding(
            PROBLEM,
            f"{text}: worse than a trivial baseline",
            "Train longer; if it does not fall from epoch to epoch, check that the domains of training and test match.",
        )
    elif ratio > CLOSE and unpaired:
        advice = "The model learned without pairs: look at the pictures, and at distances to real images (--features)."
        yield Finding(GOOD, f"{text}: {1 - ratio:.0%} less", advice)
        return
    elif ratio > CLOSE:
        yield Finding(CAUTION, f"{text}: little has been learned", "Train longer, or with more filters.")
    else:
        level = GOOD if ratio <= LEARNED else CAUTION
        yield Finding(level, f"{text}: {1 - ratio:.0%} less", "" if level == GOOD else "Train longer.")
    if ratio >= CLOSE:
        yield from _of_way_back(found, scores.get("cycle"))


def _of_way_back(found, cycle):
    """A finding if a wrong translation has a right way back, as in steganography."""
    if cycle and cycle["value"] < HIDDEN * found["value"]:
        yield Finding(
            PROBLEM,
            f"The way back is right ({cycle['value']:.3f}) though the translation is not ({found['value']:.3f}): the "
            "input is hidden in the translation",
            "Lower `lambda_cycle`, or strengthen the discriminators, so that a translation must look right.",
        )


def _of_diversity(record):
    references = [record[name] for name in ("inputs", "targets") if record[name] is not None]
    if record["value"] is None or not references:
        return
    compared = " and ".join(
        f"{record[name]:.3f} between {words}"
        for name, words in (("inputs", "inputs"), ("targets", "real images"))
        if record[name] is not None
    )
    text = f"two outputs differ by {record['value']:.3f} ({compared})"
    if is_collapsed(record["value"], references):
        yield Finding(PROBLEM, f"One output for everything: {text}", CURES["collapsed"])
    elif record["value"] >= 0.5 * min(references):
        yield Finding(GOOD, f"Outputs differ from one another: {text}")


def _of_change(record):
    if is_unchanged(record["value"] / 2, record["share_of_large_changes"]):
        yield Finding(PROBLEM, f"Outputs equal their inputs: the change is {record['value']:.3f}", CURES["unchanged"])


def _of_luminance(record):
    if is_inverted(record["value"]):
        text = f"Colors are inverted: brightness correlates by {record['value']:.2f}"
        yield Finding(PROBLEM, text, CURES["inverted"])


def _of_numbers(result):
    """Cautions about figures of few images."""
    records = [record for found in result["directions"].values() for record in found["scores"].items()]
    counts = [min(record["real"], record["translated"]) for name, record in records if name in ("fid", "frechet")]
    if counts and min(counts) < MANY_IMAGES:
        least, kernel = min(counts), "KID" if any(name == "fid" for name, _ in records) else "kernel distance"
        yield Finding(
            CAUTION,
            f"{METRICS['fid' if kernel == 'KID' else 'frechet'].label} of {least:,} images is biased upward (it needs "
            f"{MANY_IMAGES:,})",
            f"Compare it only with figures of the same number of images, or take the {kernel}.",
        )
    images = min(result["data"]["images"].values())
    if images < 30:
        yield Finding(CAUTION, f"{images} images are few: another choice of them gives other figures", "Take more.")


def score_of(row, name):
    """The score of a row by its name, or None; for a name without a direction it is the mean over the directions."""
    values = [row[key] for key in (name, f"{name}_ab", f"{name}_ba") if row.get(key) is not None]
    return sum(values) / len(values) if values else None
