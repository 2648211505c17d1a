"""Programs that take turns on one machine, and the table of how they did; see peers/stepping.py."""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"


class Contestant:
    """A running program that makes one step when asked.

    Args:
        name: str, its row in the table.
        command: list of str that starts it.
    """

    def __init__(self, name, command):
        self.name = name
        self.seconds = []
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self._process = subprocess.Popen(command, text=True, **pipes)
        self.ready_s = self._figure("ready_s")

    def step(self):
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.seconds.append(self._figure("seconds"))

    def end(self):
        self._process.stdin.close()
        self.peak_gb = self._figure("peak_gb")
        self._process.wait()

    @property
    def median(self):
        return statistics.median(self.seconds)

    def _figure(self, name):
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)[name]
        error = self._process.stderr.read().strip()
        raise SystemExit(f"{self.name} ended without its figures:\n{error[-2000:]}")


def contest(programs, steps):
    """Starts the programs one after the other, has them step in turn, and ends them.

    Args:
        programs: dict from names to commands.
        steps: int, steps of each.

    Returns:
        A list of the contestants.
    """
    contestants = [Contestant(name, command) for name, command in programs.items()]
    for _ in range(steps):
        for contestant in contestants:
            contestant.step()
    for contestant in contestants:
        contestant.end()
    return contestants


def ratio(theirs, ours):
    """How many times as fast ours is: the median over the turns, which both made side by side."""
    return statistics.median(their / our for their, our in zip(theirs.seconds, ours.seconds, strict=True))


def peer(python, program, *flags):
    return [python or sys.executable, str(PEERS / program), *map(str, flags)]


def contest_parser(description, size, steps):
    """The command line of a benchmark of contestants; `size` and `steps` are its defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[size], help="pixels of a side")
    parser.add_argument("--batches", type=int, nargs="+", default=[1])
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--precisions", choices=["float32", "bfloat16"], nargs="+", default=["float32"])
    parser.add_argument("--steps", type=int, default=steps, help="turns, after two of each that are not counted")
    parser.add_argument("--torch-python", help="Python of an environment with torch")
    parser.add_argument("--compiled", action="store_true", help="also torch.compile, which takes minutes to start")
    return parser


def cases(args, precision):
    """Title and flags of every size and batch in one precision."""
    for size, batch in itertools.product(args.sizes, args.batches):
        flags = ["--size", size, "--batch", batch, "--precision", precision]
        flags += ["--filters", args.filters, "--blocks", args.blocks]
        yield f"{size} pixels, batch {batch}, {args.blocks} blocks, {args.filters} filters, {precision}", flags


def torch_programs(args, flags):
    """PyTorch, as people run it and compiled, as far as it was asked for."""
    if not args.torch_python:
        return {}
    found = {"PyTorch": peer(args.torch_python, "torch_cyclegan.py", *flags)}
    return found | ({"PyTorch compiled": [*found["PyTorch"], "--compile"]} if args.compiled else {})


def table(title, contestants, floor=None):
    """Prints seconds, memory and how many times as fast the first is.

    Args:
        title: str.
        contestants: list of `Contestant`, ours first.
        floor: optional float, seconds of the convolutions alone.
    """
    ours, last = contestants[0], "  of the floor" * bool(floor)
    print(f"\n{title}\n{'':30}{'median s':>10}{'min s':>9}{'peak GB':>9}{'ours is':>9}{last}")
    for contestant in contestants:
        times = f"{ratio(contestant, ours):7.2f} x" if contestant is not ours else f"{'':9}"
        share = f"{floor / contestant.median:13.0%}" if floor else ""
        figures = f"{contestant.median:10.3f}{min(contestant.seconds):9.3f}{contestant.peak_gb:9.2f}"
        print(f"{contestant.name:30}{figures}{times}{share}", flush=True)
