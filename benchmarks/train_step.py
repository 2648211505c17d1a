#!/usr/bin/env python3
"""Seconds of one CycleGAN training step, beside its peers, turn by turn.

    python benchmarks/train_step.py --sizes 128 256 --torch-python ../torch-env/bin/python

Ours, the usual Keras recipe and, where `--torch-python` names a Python that has it, PyTorch, as people run it and
compiled. "ours is" says how many times as fast as each we are in the same precision and in the same turns; the floor
is the summed time of the convolution kernels alone (conv_roofline.py).
"""

import json
import subprocess
import sys
from pathlib import Path

from contest import cases, contest, contest_parser, peer, table, torch_programs


def arguments():
    parser = contest_parser(__doc__, size=128, steps=7)
    parser.add_argument("--against", help="another checkout of this project to compare with")
    parser.add_argument("--no-floor", action="store_true", help="leave out the convolutions alone")
    return parser.parse_args()


def programs(args, flags):
    found = {"tf_cyclegan": peer(None, "ours.py", *flags), "Keras recipe": peer(None, "keras_recipe.py", *flags)}
    if args.against:
        found = {"tf_cyclegan": found["tf_cyclegan"], "the other checkout": ["env", f"PYTHONPATH={args.against}"]}
        found["the other checkout"] += peer(None, "ours.py", *flags)
    return found | torch_programs(args, flags)


def floor(flags):
    command = [sys.executable, str(Path(__file__).parent / "conv_roofline.py"), *map(str, flags)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])["sum_s"]


def main(args):
    for precision in args.precisions:
        for title, flags in cases(args, precision):
            contestants = contest(programs(args, flags), args.steps)
            table(title, contestants, None if args.no_floor else floor(flags))


if __name__ == "__main__":
    main(arguments())
