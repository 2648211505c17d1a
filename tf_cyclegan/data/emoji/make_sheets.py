"""Makes the bundled emoji sheets. Run once by the authors: `python make_sheets.py FOLDER`.

FOLDER holds `flat`, `modern` and `high-contrast`, each with the same `NAME.png`: the SVGs of the npm package
`fluentui-emoji` 1.3.0 (Microsoft's Fluent Emoji, MIT) rendered at 64x64 pixels on white.

1. Near-duplicates go: of emoji that differ by less than `DUPLICATE` only the first name stays.
2. Near-copies form groups that never cross a split: emoji of one base name (`artist`, `man-artist`, `woman-artist`),
   and, transitively, emoji closer than `NEAR`.
3. About 100 test emoji are drawn from the groups that keep a distance of `APART` from everything outside them; the
   other groups are dealt to domain A and domain B of the training split, about half each.

Distances are mean absolute differences of the flat style at 16x16 pixels, with values in [0, 1]. One threshold for
2 and 3 would not do: under 0.08 the round faces and signs all chain into a single group of several hundred.
"""

import hashlib
import json
import pathlib
import re
import sys

import numpy as np
from PIL import Image

TILE, COLUMNS = 64, 36
DUPLICATE, NEAR, APART = 0.045, 0.05, 0.08
TEST_EMOJI = 100
STYLES = {"flat": "flat", "modern": "modern", "high-contrast": "lines"}
PEOPLE = (
    r"^(man|woman|person|people|older-person|old-man|old-woman|mr|mrs|mx|boy|girl|child)-|-(default|face|facing-right)$"
)


def base_name(name):
    """`man-artist-default` -> `artist`: what the variants of one emoji have in common."""
    while (shorter := re.sub(PEOPLE, "", name)) != name:
        name = shorter
    return name


def thumbnails(folder, names):
    small = [Image.open(folder / f"{name}.png").convert("RGB").resize((16, 16), Image.Resampling.BOX) for name in names]
    return np.stack([np.asarray(image, np.float32).ravel() / 255 for image in small])


def distances(vectors):
    return np.stack([np.abs(vectors - vector).mean(axis=1) for vector in vectors])


def without_duplicates(distance):
    kept = []
    for i in range(len(distance)):
        if all(distance[i, j] >= DUPLICATE for j in kept):
            kept.append(i)
    return kept


def connected(names, distance, threshold):
    """The group of each name: the smallest index it is linked to by base name or by distance."""
    bases = np.array([base_name(name) for name in names])
    linked = (distance < threshold) | (bases[:, None] == bases[None, :])
    group = np.arange(len(names))
    while True:
        lowest = np.where(linked, group[None, :], len(names)).min(axis=1)
        if (lowest == group).all():
            return group
        group = lowest


def assign_splits(names, distance):
    """`(groups, splits)` of all emoji."""
    groups = connected(names, distance, NEAR)
    apart = {g for g in set(groups) if (distance[groups == g][:, groups != g] >= APART).all()}
    order = sorted(set(groups), key=lambda g: hashlib.sha256(names[g].encode()).hexdigest())
    sizes, splits = {"train_a": 0, "train_b": 0, "test": 0}, {}
    for group in order:
        size = int((groups == group).sum())
        if group in apart and size <= 3 and sizes["test"] + size <= TEST_EMOJI:
            splits[group] = "test"
            sizes["test"] += size
    # The largest first, each to the smaller side, leaves the two sides even.
    for group in sorted((g for g in order if g not in splits), key=lambda g: -(groups == g).sum()):
        splits[group] = min(("train_a", "train_b"), key=sizes.get)
        sizes[splits[group]] += int((groups == group).sum())
    return groups, [splits[group] for group in groups]


def write_sheet(path, folder, names):
    rows = -(-len(names) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, rows * TILE), "white")
    for i, name in enumerate(names):
        sheet.paste(Image.open(folder / f"{name}.png").convert("RGB"), (i % COLUMNS * TILE, i // COLUMNS * TILE))
    # Lossless WebP: 4.5 MB for the three sheets; PNG takes 6.9 MB.
    sheet.save(path.with_suffix(".webp"), lossless=True, quality=100, method=6, exact=True)


def main(source):
    source, target = pathlib.Path(source), pathlib.Path(__file__).parent
    names = sorted(path.stem for path in (source / "flat").glob("*.png"))
    distance = distances(thumbnails(source / "flat", names))
    kept = without_duplicates(distance)
    names, distance = [names[i] for i in kept], distance[np.ix_(kept, kept)]
    groups, splits = assign_splits(names, distance)
    for folder, sheet in STYLES.items():
        write_sheet(target / sheet, source / folder, names)
    entries = [{"name": n, "group": names[g], "split": s} for n, g, s in zip(names, groups, splits, strict=True)]
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    (target / "names.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main(sys.argv[1])
