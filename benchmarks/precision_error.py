#!/usr/bin/env python3
"""What bfloat16 costs in quality: the emoji's test error of short runs in both precisions, with several seeds.

    python benchmarks/precision_error.py --folder runs/precision

A run that is there already is not made again, one that was interrupted goes on.
"""

import argparse
import re
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RECIPE = ["--dataset=emoji", "--image-size=32", "--filters=4", "--residual-blocks=2", "--discriminator-filters=8"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="runs/precision")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return parser.parse_args()


def errors(run):
    """The error of a run in both directions."""
    command = [sys.executable, str(HERE / "emoji_error.py"), str(run)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(re.search(rf"^{direction}\s+(\S+)", text, re.MULTILINE).group(1)) for direction in ("ab", "ba")]


def train(run, precision, seed, steps):
    flags = [*RECIPE, f"--precision={precision}", f"--seed={seed}", f"--steps={steps}", f"--output-dir={run}"]
    flags += ["--resume"] if (run / "checkpoints").exists() else []
    program = [sys.executable, str(HERE.parent / "examples" / "train.py"), *flags]
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL)


def main():
    args = arguments()
    print(f"{args.steps} steps, test error flat to modern and back\n{'':10}{'seed':>6}{'ab':>9}{'ba':>9}")
    for precision in ("float32", "bfloat16"):
        found = []
        for seed in args.seeds:
            run = Path(args.folder, f"{precision}_{seed}")
            if not (run / "checkpoints" / f"step_{args.steps:08}.keras").exists():
                train(run, precision, seed, args.steps)
            found.append(errors(run))
            print(f"{precision:10}{seed:6}{found[-1][0]:9.4f}{found[-1][1]:9.4f}", flush=True)
        means = "".join(f"{statistics.mean(column):9.4f}" for column in zip(*found, strict=True))
        spreads = " / ".join(f"{max(column) - min(column):.4f}" for column in zip(*found, strict=True))
        print(f"{precision:10}{'mean':>6}{means}   largest less smallest {spreads}", flush=True)


if __name__ == "__main__":
    main()
