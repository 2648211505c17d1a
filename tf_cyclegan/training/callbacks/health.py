"""Reports in plain language when training goes wrong, and stops it when losses are NaN or infinite."""

import logging
import math

import keras
import numpy as np

from tf_cyclegan.evaluation.verdicts import CURES, image_verdicts, is_told
from tf_cyclegan.settings.checks import check_integer
from tf_cyclegan.training.callbacks.samples import checked_samples, translate_each

FEW_IMAGES = 500  # of a domain: below, a discriminator soon knows them by heart


class TrainingDiverged(RuntimeError):
    """A loss became NaN or infinite: the weights are lost, and training on would only overwrite good checkpoints."""


class Health(keras.callbacks.Callback):
    """Watches losses and a few translations, and reports known failures with their cure.

    After each epoch it checks, for each direction, by the rules of `verdicts`: whether the discriminator tells every
    image apart (by the model's `adversaries`), whether outputs equal inputs, whether all outputs are alike, and whether
    light and dark are exchanged. For models of pairs, whose data decide what changes, it checks the first and the third
    only. It reports a failure that lasts for `patience` epochs, and again every 10 epochs. After each step it checks
    that all losses are finite.

    Args:
        images_a: float array `(count, height, width, channels)` in [-1, 1], samples of domain A; 4 to 8 are enough.
        images_b: as many samples of domain B; None only for a model that translates from A alone.
        names: callable `step -> (names of A, names of B)`, the files of a batch, for the error about a NaN; steps count
            from 0. Defaults to None.
        report: callable that shows one line. Defaults to a warning of the logger `tf_cyclegan`.
        patience: int, epochs that a failure lasts before it is reported. Defaults to 3.
        images: pair of ints, the numbers of training images in A and B; for few images, `augment` is reported as a
            cure. Defaults to None, unknown.

    Raises:
        ValueError: if the numbers of images differ or are 0, or `patience` is below 1.
        TrainingDiverged: from `fit`, if a loss is NaN or infinite.

    Example:
        >>> model.fit(dataset, epochs=9, callbacks=[Health(images_a, images_b)])  # doctest: +SKIP
    """

    def __init__(self, images_a, images_b, names=None, report=None, patience=3, images=None):
        super().__init__()
        self.images_a, self.images_b = checked_samples(images_a, images_b)
        check_integer("patience", patience, 1)
        self.names = names
        self.report = report or logging.getLogger("tf_cyclegan").warning
        self.patience = patience
        self.images = images
        self._lasting = {}

    def on_train_batch_end(self, batch, logs=None):
        broken = sorted(name for name, value in (logs or {}).items() if not math.isfinite(value))
        if broken:
            step = int(self.model.step.numpy()) - 1
            raise TrainingDiverged(diverged_message(step, broken, self.names and self.names(step)))

    def on_epoch_end(self, epoch, logs=None):
        if self.model.stop_training:
            return  # the epoch is cut short: its means are of a few steps
        findings = {}
        for direction in self.model.directions:
            findings.update(self._loss_findings(direction, logs or {}))
            findings.update(self._image_findings(direction))
        self._report(findings)

    def _report(self, findings):
        self._lasting = {key: self._lasting.get(key, 0) + 1 for key in findings}
        for (kind, direction), text in findings.items():
            epochs = self._lasting[kind, direction]
            if epochs >= self.patience and (epochs - self.patience) % 10 == 0:
                duration = f" for {epochs} epochs" if epochs > 1 else ""
                self.report(f"{text}{duration}. {self._cure(kind, direction)}")

    def _cure(self, kind, direction):
        images = None if self.images is None else dict(zip("ab", self.images, strict=True))[direction[-1]]
        if kind != "won" or images is None or images >= FEW_IMAGES or getattr(self.model, "augment", None) != ():
            return CURES[kind]
        return (
            f"{CURES[kind]} Domain {direction[-1].upper()} has {images} images, which it may know by heart: begin a "
            "run with --augment=color,translation,cutout."
        )

    def _loss_findings(self, direction, logs):
        losses = _loss(logs, "discriminator", direction[-1]), _loss(logs, "adversarial", direction)
        verdict = self.model.adversaries.verdict(*losses, direction[-1])
        return {("won", direction): verdict} if verdict else {}

    def _image_findings(self, direction):
        forward = direction == "ab"
        inputs, targets = (self.images_a, self.images_b) if forward else (self.images_b, self.images_a)
        if inputs is None:
            return {}
        outputs = translate_each(self.model, inputs, direction)
        where = f"{direction[0].upper()} to {direction[1].upper()}"
        texts = {
            "unchanged": f"From {where}, the output has equaled the input",
            "collapsed": f"From {where}, there has been one output for everything",
            "inverted": f"From {where}, colors have been inverted",
        }
        verdicts = image_verdicts(inputs, outputs, targets)
        return {(kind, direction): texts[kind] for kind in verdicts if is_told(kind, self.model.paired)}


def diverged_message(step, losses, names=None):
    """The error that a user sees when a loss is NaN or infinite.

    Args:
        step: int, the training step, counted from 0.
        losses: list of str, the losses that are NaN or infinite.
        names: optional pair of lists, the files of the batch.

    Returns:
        str of a few lines.
    """
    lines = [f"Training diverged at step {step} (counted from 0): NaN or infinite in {', '.join(losses)}."]
    for domain, files in zip("AB", names or (), strict=False):
        lines.append(f"The batch of domain {domain}: {', '.join(map(str, files))}.")
    lines += [
        "What to do: look at these images first (one flat color is a usual cause), then resume from the last",
        "checkpoint with a lower learning rate. In mixed_float16, try float32 or mixed_bfloat16.",
    ]
    return "\n".join(lines)


def _loss(logs, kind, suffix):
    """The loss of `kind` for this domain or direction; without such a loss, the mean of all losses of `kind`."""
    if f"{kind}_{suffix}" in logs:
        return logs[f"{kind}_{suffix}"]
    values = [value for name, value in logs.items() if name.startswith(kind)]
    return float(np.mean(values)) if values else None
