#!/usr/bin/env python3
"""Pairs of images a second that the input pipeline alone feeds from JPEG files, beside the usual tf.data recipe.

    python benchmarks/input_pipeline.py --size 256 --step-seconds 1.5
    python benchmarks/input_pipeline.py --folder photos        # with trainA and trainB

Without `--folder` files are made: 100 images of smooth colored noise a domain. Each way reads, decodes, enlarges by an
eighth, crops and mirrors at random, in turns; nothing is cached. `--step-seconds` is what a training step takes
(train_step.py), which the pipeline should feed five times over.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
from PIL import Image

from tf_cyclegan import load_dataset


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="data set with trainA and trainB")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=200, help="pairs of a turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--step-seconds", type=float, help="seconds of a training step")
    return parser.parse_args()


def make_photos(folder, count=100, side=256):
    rng = np.random.default_rng(0)
    for domain in ("trainA", "trainB"):
        path = Path(folder, domain)
        path.mkdir()
        for index in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (side // 8, side // 8, 3), "uint8"))
            coarse.resize((side, side), Image.Resampling.BICUBIC).save(path / f"{index}.jpg", quality=90)
    return folder


def ours(folder, args):
    load_size = args.size * 9 // 8
    data = load_dataset(str(folder), image_size=args.size, load_size=load_size, batch_size=args.batch, cache="none")
    return data.repeat()


def recipe(folder, args):
    def prepared(path):
        image = tf.cast(tf.io.decode_jpeg(tf.io.read_file(path), 3), tf.float32) / 127.5 - 1
        image = tf.image.resize(image, [args.size * 9 // 8] * 2)
        return tf.image.random_flip_left_right(tf.image.random_crop(image, [args.size, args.size, 3]))

    def domain(name):
        files = sorted(str(path) for path in Path(folder, name).iterdir())
        data = tf.data.Dataset.from_tensor_slices(files).shuffle(len(files)).repeat()
        return data.map(prepared, num_parallel_calls=tf.data.AUTOTUNE).batch(args.batch).prefetch(tf.data.AUTOTUNE)

    return tf.data.Dataset.zip((domain("trainA"), domain("trainB")))


def rate(iterator, pairs, batch):
    start = time.perf_counter()
    for _ in itertools.islice(iterator, pairs // batch):
        pass
    return pairs // batch * batch / (time.perf_counter() - start)


def main(args, folder):
    iterators = {"tf_cyclegan": iter(ours(folder, args)), "tf.data recipe": iter(recipe(folder, args))}
    rates = {name: [] for name in iterators}
    for turn in range(args.turns + 1):
        for name, iterator in iterators.items():
            found = rate(iterator, args.pairs, args.batch)
            rates[name] += [found] if turn else []
    print(f"{args.size} pixels, batch {args.batch}, {args.turns} turns of {args.pairs} pairs")
    for name, found in rates.items():
        median = statistics.median(found)
        times = f", {median * args.step_seconds / args.batch:.0f} times what a step takes" if args.step_seconds else ""
        print(f"{name:16}{median:9.1f} pairs/s{times}")


if __name__ == "__main__":
    settings = arguments()
    with tempfile.TemporaryDirectory() as made:
        main(settings, settings.folder or make_photos(made))
