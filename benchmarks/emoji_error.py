#!/usr/bin/env python3
"""How far a run on the bundled emoji is from the right answers of the test split, and a picture of it.

    python benchmarks/emoji_error.py runs/emoji --grid emoji.png

The error is the mean absolute difference on values in [-1, 1], beside those of two answers that nobody has to learn:
the input itself, and the mean of all training images of the target domain.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from tf_cyclegan import images
from tf_cyclegan.callbacks import load_newest
from tf_cyclegan.data import open_dataset


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder")
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
    if args.grid:
        images.save_png(args.grid, grid(columns, args.rows))


def all_drawings(name, split, image_size):
    """All emoji of a split in both styles, float32 in [-1, 1], by the letters of the domains."""
    data = open_dataset(name, split=split, image_size=image_size)
    return dict(zip("ab", data.samples(max(data.counts)), strict=True))


def translations(model, source, direction):
    """What `model.translate` answers to the images one by one, for no image's answer to depend on the others."""
    return np.concatenate([np.asarray(model.translate(image[None], direction)) for image in source])


def mean_error(output, target):
    return np.abs(output - target).mean()


def grid(columns, rows):
    """Two blocks of rows beside each other, spread over the test split."""
    chosen = np.linspace(0, len(columns[0]) - 1, 2 * rows).astype(int)
    tiles = [[images.to_uint8(column[index]) for column in columns] for index in chosen]
    return images.image_grid([left + right for left, right in zip(tiles[:rows], tiles[rows:], strict=True)])


if __name__ == "__main__":
    main()
