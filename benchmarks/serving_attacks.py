#!/usr/bin/env python3
"""What requests that are made to exhaust the server take from it: memory, and time from everybody else.

    python benchmarks/serving_attacks.py                            # all parts, about 20 minutes
    python benchmarks/serving_attacks.py --parts documents --count 40

Every part sends its requests while a second client asks for the health and a third for a prediction each half second.
Memory is that of the server with the processes that it starts. Server and clients share the machine.
"""

import argparse
import base64
import collections
import gzip
import io
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np
import psutil
import serving_models
from PIL import Image
from serving_load import ToyServer, add_generator_flags, row, serve_generator
from serving_process import Server, call, predict

BODY = 16 * 2**20 - 200  # with what is around the values below the server's limit
SIDE = 4096


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--count", type=int, default=200, help="documents that are refused, and that are answered")
    parser.add_argument("--together", type=int, default=18, help="documents sent at a time")
    add_generator_flags(parser)
    parser.add_argument("--scans", type=int, default=100_000, help="of the JPEG")
    return parser.parse_args()


# ---- documents ----


def filled(signature, before, item, after):
    """A request of `BODY` bytes, compressed, whose values are one item again and again."""
    item = item.encode()
    body = f'{{"signature_name": "{signature}", "instances": {before}'.encode()
    return gzip.compress(body + item * ((BODY - len(body)) // len(item)) + after.encode(), 1)


REFUSED = {
    "too many numbers": lambda: filled("float32", "[", "0.1,", "0.1]}"),
    "too many texts": lambda: filled("string", "[", '"\U0001f600",', '"!"]}'),
    "lists that end with a number": lambda: filled("float32", "[[", "0.1,", "[0.1]]]}"),
    "no JSON at the end": lambda: filled("float32", "[[", "0.1,", "0.1]"),
}
ANSWERED = {
    "one instance of numbers": lambda: filled("float32", "[[", "0.1,", "0.1]]}"),
    "one instance of bytes": lambda: filled("uint8", "[[", "1,", "1]]}"),
    "one text": lambda: filled("string", '["', "abcdefgh", '"]}'),
    "one text in base64": lambda: filled("bytes", '[{"b64": "', "abcdefgh", '"}]}'),
}


def documents(args):
    """Bodies of 16 MiB, compressed, one after another and then many at a time."""
    for title, kinds in (("refused", REFUSED), ("answered", ANSWERED)):
        bodies = [make() for make in kinds.values()]
        for together in (1, args.together):
            with ToyServer() as server, Watch(server) as watch, ThreadPoolExecutor(together) as clients:
                sent = [bodies[number % len(bodies)] for number in range(args.count)]
                statuses = collections.Counter(clients.map(lambda body, server=server: post(server, body), sent))
            watch.report(f"{args.count} {title}, {together} at a time", statuses)


def post(server, body, model="echo"):
    headers = {"Content-Encoding": "gzip"}
    try:
        return call(server.url, "POST", f"/v1/models/{model}:predict", body, headers, timeout=300).status
    except OSError:
        return 0


# ---- images ----


def scans(args):
    """Two JPEGs of 4096 x 4096 with very many scans."""
    body = instance(jpeg_of_scans(args.scans))
    with ToyServer() as server, Watch(server) as watch, ThreadPoolExecutor(2) as clients:
        statuses = collections.Counter(clients.map(lambda _: post(server, body, "negative"), range(2)))
    watch.report(f"JPEGs of {args.scans} scans", statuses)


def jpeg_of_scans(count):
    """A progressive JPEG whose last scan, of coefficients, is there again and again."""
    file = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def pixels(args):
    """PNGs of 4096 x 4096 through a generator, and as many requests as the server takes."""
    file = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(file, "PNG")
    body = instance(file.getvalue())
    with tempfile.TemporaryDirectory() as folder:
        serving_models.write_all(folder)
        serve_generator(args, folder)
        with Server(folder) as server, Watch(server) as watch, ThreadPoolExecutor(4) as clients:
            statuses = collections.Counter(clients.map(lambda _: post(server, body, "generator"), range(8)))
    watch.report("PNGs of 4096 x 4096", statuses)


def instance(data):
    return gzip.compress(b'{"instances": [{"b64": "%s"}]}' % base64.b64encode(data), 1)


# ---- what everybody else sees of it ----


class Watch:
    """Looks at the server's memory, and asks it for its health and for a prediction, as a context manager."""

    def __init__(self, server):
        self._server = server
        self._process = psutil.Process(server.process.pid)
        self._done = threading.Event()
        self._health, self._good, self._sizes = [], [], []
        self._threads = [
            threading.Thread(target=self._repeat, args=(0.05, lambda: self._sizes.append(self._resident()))),
            threading.Thread(target=self._repeat, args=(0.5, self._timed(self._health, self._ask_health))),
            threading.Thread(target=self._repeat, args=(0.5, self._timed(self._good, self._ask))),
        ]

    def __enter__(self):
        self._before = self._resident()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._after = self._resident()
        self._done.set()
        for thread in self._threads:
            thread.join()

    def report(self, name, statuses):
        row(name, *(f"{status}: {count}" for status, count in sorted(statuses.items())))
        sizes = (self._before, max(self._sizes), self._after)
        row("  memory before, at most, after, MB", *(f"{size / 1e6:.0f}" for size in sizes))
        for title, answers in (("health", self._health), ("a good prediction", self._good)):
            seconds = [spent for spent, _ in answers]
            found = collections.Counter(status for _, status in answers)
            counts = (f"{status}: {count}" for status, count in sorted(found.items()))
            row(f"  {title}: median, longest s", f"{np.median(seconds):.2f}", f"{max(seconds):.2f}", *counts)

    def _repeat(self, seconds, ask):
        while not self._done.wait(seconds):
            ask()

    def _timed(self, answers, ask):
        def timed():
            start = time.perf_counter()
            try:
                status = ask().status
            except OSError:
                status = 0
            answers.append((time.perf_counter() - start, status))

        return timed

    def _ask_health(self):
        return call(self._server.url, "GET", "/healthz")

    def _ask(self):
        return predict(self._server.url, "half_plus_two", {"instances": [1.0]})

    def _resident(self):
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                pass
        return total


PARTS = {part.__name__: part for part in (documents, scans, pixels)}


def main():
    args = arguments()
    print(f"{os.cpu_count()} cores")
    for name in args.parts:
        print(f"{name}: {PARTS[name].__doc__}", flush=True)
        PARTS[name](args)


if __name__ == "__main__":
    main()
