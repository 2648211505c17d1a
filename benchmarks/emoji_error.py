#!/usr/bin/env python3
"""How far a run on the bundled emoji is from the right answers of the test split, and a picture of it.

    python benchmarks/emoji_error.py runs/emoji --grid emoji.png

The error is the mean absolute difference on values in [-1, 1], beside that of the input itself.
"""

import argparse

import numpy as np

from tf_cyclegan import images
from tf_cyclegan.callbacks import load_newest
from tf_cyclegan.data import open_dataset


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder")
    parser.add_argument("--grid", help="PNG to write: input, translation, right answer, both ways")
    parser.add_argument("--rows", type=int, default=8, help="emoji in the picture")
    return parser.parse_args()


def main():
    args = arguments()
    model, path, _ = load_newest(f"{args.run}/checkpoints")
    flat, modern = open_dataset("emoji", split="test", image_size=model.image_shape[:2]).samples(100)
    to_modern, to_flat = (
        np.concatenate([np.asarray(model.translate(image[None], direction)) for image in domain])
        for domain, direction in ((flat, "ab"), (modern, "ba"))
    )
    base = np.abs(flat - modern).mean()
    print(f"{path}, {len(flat)} test emoji")
    print(f"{'':16}{'error':>8}{'of the input':>14}{'ratio':>8}")
    for name, output, answer in (("flat to modern", to_modern, modern), ("modern to flat", to_flat, flat)):
        error = np.abs(output - answer).mean()
        print(f"{name:16}{error:8.4f}{base:14.4f}{error / base:8.3f}")
    if args.grid:
        chosen = np.linspace(0, len(flat) - 1, 2 * args.rows).astype(int)
        columns = [flat, to_modern, modern, to_flat]
        tiles = [[images.to_uint8(column[index]) for column in columns] for index in chosen]
        rows = [left + right for left, right in zip(tiles[: args.rows], tiles[args.rows :], strict=True)]
        images.save_png(args.grid, images.image_grid(rows))


if __name__ == "__main__":
    main()
