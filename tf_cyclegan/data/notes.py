"""What people are told of a data set: one line on all of it, and notes on images that are not taken as they are."""

from collections.abc import Sequence

from tf_cyclegan.data.cache import DecodedImages
from tf_cyclegan.data.transforms import Sizing
from tf_cyclegan.data.value_ranges import notes_on

# An image that is enlarged more often than this is little more than a color.
ENLARGED = 4


def sizes_text(image_size: tuple[int | None, int | None], sizing: Sizing, training: bool) -> str:
    """The size of the images in batches, and the size that they are cropped from."""
    height, width = image_size
    if height is None:
        return "of differing sizes"
    text = f"of {height}x{width} pixels"
    if training and sizing.mode == "resize_and_crop" and sizing.load_size != sizing.image_size:
        text += f" (cropped from {sizing.load_size[0]}x{sizing.load_size[1]})"
    return text


def pages_notes(domains: Sequence[DecodedImages]) -> tuple[str, ...]:
    """A note on files of several pages, of which only the first page is read."""
    pages = {domain.images.names[i]: n for domain in domains for i, n in enumerate(domain.pages) if n > 1}
    if not pages:
        return ()
    name, number = next(iter(pages.items()))
    files = "files have" if len(pages) != 1 else "file has"
    return (f"{len(pages):,} {files} several pages, of which the first is taken: page 1 of {number} of {name}",)


def enlarged_notes(domains: Sequence[DecodedImages]) -> list[str]:
    """A note on images that are enlarged more than `ENLARGED` times."""
    factors = [
        (target / side, domain.images.names[i], size)
        for domain in domains
        for i, size in domain.sizes.items()
        for target, side in zip(domain.targets[i], size, strict=True)
        if target > ENLARGED * side
    ]
    if not factors:
        return []
    _, name, (height, width) = max(factors)
    count = len({name for _, name, _ in factors})
    verb = "s are" if count != 1 else " is"
    return [f"{count:,} image{verb} enlarged more than {ENLARGED} times, most of all {name} of {height}x{width} pixels"]


def range_notes(domains: Sequence[DecodedImages], advise: bool = True) -> list[str]:
    """A note for each domain whose images hardly use their range of values, or are clipped by it.

    Args:
        domains: A and B.
        advise: whether to name a better range. A model that was trained with this range has no better one. Defaults
            to `True`.
    """
    arguments = ("value_range", "value_range_b")
    notes = [notes_on(d.use, name if advise else None) for d, name in zip(domains, arguments, strict=True)]
    return [f"Domain {label} has {note}." for label, found in zip("AB", notes, strict=True) for note in found]
