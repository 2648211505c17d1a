#!/usr/bin/env python3
"""How long a training step waits for a checkpoint, saved by `model.save` and in the background.

    python benchmarks/checkpointing.py --image-size 64 --rounds 5 --steps 4

One process trains a CycleGAN of the paper's width. In each round it takes `--steps` steps without a checkpoint, as
many after a blocking one and as many after one in the background, in changing order, so that all meet the same noise.
"waits" is how long training stood still; "round" the time of the checkpoint and the steps after it relative to steps
without one, which includes what the writing thread takes from them. Both are medians over the rounds. Peak memory is
what comes on top of what the process had before.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import psutil

from tf_cyclegan import CycleGAN
from tf_cyclegan.training.callbacks import Checkpoints

KINDS = ("none", "blocking", "background")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--residual-blocks", type=int, default=9)
    parser.add_argument("--steps", type=int, default=4, help="steps after each checkpoint")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--interval", type=int, default=500, help="steps between checkpoints, for the share of a run")
    return parser.parse_args()


class PeakMemory:
    """The most memory that the process has within the block, in GB above what it had before."""

    def __enter__(self):
        self._process, self._ended = psutil.Process(), threading.Event()
        self._before = self._peak = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        self.gb = (self._peak - self._before) / 1e9

    def _watch(self):
        while not self._ended.wait(0.01):
            self._peak = max(self._peak, self._process.memory_info().rss)


def one_round(kind, model, step, steps, folder):
    """Seconds that training waits, seconds of the round, seconds until the file is there, GB."""
    checkpoints = Checkpoints(folder, keep=1, background=True)
    checkpoints.set_model(model)
    save = {
        "none": lambda: None,
        "blocking": lambda: model.save(os.path.join(folder, "blocking.keras")),
        "background": checkpoints.save_beside_training,
    }[kind]
    with PeakMemory() as memory:
        began = time.perf_counter()
        save()
        waited = time.perf_counter() - began
        for _ in range(steps):
            step()
        ended = time.perf_counter()
        checkpoints.wait()
        written = time.perf_counter()
    return {"waited": waited, "round": ended - began, "written": written - began, "gb": memory.gb}


def measure(args, model, step, folder):
    found = {kind: [] for kind in KINDS}
    for number in range(args.rounds + 1):
        for kind in KINDS[number % 3 :] + KINDS[: number % 3]:
            result = one_round(kind, model, step, args.steps, folder)
            if number:  # the first warms up
                found[kind].append(result)
    return found


def median(results, name):
    return statistics.median(result[name] for result in results)


def main(args):
    size = args.image_size
    model = CycleGAN((size, size, 3), filters=args.filters, residual_blocks=args.residual_blocks)
    model.compile()
    batch = [np.random.RandomState(seed).uniform(-1, 1, (1, size, size, 3)).astype("float32") for seed in (0, 1)]

    def step():
        model.train_on_batch(*batch)

    for _ in range(3):
        step()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(args, model, step, folder)
        megabytes = os.path.getsize(os.path.join(folder, "blocking.keras")) / 1e6
    plain = median(found["none"], "round") / args.steps
    print(
        f"{size} pixels, {args.filters} filters, {args.residual_blocks} blocks: {megabytes:.0f} MB, step {plain:.2f} s"
    )
    table(found, plain, args)


def table(found, plain, args):
    share = f"of {args.interval} steps"
    print(f"{'checkpoint':12}{'waits':>9}{'of a step':>11}{share:>14}{'round':>8}{'peak':>10}")
    for kind in KINDS:
        waited, slower = median(found[kind], "waited"), median(found[kind], "round") / (plain * args.steps)
        shares = f"{waited / plain:11.1%}{waited / plain / args.interval:14.3%}"
        print(f"{kind:12}{waited:7.3f} s{shares}{slower:8.2f}{median(found[kind], 'gb'):7.2f} GB")
    ratio = median(found["blocking"], "waited") / median(found["background"], "waited")
    print(f"training waits {ratio:.0f} times as long for the blocking one")
    print(f"the file of the background one is there after {median(found['background'], 'written'):.1f} s")


if __name__ == "__main__":
    main(arguments())
