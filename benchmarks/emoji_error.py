#!/usr/bin/env python3
"""How far a run on the bundled emoji is from the right answers of the test split, and a picture of it.

    python benchmarks/emoji_error.py runs/emoji --features mobilenet_v2.keras --grid emoji.png

The error is the mean absolute difference on values in [-1, 1], beside those of two answers that nobody has to learn:
the input itself, and the mean of all training images of the target domain. With `--features` the kernel distance
between translations and real drawings stands beside that of the input. It is not KID, which takes Inception's features.
"""

import argparse
import hashlib
import json
import statistics
from pathlib import Path

import numpy as np

from tf_cyclegan.data import bundled, images, open_dataset
from tf_cyclegan.metrics import feature_extractor, kernel_distance
from tf_cyclegan.settings.data import DataSettings, View
from tf_cyclegan.weights.run_files import load_newest

HELD_OUT = 100
# A group of near-copies that is larger tells more of its like than of all.
LARGEST_HELD_OUT_GROUP = 3


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder")
    parser.add_argument("--features", help="features of the kernel distance: FILE.keras")
    parser.add_argument("--grid", help="PNG to write: inputs, translations, for one direction right answers")
    parser.add_argument("--rows", type=int, default=8, help="emoji in the picture")
    return parser.parse_args()


def main():
    args = arguments()
    model, path, _ = load_newest(f"{args.run}/checkpoints")
    name = json.loads(Path(args.run, "config.json").read_text())["dataset"]
    domains, train = (all_drawings(name, split, model.image_shape[:2]) for split in ("test", "train"))
    means = {key: drawings.mean(0) for key, drawings in train.items()}
    print(f"{path}, {len(domains['a'])} test emoji of {name}")
    print(f"{'':8}{'error':>8}{'of the input':>14}{'ratio':>8}{'of the mean':>14}{'ratio':>8}")
    columns = []
    for direction in model.directions:
        source, target = (domains[key] for key in direction)
        output = translations(model, source, direction)
        error, of_input, of_mean = (mean_error(x, target) for x in (output, source, means[direction[1]]))
        print(f"{direction:8}{error:8.4f}{of_input:14.4f}{error / of_input:8.3f}{of_mean:14.4f}{error / of_mean:8.3f}")
        columns += [source, output] if len(model.directions) == 2 else [source, output, target]
    if args.features:
        show_distances(scores(model, Measure(domains, args.features)))
    if args.grid:
        images.save_png(args.grid, grid(columns, args.rows))


def show_distances(found):
    for direction, each in found.items():
        of_input = each["distance_of_input"]
        print(f"{direction}: kernel distance {each['distance']:.4f}, {each['distance'] / of_input:.2f} of the input's")


# ---- drawings ----


def all_drawings(name, split, image_size):
    """All images of a split of a data set, float32 in [-1, 1], by the letters of the domains."""
    data = open_dataset(DataSettings(dataset=name, image_size=image_size, batch_size=1), View(split))
    return dict(zip("ab", data.samples(max(data.counts)), strict=True))


def pairs(indices):
    """Both drawings of emoji, flat and shaded, float32 in [-1, 1], by the letters of the domains."""
    sheets = zip("ab", bundled.STYLES["emoji"], strict=True)
    return {key: bundled.read_sheet(style)[indices].astype("float32") / 127.5 - 1 for key, style in sheets}


def indices_of(splits):
    return [index for index, entry in enumerate(bundled.read_names()) if entry["split"] in splits]


def held_out():
    """About 100 of the training emoji on which settings are chosen, so that the test emoji judge what was chosen."""
    groups = {}
    for index in indices_of({"train_a", "train_b"}):
        groups.setdefault(bundled.read_names()[index]["group"], []).append(index)
    chosen = []
    for group in sorted(groups, key=lambda name: hashlib.sha256(f"v{name}".encode()).hexdigest()):
        fits = len(chosen) + len(groups[group]) <= HELD_OUT
        chosen += groups[group] if len(groups[group]) <= LARGEST_HELD_OUT_GROUP and fits else []
    return chosen


# ---- scores ----


class Measure:
    """The drawings on which models are measured.

    Args:
        domains: dict of float arrays by the letters of the domains, the drawings of one emoji in the same place.
        features: file of the kernel distance's features, or None to measure the error alone.
    """

    def __init__(self, domains, features=None):
        self.domains = domains
        self.extractor = feature_extractor(features) if features else None
        self.real = {key: self.features(drawings) for key, drawings in domains.items()} if features else {}

    def features(self, drawings):
        return self.extractor(images.to_uint8(drawings))

    def distance(self, features, domain):
        found, _ = kernel_distance(self.real[domain], features, subsets=1, subset_size=len(features))
        return float(found)


def scores(model, measure):
    """Error and, with features, kernel distance of each direction of a model, and those of the input itself."""
    found = {}
    for direction in model.directions:
        source, target = (measure.domains[key] for key in direction)
        output = translations(model, source, direction)
        each = {"error": mean_error(output, target), "error_of_input": mean_error(source, target)}
        if measure.extractor:
            each["distance"] = measure.distance(measure.features(output), direction[1])
            each["distance_of_input"] = measure.distance(measure.real[direction[0]], direction[1])
        found[direction] = {name: round(float(value), 5) for name, value in each.items()}
    return found


def summary(results):
    """One line: the scores over those of the input, mean and range over seeds.

    Args:
        results: list of what `scores` gives, one a seed.
    """
    cells = []
    for direction in results[0]:
        for name in ("error", "distance"):
            if name in results[0][direction]:
                ratios = [each[direction][name] / each[direction][f"{name}_of_input"] for each in results]
                mean, low, high = statistics.mean(ratios), min(ratios), max(ratios)
                cells.append(f"{name} {direction} {mean:.3f} ({low:.3f} to {high:.3f})")
    return ", ".join(cells)


def translations(model, source, direction):
    """What `model.translate` answers to the images one by one, for no image's answer to depend on the others."""
    return np.concatenate([np.asarray(model.translate(image[None], direction)) for image in source])


def add_shared_flags(parser, results):
    """The flags of what trains models of its own and measures them, one line of `results` a run."""
    add = parser.add_argument
    add("--features", help="features of the kernel distance: FILE.keras")
    add("--results", type=Path, default=results, help="a line a run; what it holds is not made again (%(default)s)")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(0 1 2)")
    add("--precision", default="float32", choices=("float32", "bfloat16"), help="(%(default)s)")


def add_emoji_flags(parser, results):
    """The shared flags, and the flag of what measures on emoji."""
    add_shared_flags(parser, results)
    help_text = "measure on a part of the training emoji, not on the test emoji"
    parser.add_argument("--held-out", action="store_true", help=help_text)


def recorded(results, key, make):
    """The scores of a run: those that the file holds for its key, or those of the line that `make()` gives, kept."""
    lines = results.read_text().splitlines() if results.exists() else []
    for line in map(json.loads, lines):
        if line["key"] == key:
            return line["scores"]
    line = {"key": key, **make()}
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a") as file:
        file.write(json.dumps(line) + "\n")
    return line["scores"]


def mean_error(output, target):
    return np.abs(output - target).mean()


def grid(columns, rows):
    """Two blocks of rows beside each other, spread over the test split."""
    chosen = np.linspace(0, len(columns[0]) - 1, 2 * rows).astype(int)
    tiles = [[images.to_uint8(column[index]) for column in columns] for index in chosen]
    return images.image_grid([left + right for left, right in zip(tiles[:rows], tiles[rows:], strict=True)])


if __name__ == "__main__":
    main()
