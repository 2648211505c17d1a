#!/usr/bin/env python3
"""Kills training at random moments, resumes it each time, and compares what comes out with a run that never stopped.

    python benchmarks/kill_and_resume.py --model cyclegan --kills 20
    python benchmarks/kill_and_resume.py --model unit --kills 3 --precision bfloat16

Tiny networks are trained by the command line on noise of 32 pixels and killed by SIGKILL: two times in five while a
checkpoint is being written, two in five at any moment after the first new checkpoint, and one in five at any moment of
the start. At the end all that the last checkpoint holds (networks, both optimizers, pools, random states, step) must be
equal bit for bit to that of one whole run.
"""

import argparse
import collections
import io
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SMALL = "--image-size=32 --filters=4 --discriminator-filters=4 --samples=1 --epochs=100 --keep-checkpoints=2".split()
MODELS = {
    "cyclegan": "--residual-blocks=1 --pool-size=5".split(),
    "pix2pix": "--downsamplings=3 --pool-size=5".split(),
    "pix2pixhd": "--downsamplings=1 --residual-blocks=1 --discriminator-layers=1 --pool-size=5 "
    "--lambda-perceptual=0".split(),
    "unit": "--residual-blocks=1 --scales=1 --discriminator-layers=2 --pool-size=5".split(),
}
IMAGES = 40
# Steps from one checkpoint to the next, which epochs of 40 steps do not divide into; and of the run, for each kill.
CHECKPOINT_STEPS, STEPS_A_KILL = 15, 40
MOMENTS = ("writing", "writing", "training", "training", "starting")


def arguments(flags=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="cyclegan")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", help="where runs are kept; a temporary one where it is left out")
    return parser.parse_args(flags)


def write_images(folder):
    """Pairs of noise of the same names, which models without pairs take as well."""
    draw = np.random.RandomState(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for index in range(IMAGES + 1):  # one is held out
            pixels = draw.randint(0, 256, (36, 36, 3), "uint8")
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return [f"--data-a={folder / 'a'}", f"--data-b={folder / 'b'}", "--test-share=0.02"]


def train_flags(args, data, output):
    steps = [f"--steps={STEPS_A_KILL * (args.kills + 1)}", f"--checkpoint-steps={CHECKPOINT_STEPS}"]
    of_model = [f"--model={args.model}", f"--precision={args.precision}", "--evaluate-every=0", *MODELS[args.model]]
    return ["train", *data, f"--output-dir={output}", *SMALL, *of_model, *steps]


def start(flags):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "tf_cyclegan", *flags]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run_whole(flags):
    """Trains to the end in a process of its own."""
    process = start(flags)
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"training ended with code {process.returncode}:\n{output}")


def kill_at(moment, flags, checkpoints, draw):
    """Starts training and kills it.

    Returns:
        What it was killed at, `"writing"` only if there is a half-written file; None if the run came to its end.
    """
    before = newest(checkpoints)
    process = start(flags)
    try:
        if moment == "starting":
            wait(process, draw.uniform(0, 10))
        else:
            wait(process, 300, lambda: newest(checkpoints) != before)
            if moment == "writing":
                wait(process, 300, lambda: written(checkpoints))
                time.sleep(draw.uniform(0, 0.05))
            else:
                wait(process, draw.uniform(0, 1))
        process.kill()
    finally:
        process.kill()
        output, _ = process.communicate()
    if process.returncode >= 0:
        if process.returncode:
            raise SystemExit(f"training ended with code {process.returncode}:\n{output}")
        return None
    return "writing" if written(checkpoints) else "starting" if newest(checkpoints) == before else "training"


def wait(process, seconds, condition=lambda: False):
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end and not condition():
        time.sleep(0.002)


def newest(checkpoints):
    return max(checkpoints.glob("step_*.keras"), default=None)


def written(checkpoints):
    """Whether there is a file that is not whole yet."""
    return any((checkpoints / "writing").glob("*")) if (checkpoints / "writing").is_dir() else False


def contents(path):
    """All arrays of a checkpoint by their names."""
    with zipfile.ZipFile(path) as archive:
        stored = io.BytesIO(archive.read("model.weights.h5"))
    found = {}
    with h5py.File(stored) as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


def differing(path, other):
    """The names of arrays that two checkpoints do not have in common to the bit."""
    ours, theirs = contents(path), contents(other)
    both = ours.keys() & theirs.keys()
    return sorted((ours.keys() ^ theirs.keys()) | {n for n in both if ours[n].tobytes() != theirs[n].tobytes()})


def kill_and_resume(args, folder, finish=run_whole, report=print):
    """Trains whole and in pieces.

    Args:
        args: namespace of `arguments`.
        folder: `Path` for data and runs.
        finish: callable that trains to the end, given the flags of the command.
        report: callable, takes lines.

    Returns:
        `(kills, differing)`: a counter of what was killed, and the names of arrays that differ in the end.
    """
    data = write_images(folder / "images")
    finish(train_flags(args, data, folder / "whole"))
    flags, checkpoints = train_flags(args, data, folder / "pieces"), folder / "pieces" / "checkpoints"
    draw, kills = random.Random(args.seed), collections.Counter()
    while kills.total() < args.kills:
        killed = kill_at(MOMENTS[kills.total() % len(MOMENTS)], flags, checkpoints, draw)
        if killed is None:
            raise SystemExit(f"the run came to its end after {kills.total()} kills: it needs more steps")
        kills[killed] += 1
        report(f"kill {kills.total()} while {killed}, newest checkpoint: {getattr(newest(checkpoints), 'name', None)}")
    finish(flags)
    return kills, differing(newest(folder / "whole" / "checkpoints"), newest(checkpoints))


def main(args):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.folder or temporary)
        kills, others = kill_and_resume(args, folder)
        count = len(contents(newest(folder / "whole" / "checkpoints")))
    text = ", ".join(f"{number} while {what}" for what, number in kills.items())
    print(f"{args.model}, {args.precision}: {kills.total()} kills ({text}); {len(others)} of {count} arrays differ")
    return 1 if others else 0


if __name__ == "__main__":
    sys.exit(main(arguments()))
