#!/usr/bin/env python3
"""Seconds from the start of `fit` to the end of its first training step, and of a later one: emoji, a ResNet.

    python benchmarks/first_step.py

Between them lie tracing and what TensorFlow does to the graph before it runs it.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

from tf_cyclegan import CycleGAN, load_dataset


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="pixels of a side")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=6)
    return parser.parse_args()


class Clock(keras.callbacks.Callback):
    """When each step came to its end."""

    def __init__(self):
        super().__init__()
        self.times = []

    def on_train_begin(self, logs=None):
        self.times.append(time.perf_counter())

    def on_train_batch_end(self, batch, logs=None):
        self.times.append(time.perf_counter())


def main(args):
    model = CycleGAN((args.size, args.size, 3), filters=args.filters, residual_blocks=args.blocks)
    model.compile()
    data = load_dataset("emoji", image_size=args.size, batch_size=args.batch)
    clock = Clock()
    started = time.perf_counter()
    model.fit(data.take(4), verbose=0, callbacks=[clock])
    steps = [end - start for start, end in zip(clock.times, clock.times[1:], strict=False)]
    print(f"first step {clock.times[1] - started:.1f} s after the start of fit, a later step {min(steps[1:]):.2f} s")


if __name__ == "__main__":
    main(arguments())
