#!/usr/bin/env python3
"""The papers' ablations on the bundled emoji, whose right answers are known: what each part of an objective does.

    python benchmarks/ablations.py --features mobilenet_v2.keras --results runs/ablations.jsonl

Every row is trained with the same budget and several seeds. The error is the mean absolute difference from the right
answer on the test emoji, values in [-1, 1]; beside it stands the kernel distance between translations and real images,
times 1,000, with the features of `--features`, a `.keras` file: it is not KID, which takes Inception's. A run that is
in `--results` is not made again: the same command goes on after an interruption.
"""

import argparse
import functools
import json
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
from emoji_error import all_drawings, mean_error, translations

from tf_cyclegan import UNIT, CycleGAN, Pix2Pix
from tf_cyclegan.data import open_dataset
from tf_cyclegan.data.images import to_uint8
from tf_cyclegan.metrics import feature_extractor, kernel_distance
from tf_cyclegan.settings.data import DataSettings

# Table: model, data set, settings that all rows have, and rows by name.
TABLES = {
    "cyclegan": (
        CycleGAN,
        "emoji",
        {"residual_blocks": 3, "upsampling": "resize"},
        {
            "GAN alone": {"lambda_cycle": 0, "lambda_identity": 0},
            "cycle alone": {"lambda_adversarial": 0, "lambda_identity": 0},
            "GAN + forward cycle": {"lambda_cycle": (10, 0), "lambda_identity": 0},
            "GAN + backward cycle": {"lambda_cycle": (0, 10), "lambda_identity": 0},
            "CycleGAN (GAN + both)": {"lambda_identity": 0},
            "CycleGAN + identity": {"lambda_identity": 0.5},
        },
    ),
    "unit": (
        UNIT,
        "emoji",
        {"variant": "paper", "residual_blocks": 2},
        {
            "GAN alone": {"lambda_reconstruction": 0, "lambda_kl": 0, "lambda_cycle": 0, "lambda_cycle_kl": 0},
            "VAE alone": {"lambda_adversarial": 0, "lambda_cycle": 0, "lambda_cycle_kl": 0},
            "VAE + GAN": {"lambda_cycle": 0, "lambda_cycle_kl": 0},
            "UNIT without KL": {"lambda_kl": 0, "lambda_cycle_kl": 0},
            "UNIT (VAE + GAN + cycle)": {},
        },
    ),
    "pix2pix": (
        Pix2Pix,
        "emoji/lines",
        {"downsamplings": 5, "normalization": "instance"},
        {"L1 alone": {"lambda_adversarial": 0}, "GAN alone": {"lambda_l1": 0}, "pix2pix (L1 + GAN)": {}},
    ),
}


def arguments(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--features", required=True, help="features of the kernel distance: FILE.keras")
    add("--results", default="runs/ablations.jsonl", help="a line a run (%(default)s)")
    add("--tables", nargs="+", default=list(TABLES), choices=TABLES, help="(all)")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(0 1 2)")
    add("--steps", type=int, default=800, help="of each run (%(default)s)")
    add("--size", type=int, default=32, help="pixels of a side (%(default)s)")
    add("--filters", type=int, default=16, help="of generators and discriminators (%(default)s)")
    add("--batch", type=int, default=4, help="images of each domain (%(default)s)")
    add("--learning-rate", type=float, default=2e-4, help="of both optimizers (%(default)s)")
    return parser.parse_args(words)


BUDGET = ("steps", "size", "filters", "batch", "learning_rate")


def main():
    args = arguments()
    args.results = Path(args.results)
    args.results.parent.mkdir(parents=True, exist_ok=True)
    extractor = feature_extractor(args.features)
    # By seeds, so that a table is there, if rough, before the last seed is done.
    for table in args.tables:
        for seed in args.seeds:
            for row in TABLES[table][3]:
                if not found(args, table, row, seed):
                    write(args, run(args, extractor, table, row, seed))
        show(args, table, extractor)


def run(args, extractor, table, row, seed):
    """Trains one row with one seed, and measures it."""
    model_class, dataset, common, rows = TABLES[table]
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    settings = {"filters": args.filters, "discriminator_filters": args.filters, "seed": seed, **common, **rows[row]}
    model = model_class((args.size, args.size, 3), **settings)
    model.compile(model.new_optimizer(args.learning_rate), model.new_optimizer(args.learning_rate))
    data = open_dataset(DataSettings(dataset, image_size=args.size, batch_size=args.batch, seed=seed))
    start = time.monotonic()
    model.fit(data.stream(), epochs=1, steps_per_epoch=args.steps, shuffle=False, verbose=0)
    seconds = round(time.monotonic() - start, 1)
    domains, real = reference(dataset, args.size, extractor)
    scores = {direction: measured(model, extractor, domains, real, direction) for direction in model.directions}
    budget = {name: getattr(args, name) for name in BUDGET}
    features = {"features": extractor.name, "resize": extractor.resize, "images": len(domains["a"])}
    return {"table": table, "row": row, "seed": seed, "seconds": seconds, **budget, **features, "scores": scores}


@functools.cache
def reference(dataset, size, extractor):
    """The test images of both domains and their features, the same for every run."""
    domains = all_drawings(dataset, "test", size)
    return domains, {letter: extractor(to_uint8(images)) for letter, images in domains.items()}


def measured(model, extractor, domains, real, direction):
    source, target = (domains[letter] for letter in direction)
    output = translations(model, source, direction)
    distance, _ = kernel_distance(real[direction[1]], extractor(to_uint8(output)), subsets=1, subset_size=len(target))
    return {"error": float(mean_error(output, target)), "distance": float(1000 * distance)}


# ---- results ----


def write(args, result):
    with args.results.open("a") as file:
        file.write(json.dumps(result) + "\n")
    print(
        f"{result['table']}, {result['row']}, seed {result['seed']}: {result['scores']} ({result['seconds']} s)",
        flush=True,
    )


def found(args, table, row, seed):
    """The result of such a run with this budget, or None."""
    lines = args.results.read_text().splitlines() if args.results.exists() else []
    wanted = {"table": table, "row": row, "seed": seed, **{name: getattr(args, name) for name in BUDGET}}
    results = map(json.loads, lines)
    return next((each for each in results if all(each[name] == value for name, value in wanted.items())), None)


def show(args, table, extractor):
    """The table in Markdown: mean and standard deviation over the seeds."""
    directions = TABLES[table][0].directions if table != "pix2pix" else ("ab",)
    print(
        f"\n{table}: {args.steps} steps of {args.batch}, {args.size} pixels, {args.filters} filters, seeds {args.seeds}"
    )
    heads = [f"error {d} | distance {d}" for d in directions]
    print(f"| | {' | '.join(heads)} |\n| --- |{' --- | --- |' * len(directions)}")
    for row in TABLES[table][3]:
        results = [found(args, table, row, seed) for seed in args.seeds]
        cells = [spread(results, d, *form) for d in directions for form in (("error", 3), ("distance", 1))]
        print(f"| {row} | {' | '.join(cells)} |")
    print(f"(distance: kernel distance x 1,000 with {extractor.name}, {extractor.resize})", flush=True)


def spread(results, direction, score, digits):
    values = [result["scores"][direction][score] for result in results]
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {deviation:.{digits}f}"


if __name__ == "__main__":
    main()
