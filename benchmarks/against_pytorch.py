#!/usr/bin/env python3
"""CycleGAN trained here beside CycleGAN trained by PyTorch, on the bundled emoji.

    python benchmarks/against_pytorch.py continue
    python benchmarks/against_pytorch.py quality --results runs/against_pytorch.jsonl

`continue` trains with PyTorch, writes the four files that the original writes, imports them and trains on here. Files
hold no moments of optimizers and no pools, so beside it PyTorch trains on from the same files, and with the moments and
pools that it has, and a model that was not trained begins. All get the same batches. A loss is the mean of both
directions, weighted as in the objective.

`quality` trains both from the beginning with several seeds, and compares their errors on the test emoji. Its seconds
are no comparison of speed, for which see train_step.py.

Needs an environment with both, `pip install "tf_cyclegan[parity]"`. PyTorch trains on the CPU.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import torch
from emoji_error import all_drawings, mean_error, translations
from peers.torch_trainer import TorchCycleGAN

from tf_cyclegan import CycleGAN
from tf_cyclegan.data import open_dataset
from tf_cyclegan.settings.data import DataSettings
from tf_cyclegan.training.initial_weights import copy_weights
from tf_cyclegan.weights.import_model import import_model

LOSSES = ("cycle", "identity", "adversarial", "discriminator")
NETWORKS = ("filters", "residual_blocks", "discriminator_filters", "pool_size")
SETTINGS = (*NETWORKS, "steps", "size", "batch")
IMPORTED, REREAD, UNTRAINED = "tf_cyclegan, imported", "PyTorch, from its files", "tf_cyclegan, untrained"


def arguments(words=None):
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    commands = parser.add_subparsers(dest="command", required=True, metavar="continue | quality")
    of_both = argparse.ArgumentParser(add_help=False)
    add = of_both.add_argument
    add("--size", type=int, default=32, help="pixels of a side (%(default)s)")
    add("--batch", type=int, default=4, help="images of each domain (%(default)s)")
    add("--filters", type=int, default=16, help="of the generators (%(default)s)")
    add("--residual-blocks", type=int, default=3, help="of the generators (%(default)s)")
    add("--discriminator-filters", type=int, default=16, help="of the discriminators (%(default)s)")
    add("--pool-size", type=int, default=50, help="images that each pool holds, at least a batch, or 0 (%(default)s)")
    add("--threads", type=int, default=1, help="of PyTorch: two, on a busy machine, wait for each other (%(default)s)")
    name, text = "continue", "train on here what PyTorch has trained"
    command = commands.add_parser(name, parents=[of_both], help=text, description=text)
    command.add_argument("--before", type=int, default=400, help="steps of PyTorch before the import (%(default)s)")
    command.add_argument("--after", type=int, default=200, help="steps of each after it (%(default)s)")
    command.add_argument("--mean-of", type=int, default=50, help="steps that a row is the mean of (%(default)s)")
    command.add_argument("--seed", type=int, default=0, help="of weights, batches and pools (%(default)s)")
    command.set_defaults(run=train_on)
    name, text = "quality", "compare the errors of both on the test emoji"
    command = commands.add_parser(name, parents=[of_both], help=text, description=text)
    command.add_argument("--steps", type=int, default=800, help="of each run (%(default)s)")
    command.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="one run of each for each (0 1 2)")
    results = "runs/against_pytorch.jsonl"
    command.add_argument("--results", default=results, help="a line a run; none is made twice (%(default)s)")
    command.set_defaults(run=compare_quality)
    return parser.parse_args(words)


# ---- both trainers ----


def batches(args, seed, count, start=0):
    """Batches of a run's stream, as NumPy arrays."""
    data = open_dataset(DataSettings("emoji", image_size=args.size, batch_size=args.batch, seed=seed))
    return data.stream(start).take(count).as_numpy_iterator()


def network_settings(args):
    return {name: getattr(args, name) for name in NETWORKS}


def new_torch(args, seed):
    return TorchCycleGAN(**network_settings(args), seed=seed)


def new_ours(args, seed):
    keras.utils.set_random_seed(seed)
    model = CycleGAN((args.size, args.size, 3), seed=seed, **network_settings(args))
    model.compile()
    return model


def step_of(model):
    """A function from a batch to the losses of this step alone."""
    if isinstance(model, TorchCycleGAN):
        return model.step

    def step(images_a, images_b):
        model.reset_metrics()
        return {name: float(loss) for name, loss in model.train_on_batch(images_a, images_b, return_dict=True).items()}

    return step


def train(model, stream):
    """Trains on every batch of a stream.

    Returns:
        List of dicts of losses, one a step.
    """
    step = step_of(model)
    return [step(*batch) for batch in stream]


# ---- continue ----


def imported(folder, args, seed):
    """The model that PyTorch's files make, compiled as a new one."""
    found, _ = import_model(sorted(Path(folder).glob("*.pth")))
    # Files do not tell the size of images, which pools have: as a run does, it makes its own and begins with theirs.
    settings = {"image_shape": (args.size, args.size, 3), "pool_size": args.pool_size, "seed": seed}
    model = CycleGAN.from_config({**found.get_config(), **settings})
    copy_weights(found, model)
    model.compile()
    return model


def continued(args):
    """Losses of PyTorch before the import, and of all that goes on or begins after it, by name."""
    trained = new_torch(args, args.seed)
    yield "PyTorch, before", train(trained, batches(args, args.seed, args.before))
    with tempfile.TemporaryDirectory() as folder:
        trained.save(folder)
        contestants = {
            IMPORTED: imported(folder, args, args.seed),
            REREAD: new_torch(args, args.seed + 1).load(folder),
            "PyTorch, with its moments": trained,
            UNTRAINED: new_ours(args, args.seed),
        }
    for name, model in contestants.items():
        yield name, train(model, batches(args, args.seed, args.after, start=args.before))


def train_on(args):
    """Prints the table of `continue`.

    Returns:
        Dict of names to lists of dicts of losses, one a step.
    """
    print(f"{'mean of steps':36}" + "".join(f"{kind:>15}" for kind in LOSSES))
    found = {}
    for name, steps in continued(args):
        number, count = args.before + 1 if found else 1, min(args.mean_of, len(steps))
        if found:
            print_row(name, number, steps[:count])
        print_row(name, number + len(steps) - count, steps[-count:])
        found[name] = steps
    print_differences(found, args.before + 1)
    return found


def print_row(name, number, steps):
    figures = "".join(f"{mean:15.4f}" for mean in means(steps))
    print(f"{name:26}{f'{number}-{number + len(steps) - 1}':>10}{figures}", flush=True)


def means(steps):
    """The mean of each kind of loss over steps, and over both directions."""
    return [
        statistics.mean(loss for step in steps for name, loss in step.items() if name.startswith(kind))
        for kind in LOSSES
    ]


def print_differences(found, number):
    theirs = found[REREAD]
    # The same weights and images, and pools that are not full give back what they get.
    first = max(abs(found[IMPORTED][0][name] - loss) for name, loss in theirs[0].items())
    print(f"step {number}, largest difference of a loss, imported less {REREAD}: {first:.1e}")
    print(f"all {len(theirs)} steps, relative to {REREAD}:")
    for name in (IMPORTED, UNTRAINED):
        shares = [mine / other - 1 for mine, other in zip(means(found[name]), means(theirs), strict=True)]
        print(f"{name:36}" + "".join(f"{share:+15.1%}" for share in shares))


# ---- quality ----

BUILDERS = {"tf_cyclegan": new_ours, "PyTorch": new_torch}


def compare_quality(args):
    path = Path(args.results)
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {name: getattr(args, name) for name in SETTINGS}
    print(f"{args.steps} steps, test error flat to modern and back\n{'':14}{'seed':>6}{'ab':>9}{'ba':>9}{'seconds':>9}")
    found = {name: [] for name in BUILDERS}
    for seed in args.seeds:
        for name in BUILDERS:
            run = {"by": name, "seed": seed, "settings": settings}
            result = finished(path, run) or finish(path, run, args)
            found[name].append([result["error"][direction] for direction in ("ab", "ba")])
            errors = "".join(f"{error:9.4f}" for error in found[name][-1])
            print(f"{name:14}{seed:6}{errors}{result['seconds']:9.0f}", flush=True)
    domains = all_drawings("emoji", "test", args.size)
    print(f"{'the input':20}{mean_error(domains['a'], domains['b']):9.4f}{mean_error(domains['b'], domains['a']):9.4f}")
    print_comparison(found)


def finished(path, run):
    """The line of a run that has been made, or None."""
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line for line in map(json.loads, lines) if run.items() <= line.items()), None)


def finish(path, run, args):
    model, started = BUILDERS[run["by"]](args, run["seed"]), time.perf_counter()
    train(model, batches(args, run["seed"], args.steps))
    seconds = time.perf_counter() - started
    domains = all_drawings("emoji", "test", args.size)
    error = {
        source + target: float(mean_error(translations(model, domains[source], source + target), domains[target]))
        for source, target in ("ab", "ba")
    }
    result = {**run, "error": error, "seconds": round(seconds, 1)}
    with path.open("a") as file:
        file.write(json.dumps(result) + "\n")
    return result


def print_comparison(found):
    """Prints means and spreads over the seeds.

    Of three runs the largest less the smallest is 1.7 standard deviations on average, about two standard errors of the
    difference of two means.
    """
    columns = {name: list(zip(*errors, strict=True)) for name, errors in found.items()}
    for name, pair in columns.items():
        spreads = " / ".join(f"{spread(column):.4f}" for column in pair)
        averages = "".join(f"{statistics.mean(column):9.4f}" for column in pair)
        print(f"{name:14}{'mean':>6}{averages}   largest less smallest {spreads}")
    for direction, ours, theirs in zip(("ab", "ba"), *columns.values(), strict=True):
        difference, widest = statistics.mean(ours) - statistics.mean(theirs), max(spread(ours), spread(theirs))
        verdict = "within" if abs(difference) <= widest else "beyond"
        print(f"{direction}: tf_cyclegan less PyTorch {difference:+.4f}, {verdict} the spread of {widest:.4f}")


def spread(values):
    return max(values) - min(values)


def main(args):
    torch.set_num_threads(args.threads)
    return args.run(args)


if __name__ == "__main__":
    main(arguments())
