#!/usr/bin/env python3
"""Runs dumped steps with JAX: compares them with TensorFlow's numbers, or times them.

python benchmarks/gpu/run_step.py check FOLDER
python benchmarks/gpu/run_step.py bench FOLDER --steps 50
"""

import argparse
import statistics
import time

import jax
import numpy as np
from program import Program
from step_state import first_value, images_of, sampled


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["check", "bench"])
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=50)
    return parser.parse_args()


def images(program, step):
    return [jax.device_put(images_of(step, domain, i["shape"])) for domain, i in enumerate(program.images)]


def check(program, compiled, args):
    expected, state = np.load(program.folder / "expected.npz"), program.first_values()
    for step in range(program.manifest["steps"]):
        losses = program.step(compiled, state, images(program, step))
        worst = max(abs(float(v) / expected[f"loss/{name}"][step] - 1) for name, v in losses.items())
        print(f"step {step + 1}: losses are off by at most {worst:.1e} of theirs")
    for kind in ("momentum", "images"):
        print(f"{kind}: off by {difference(program, state, expected, kind):.1e} of the change")


def difference(program, state, expected, kind):
    """Root mean square of what variables of a kind are off, over that of their change."""
    stored, off, change = np.load(program.folder / "stored.npz"), 0.0, 0.0
    for variable, value in zip(program.variables, state, strict=True):
        if variable["name"].endswith(kind):
            theirs = expected[variable["name"]].astype("float64")
            off += np.square(sampled(value) - theirs).sum()
            change += np.square(theirs - sampled(first_value(variable, stored))).sum()
    return (off / change) ** 0.5


def bench(program, compiled, args):
    state, seconds = program.first_values(), []
    pairs = [images(program, step) for step in range(8)]
    for step in range(args.steps + 3):
        began = time.perf_counter()
        jax.block_until_ready((program.step(compiled, state, pairs[step % 8]), state))
        seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds[3:])
    print(f"{jax.devices()[0].device_kind}: {1000 * median:.2f} ms a step, smallest {1000 * min(seconds[3:]):.2f}")


def main(args):
    program = Program(args.folder, {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend()))
    compiled = program.lowered().compile()
    {"check": check, "bench": bench}[args.what](program, compiled, args)


if __name__ == "__main__":
    main(arguments())
