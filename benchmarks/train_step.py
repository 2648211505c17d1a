#!/usr/bin/env python3
"""Seconds of one CycleGAN training step, beside another implementation, alternately in one go.

    python benchmarks/train_step.py --size 128
    python benchmarks/train_step.py --size 128 --peer torch_cyclegan.py --peer-python ../torch-env/bin/python

Every measurement is a process of its own, ours and the peer's in turn. The peer is any program that takes --size,
--batch, --filters, --blocks, --precision and --steps and ends with a JSON line that has `median_s` and `peak_gb`.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="pixels of a side")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--steps", type=int, default=5, help="steps a measurement, after two that are not counted")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each")
    parser.add_argument("--precision", choices=POLICIES, nargs="+", default=["float32"])
    parser.add_argument("--peer", help="program of the other implementation")
    parser.add_argument("--peer-python", default=sys.executable, help="Python that has what the peer needs")
    parser.add_argument("--measure", action="store_true", help="measure ours once and print the JSON line")
    return parser.parse_args()


def measure(args):
    """Times our step on random images, as `train_on_batch` runs it, and prints a JSON line."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    from tf_cyclegan import CycleGAN

    shape = (args.size, args.size, 3)
    model = CycleGAN(shape, filters=args.filters, residual_blocks=args.blocks, dtype=POLICIES[args.precision[0]])
    model.compile()
    images_a, images_b = (tf.random.uniform((args.batch, *shape), -1, 1) for _ in range(2))
    times = []
    for _ in range(2 + args.steps):
        start = time.perf_counter()
        model.train_on_batch(images_a, images_b)
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"median_s": statistics.median(times[2:]), "first_s": times[0], "peak_gb": round(peak, 2)}))


def run(command, args, precision):
    names = ("size", "batch", "filters", "blocks", "steps")
    flags = [part for name in names for part in (f"--{name}", str(getattr(args, name)))]
    done = subprocess.run([*command, *flags, "--precision", precision], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(args):
    programs = {"tf_cyclegan": [sys.executable, __file__, "--measure"]}
    if args.peer:
        programs["peer"] = [args.peer_python, args.peer]
    keys = [(name, precision) for precision in args.precision for name in programs]
    results = {key: [] for key in keys}
    for _ in range(args.rounds):
        for name, precision in keys:
            results[name, precision].append(run(programs[name], args, precision))
    seconds = {key: statistics.median(result["median_s"] for result in results[key]) for key in keys}
    print(f"{args.size} pixels, {args.blocks} blocks, {args.filters} filters, batch {args.batch}, {args.rounds} rounds")
    print(f"{'':14}{'precision':12}{'s a step':>10}{'peak GB':>10}")
    for name, precision in keys:
        peak = max(result["peak_gb"] for result in results[name, precision])
        print(f"{name:14}{precision:12}{seconds[name, precision]:10.3f}{peak:10.2f}")
    for ours in args.precision if args.peer else ():
        for theirs in args.precision:
            ratio = seconds["peer", theirs] / seconds["tf_cyclegan", ours]
            print(f"ours in {ours} is {ratio:.2f} times as fast as the peer in {theirs}")


if __name__ == "__main__":
    settings = arguments()
    measure(settings) if settings.measure else compare(settings)
