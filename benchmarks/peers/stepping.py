"""How a contestant is driven: one line on standard input is one step, answered by a line with its seconds.

So several programs, of several environments, take turns on one machine and meet the same noise.
"""

import argparse
import json
import os
import resource
import sys
import time


def arguments(description):
    """The command line that every contestant has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--mode", choices=["train", "infer"], default="train")
    parser.add_argument("--size", type=int, default=128, help="pixels of a side")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true", help="XLA, or torch.compile")
    parser.add_argument("--model", help="an exported SavedModel to run (infer)")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return parser.parse_args()


def serve(step, warmup=2):
    """Runs `step` a few times, then once for every line on standard input, and at its end tells the peak memory."""
    started = time.perf_counter()
    for _ in range(warmup):
        step()
    _say(ready_s=time.perf_counter() - started)
    for _ in sys.stdin:
        started = time.perf_counter()
        step()
        _say(seconds=time.perf_counter() - started)
    _say(peak_gb=_peak_bytes() / 1e9)


def _peak_bytes():
    try:
        # Of this program alone: what `getrusage` says begins with the memory of whoever started it.
        (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _say(**figures):
    print(json.dumps(figures), flush=True)
