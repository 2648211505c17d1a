"""FIDs of CycleGAN's official weights, for comparison: the same images, their number and the resize rule must agree."""

SOURCE = "Published figures are of the official weights on the whole test split (tables of MMGeneration and clean-fid)."
_WITH, _WITHOUT = "published, identity loss 0.5", "published, no identity loss"
# Data set and direction to resize rule to the figures.
_FIDS = {
    ("cycle_gan/horse2zebra", "ab"): {
        "legacy_pytorch": {_WITH: 62.11, _WITHOUT: 77.20},
        "clean": {_WITHOUT: 75.17},
    },
    ("cycle_gan/horse2zebra", "ba"): {"legacy_pytorch": {_WITH: 138.65, _WITHOUT: 137.05}},
    ("cycle_gan/summer2winter_yosemite", "ab"): {"legacy_pytorch": {_WITHOUT: 77.34}},
    ("cycle_gan/summer2winter_yosemite", "ba"): {"legacy_pytorch": {_WITHOUT: 72.63}},
}


def published_fids(data, direction, resize):
    """What others have measured where the images are the same.

    Args:
        data: dict of `Evaluator.describe()`.
        direction: str.
        resize: str, the resize rule.

    Returns:
        Dict of a label to a FID, empty where there is none to compare with.
    """
    whole = data["split"] == "test" and data["images"] == data["of"] and data["image_size"] == [256, 256]
    return dict(_FIDS.get((data["name"], direction), {}).get(resize, {})) if whole else {}
