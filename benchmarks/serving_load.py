#!/usr/bin/env python3
"""What the server adds to a model, what it carries, and what it does when there is more than it can carry.

    python benchmarks/serving_load.py                            # all parts, about ten minutes
    python benchmarks/serving_load.py --parts latency --size 128 --blocks 6

`latency` and `concurrency` serve a ResNet generator of the given size, the others the toy models of
tests/serving_models.py. Server and clients share the machine.
"""

import argparse
import base64
import collections
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np
import serving_models
import tensorflow as tf
from http_load import closed_loop, median_ms, milliseconds, open_loop, rate_of
from serving_process import Server, call, predict

PREDICT = "/v1/models/{}:predict"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    add_generator_flags(parser)
    parser.add_argument("--repeats", type=int, default=20, help="calls of each kind for the latency")
    parser.add_argument("--seconds", type=float, default=60, help="of overload, and of each load with 8 clients")
    parser.add_argument("--requests", type=int, default=30_000, help="of the steady load")
    parser.add_argument("--swaps", type=int, default=50, help="versions published under load, and a fifth as many bad")
    parser.add_argument("--stops", type=int, default=20, help="servers stopped while they compute")
    return parser.parse_args()


def add_generator_flags(parser):
    """The flags of `serve_generator`."""
    parser.add_argument("--size", type=int, default=256, help="pixels of a side of the generator's image")
    parser.add_argument("--blocks", type=int, default=9, help="residual blocks of the generator")
    parser.add_argument("--filters", type=int, default=64, help="filters of the generator")


def row(name, *cells):
    print(f"  {name:44}" + "".join(f"{cell:>14}" for cell in cells))


def body_of(*instances):
    return json.dumps({"instances": instances}).encode()


def statuses(samples):
    """How often each came; 0 is no reply."""
    counts = collections.Counter(sample.status for sample in samples)
    return [f"{status}: {count}" for status, count in sorted(counts.items())]


def serve_generator(args, folder):
    """Exports a generator as it is used; returns it, its version folder and an image as PNG."""
    from tf_cyclegan.export import export_saved_model
    from tf_cyclegan.networks import resnet_generator

    generator = resnet_generator(filters=args.filters, residual_blocks=args.blocks)
    path = export_saved_model(generator, Path(folder) / "generator")
    pixels = np.random.RandomState(0).randint(0, 256, (args.size, args.size, 3), "uint8")
    smooth = tf.image.resize(tf.image.resize(pixels, (16, 16)), (args.size, args.size))
    return generator, path, tf.io.encode_png(tf.cast(smooth, "uint8")).numpy()


def bare_calls(generator, path, png):
    """One image through the model alone, and through the exported model without a server."""
    from tf_cyclegan.serving.engine import Engine

    image = tf.cast(tf.io.decode_png(png)[None], "float32") / 127.5 - 1
    compiled = tf.function(lambda x: generator(x, training=False))
    engine = Engine(path)
    inputs = {"image_bytes": np.array([png], dtype=object)}
    return {
        "Keras model, float image": lambda: compiled(image).numpy(),
        "exported model, PNG in and out": lambda: engine.run("serving_default", inputs),
    }


def seconds_of(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def latency(args):
    """One request at a time: the model alone, the exported model alone, and served, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        generator, path, png = serve_generator(args, folder)
        calls = bare_calls(generator, path, png)
        with Server(folder) as server:
            request = {"instances": [{"b64": base64.b64encode(png).decode()}]}
            calls["served, PNG in and out, JSON"] = lambda: predict(server.url, "generator", request).json()
            times = {name: [] for name in calls}
            for _ in range(args.repeats + 3):
                for name, function in calls.items():
                    times[name].append(seconds_of(function))
    medians = {name: median_ms(values[3:]) for name, values in times.items()}
    bare, engine, served = medians.values()
    row("", "median ms", "of bare")
    for name, median in medians.items():
        row(name, f"{median:.1f}", f"{median / bare:.3f}")
    row("served against the exported model", "", f"{served / engine:.3f}")


def concurrency(args):
    """Eight clients against as many callers of the exported model as there are cores, in turn."""
    clients, cores = 8, os.cpu_count()
    with tempfile.TemporaryDirectory() as folder:
        generator, path, png = serve_generator(args, folder)
        engine = bare_calls(generator, path, png)["exported model, PNG in and out"]
        with Server(folder) as server:
            body = body_of({"b64": base64.b64encode(png).decode()})
            engine()
            closed_loop(server.url, PREDICT.format("generator"), body, 1, seconds=3)
            rates = {"one caller": [], f"{cores} callers": [], f"{clients} clients": []}
            for _ in range(3):
                rates["one caller"].append(calls_a_second(engine, 1, args.seconds / 3))
                rates[f"{cores} callers"].append(calls_a_second(engine, cores, args.seconds / 3))
                samples = closed_loop(server.url, PREDICT.format("generator"), body, clients, seconds=args.seconds / 3)
                rates[f"{clients} clients"].append(rate_of(samples))
    row("", "images/s")
    for name, values in rates.items():
        row(f"{name} of the {'server' if 'clients' in name else 'exported model'}", f"{np.median(values):.2f}")


def calls_a_second(function, callers, seconds):
    """Calls a second of a function that threads call again and again."""
    begin, counts = time.perf_counter(), [0] * callers

    def work(caller):
        while time.perf_counter() - begin < seconds:
            function()
            counts[caller] += 1

    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(work, range(callers)))
    return sum(counts) / (time.perf_counter() - begin)


def steady(args):
    """Half of what it can carry, for long: failures, latency, memory."""
    with ToyServer() as server:
        path, body = PREDICT.format("half_plus_two"), body_of(1.0, 2.0, 5.0)
        capacity = rate_of(closed_loop(server.url, path, body, 8, seconds=10))
        before = server.resident_bytes()
        samples = open_loop(server.url, path, body, capacity / 2, args.requests / (capacity / 2))
        growth = (server.resident_bytes() - before) / 2**20
    row("capacity, requests/s", f"{capacity:.0f}")
    row("requests at half of it", len(samples))
    row("statuses", *statuses(samples))
    row("p50, p99, longest ms", *(f"{milliseconds(samples, share):.1f}" for share in (0.5, 0.99, 1)))
    row("memory grown, MiB each 1,000 requests", f"{growth / (len(samples) / 1000):.3f}")


def overload(args):
    """Four times what it can carry: what is still answered, and how soon the rest is sent away."""
    with ToyServer("--timeout-seconds=5") as server:
        path, body = PREDICT.format("busy"), body_of(40)
        capacity = rate_of(closed_loop(server.url, path, body, 8, seconds=10))
        samples = open_loop(server.url, path, body, 4 * capacity, args.seconds)
        start = time.perf_counter()
        recovered = predict(server.url, "busy", {"instances": [40]}).status == 200
        recovery = time.perf_counter() - start
    during = [sample for sample in samples if sample.start + sample.seconds <= args.seconds]
    goodput = sum(sample.status == 200 for sample in during) / args.seconds
    shed = [sample for sample in samples if sample.status == 503]
    good = [sample for sample in samples if sample.status == 200]
    row("capacity, requests/s", f"{capacity:.1f}")
    row("right replies/s at four times that", f"{goodput:.1f}", f"{goodput / capacity:.0%}")
    row("statuses", *statuses(samples))
    row("right replies, p50 and p99 ms", f"{milliseconds(good, 0.5):.0f}", f"{milliseconds(good, 0.99):.0f}")
    row("sent away, p50 and p99 ms", f"{milliseconds(shed, 0.5):.1f}", f"{milliseconds(shed, 0.99):.1f}")
    row("longest wait for any reply, ms", f"{milliseconds(samples, 1):.0f}")
    row("good request right after, ms", f"{1000 * recovery:.0f}" if recovered else "refused")


def swaps(args):
    """New versions, every sixth of them bad, under load: failed requests and replies of two versions at once."""
    with tempfile.TemporaryDirectory() as folder:
        serving_models.write(Path(folder) / "half_plus" / "1", serving_models.half_plus(1))
        with Server(folder, "--poll-seconds=0.1") as server:
            publisher = threading.Thread(target=publish_all, args=(server, Path(folder) / "half_plus", args.swaps))
            publisher.start()
            path, body = PREDICT.format("half_plus"), body_of(*[0.0] * 8)
            samples = closed_loop(server.url, path, body, 4, while_true=publisher.is_alive)
            publisher.join()
    failed = sum(sample.status != 200 for sample in samples)
    found = [json.loads(sample.body)["predictions"] for sample in samples if sample.status == 200]
    row("requests while versions came", len(samples))
    row("failed", failed)
    row("versions seen", len({answers[0] for answers in found}))
    row("replies of two versions", sum(len(set(answers)) > 1 for answers in found))
    row("p50, p99, longest ms", *(f"{milliseconds(samples, share):.1f}" for share in (0.5, 0.99, 1)))


def publish_all(server, base, count):
    """Publishes `count` good versions, whose answer is their number, and a broken one before each fifth of them."""
    version = 1
    for number in range(count):
        if number % 5 == 0:
            version += 1
            publish(base, version, broken=True)
            wait_for(lambda version=version: state_of(server, version) == "END")
        version += 1
        publish(base, version)
        wait_for(lambda version=version: predict(server.url, base.name, {"instances": [0]}).json() == answer(version))


def answer(version):
    return {"predictions": [float(version)]}


def publish(base, version, broken=False):
    aside = base / f".tmp-{version}"
    serving_models.write(aside, serving_models.half_plus(version))
    if broken:
        file = aside / "saved_model.pb"
        file.write_bytes(file.read_bytes()[:100])
    aside.rename(base / str(version))
    old = base / str(version - 10)
    shutil.rmtree(old, ignore_errors=True)


def state_of(server, version):
    found = call(server.url, "GET", f"/v1/models/half_plus/versions/{version}").json()
    return found["model_version_status"][0]["state"] if "error" not in found else None


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.02)


def stops(args):
    """SIGTERM while eight requests are computed or wait: which of them are answered, and how it ends."""
    lost, codes = 0, collections.Counter()
    models = serving_models.write_all(tempfile.mkdtemp())
    for _ in range(args.stops):
        with Server(models) as server, ThreadPoolExecutor(8) as clients:
            rounds = {"instances": [400]}
            futures = [clients.submit(predict, server.url, "busy", rounds) for _ in range(8)]
            time.sleep(0.3)
            codes[server.stop()] += 1
            lost += sum(future.exception() is not None or future.result().status != 200 for future in futures)
    shutil.rmtree(models)
    row("servers stopped with 8 requests each", args.stops)
    row("requests lost", lost)
    row("exit codes", *(f"{code}: {count}" for code, count in codes.items()))


class ToyServer(Server):
    """A server of the toy models, which it makes."""

    def __init__(self, *flags):
        self._folder = tempfile.TemporaryDirectory()
        super().__init__(serving_models.write_all(self._folder.name), *flags)

    def __exit__(self, *error):
        super().__exit__(*error)
        self._folder.cleanup()


PARTS = {part.__name__: part for part in (latency, concurrency, steady, overload, swaps, stops)}


def main():
    args = arguments()
    print(f"{os.cpu_count()} cores, TensorFlow {tf.__version__}")
    print(f"generator: {args.size} pixels, {args.blocks} blocks, {args.filters} filters")
    for name in args.parts:
        print(f"{name}: {PARTS[name].__doc__}", flush=True)
        PARTS[name](args)


if __name__ == "__main__":
    main()
