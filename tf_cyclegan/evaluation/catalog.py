"""The metrics by name, and the FIDs that papers publish."""

import dataclasses

from tf_cyclegan.settings.checks import check_choice

SOURCE = "Published figures are of the official weights on the whole test split (tables of MMGeneration and clean-fid)."
_WITH, _WITHOUT = "published, identity loss 0.5", "published, no identity loss"
# The published FIDs: by data set and direction, then by resize rule.
_FIDS = {
    ("cycle_gan/horse2zebra", "ab"): {
        "legacy_pytorch": {_WITH: 62.11, _WITHOUT: 77.20},
        "clean": {_WITHOUT: 75.17},
    },
    ("cycle_gan/horse2zebra", "ba"): {"legacy_pytorch": {_WITH: 138.65, _WITHOUT: 137.05}},
    ("cycle_gan/summer2winter_yosemite", "ab"): {"legacy_pytorch": {_WITHOUT: 77.34}},
    ("cycle_gan/summer2winter_yosemite", "ba"): {"legacy_pytorch": {_WITHOUT: 72.63}},
}


@dataclasses.dataclass(frozen=True)
class Metric:
    """A kind of score.

    Args:
        label: str, its name in tables and reports.
        better: `"lower"`, `"higher"`, or None if neither is better.
        rule: str, how it is computed, in a sentence or two.
        digits: int, digits after the point, or None for four digits in all. Defaults to 3.
    """

    label: str
    better: str | None
    rule: str
    digits: int | None = 3


_UNITS = "in the units of [-1, 1]; times 127.5 it is in levels of 255"
_FRECHET = "Distance between the normal distributions of features of real and translated images."
_LABELS = (
    "A segmenter finds the classes in translations of label maps; in translations to label maps the nearest colors of "
    "the palette tell the classes. The pixels of all images are counted together"
)
_KERNEL = "Unbiased squared distance of features under a cubic kernel; the mean and deviation over random subsets."

METRICS = {
    "fid": Metric("FID", "lower", f"{_FRECHET} It falls with the number of images: compare at the same number.", 2),
    "kid": Metric("KID", "lower", f"{_KERNEL} Its mean does not depend on the number of images.", 5),
    "frechet": Metric("Fréchet distance", "lower", f"{_FRECHET} Not an FID: the features are not Inception's.", None),
    "kernel": Metric("Kernel distance", "lower", f"{_KERNEL} Not a KID: the features are not Inception's.", None),
    "l1": Metric("L1 to the right answer", "lower", f"Mean absolute difference, {_UNITS}."),
    "psnr": Metric("PSNR", "higher", "Decibels, peak 2 on [-1, 1]; the mean over images that are not equal.", 2),
    "ssim": Metric("SSIM", "higher", "Gaussian window of 11x11, sigma 1.5, on values in [0, 1]."),
    "perceptual": Metric(
        "Perceptual distance",
        "lower",
        "Difference of VGG19's features scaled to length 1. Not LPIPS, which is weighted.",
    ),
    "pixel_accuracy": Metric("Pixel accuracy", "higher", f"Share of pixels whose class is right. {_LABELS}."),
    "class_accuracy": Metric(
        "Class accuracy", "higher", f"Share of a class's pixels that are found, the mean over classes. {_LABELS}."
    ),
    "class_iou": Metric(
        "Class IoU", "higher", f"Intersection over union of a class, the mean over classes. {_LABELS}."
    ),
    "cycle": Metric("Cycle error", "lower", f"Mean absolute difference after a translation there and back, {_UNITS}."),
    "identity": Metric(
        "Identity distance", "lower", f"Mean absolute change of images that are in the target domain already, {_UNITS}."
    ),
    "change": Metric("Change of the input", None, f"Mean absolute difference of input and translation, {_UNITS}."),
    "diversity": Metric(
        "Difference between outputs", None, "Mean absolute difference of two translations, at 64x64 pixels at most."
    ),
    "luminance": Metric(
        "Luminance correlation",
        None,
        "Of the brightness of input and translation; below 0 light and dark are exchanged.",
    ),
}
# Distances of features, and their names with other features than Inception's.
DISTANCES = {"fid": "frechet", "kid": "kernel", "frechet": "frechet", "kernel": "kernel"}
# The metrics that need the right answers, and those that need label maps.
OF_ANSWERS = ("l1", "psnr", "ssim", "perceptual")
OF_LABELS = ("pixel_accuracy", "class_accuracy", "class_iou")
# Trivial answers, whose errors a model must beat.
BASELINES = {"of_input": "the input itself", "of_mean": "the mean training image"}


def number_text(value, metric):
    """A value of a metric as text, empty for None."""
    if value is None:
        return ""
    digits = METRICS[metric].digits
    return f"{value:#.4g}".removesuffix(".") if digits is None else f"{value:.{digits}f}"


def parse_metrics(text):
    """The names of metrics from a text with commas between them, or None for all.

    Raises:
        ValueError: if a name is unknown, or there is none.
    """
    if text is None:
        return None
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    if not names:
        raise ValueError(f"`metrics` must name at least one of {', '.join(METRICS)}. Received: metrics={text!r}")
    for name in names:
        check_choice("metrics", name, METRICS)
    return names


def published_fids(data, direction, resize):
    """The published FIDs of a direction, if the evaluation is of the same images.

    Args:
        data: dict of `Evaluator.describe()`.
        direction: str.
        resize: str, the resize rule.

    Returns:
        Dict of labels to FIDs, empty if there is none to compare with.
    """
    whole = data["split"] == "test" and data["images"] == data["of"] and data["image_size"] == [256, 256]
    return dict(_FIDS.get((data["name"], direction), {}).get(resize, {})) if whole else {}
