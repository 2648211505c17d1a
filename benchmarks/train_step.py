#!/usr/bin/env python3
"""Seconds of one CycleGAN training step, beside its peers, turn by turn.

    python benchmarks/train_step.py --sizes 128 256 --torch-python ../torch-env/bin/python

Ours, the usual Keras recipe and, where `--torch-python` names a Python that has it, PyTorch, as people run it and
compiled. "ours is" says how many times as fast as each we are in the same precision and in the same turns; the floor
is the summed time of the convolution kernels alone (conv_roofline.py).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from contest import contest, peer, table


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128], help="pixels of a side")
    parser.add_argument("--batches", type=int, nargs="+", default=[1])
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--precisions", choices=["float32", "bfloat16"], nargs="+", default=["float32"])
    parser.add_argument("--steps", type=int, default=7, help="turns, after two steps of each that are not counted")
    parser.add_argument("--torch-python", help="Python of an environment with torch")
    parser.add_argument("--compiled", action="store_true", help="also torch.compile, which takes minutes to start")
    parser.add_argument("--against", help="another checkout of this project to compare with")
    parser.add_argument("--no-floor", action="store_true", help="leave out the convolutions alone")
    return parser.parse_args()


def programs(args, flags):
    found = {"tf_cyclegan": peer(None, "ours.py", *flags), "Keras recipe": peer(None, "keras_recipe.py", *flags)}
    if args.against:
        found = {"tf_cyclegan": found["tf_cyclegan"], "the other checkout": ["env", f"PYTHONPATH={args.against}"]}
        found["the other checkout"] += peer(None, "ours.py", *flags)
    if args.torch_python:
        found["PyTorch"] = peer(args.torch_python, "torch_cyclegan.py", *flags)
        if args.compiled:
            found["PyTorch compiled"] = [*found["PyTorch"], "--compile"]
    return found


def floor(flags):
    command = [sys.executable, str(Path(__file__).parent / "conv_roofline.py"), *map(str, flags)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])["sum_s"]


def main(args):
    for precision in args.precisions:
        for size in args.sizes:
            for batch in args.batches:
                flags = ["--size", size, "--batch", batch, "--precision", precision]
                flags += ["--filters", args.filters, "--blocks", args.blocks]
                contestants = contest(programs(args, flags), args.steps)
                title = f"{size} pixels, batch {batch}, {args.blocks} blocks, {args.filters} filters, {precision}"
                table(title, contestants, None if args.no_floor else floor(flags))


if __name__ == "__main__":
    main(arguments())
