#!/usr/bin/env python3
"""What each part of the emoji recipe does: every part left out or exchanged in turn, for equal processor time.

    python benchmarks/emoji_recipe.py --features mobilenet_v2.keras --seconds 400 --results runs/emoji_recipe.jsonl

A row is trained for as many steps as fit into `--seconds` of processor time, which a first model measures; its
learning rate falls over the second half of them. `--held-out` measures on 100 of the training emoji, which are then
not trained on: the recipe was chosen there, by `--set` too. Scores are those of `emoji_error.py`, over those of the
input. A run that is in `--results` is not made again.
"""

import argparse
import ast
import functools
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import tensorflow as tf
from emoji_error import Measure, add_emoji_flags, held_out, indices_of, pairs, recorded, scores, summary

from tf_cyclegan import CycleGAN
from tf_cyclegan.settings.fields import flat, names_of
from tf_cyclegan.settings.models import CycleGANSettings
from tf_cyclegan.settings.train import train_settings
from tf_cyclegan.training.devices import dtype_policy
from tf_cyclegan.training.schedules import ConstantThenLinearDecay

# Settings of the model, and of the run: `batch_size`, `learning_rate`, `shared` (every emoji in both domains).
ROWS = {
    "recipe": {},
    "ResNet instead of U-Net": {
        "generator_type": "resnet",
        "downsamplings": 2,
        "full_size_skip": False,
        "residual_blocks": 6,
    },
    "no bridge at full size": {"full_size_skip": False},
    "deconvolution instead of resize": {"upsampling": "deconvolution"},
    "no augmentation": {"augment": ()},
    "no color in it": {"augment": ("translation", "cutout")},
    "gray instead of white borders": {"augment_fill": 0.0},
    "no identity": {"lambda_identity": 0.0},
    "patches of 70 pixels": {"discriminator_layers": 3, "discriminator_filters": 32},
    "every emoji in both domains": {"shared": True},
}
MEASURED_STEPS = 20


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_emoji_flags(parser, "runs/emoji_recipe.jsonl")
    add("--rows", nargs="+", default=list(ROWS), choices=ROWS, help="(all)")
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings in the place of the recipe's")
    add("--seconds", type=float, default=400, help="of processor time (%(default)s)")
    add("--steps", type=int, help="steps of each run, in the place of --seconds")
    return parser.parse_args()


def main():
    args = arguments()
    judged = held_out() if args.held_out else indices_of({"test"})
    measure = Measure(pairs(judged), args.features)
    for row in args.rows:
        found = [result(args, row, seed, judged, measure) for seed in args.seeds]
        print(f"{row} {' '.join(args.set)}: {summary(found)}", flush=True)


def result(args, row, seed, judged, measure):
    """The scores of a row and a seed."""
    budget = {"seconds": args.seconds} if args.steps is None else {"steps": args.steps}
    key = {"row": row, "set": args.set, "seed": seed, "held_out": args.held_out, **budget}
    return recorded(args.results, key, lambda: made(args, settings_of(row, args.set), seed, judged, measure))


def made(args, settings, seed, judged, measure):
    prepare = functools.partial(prepared, args, settings, judged, seed)
    steps = args.steps or steps_within(args.seconds, prepare)
    model, seconds = trained(prepare, steps)
    return {"steps": steps, "processor_seconds": seconds, "scores": scores(model, measure)}


def settings_of(row, exchanged):
    of_emoji = train_settings().resolved()
    of_model = flat(of_emoji.of_model)
    of_run = {name: of_emoji.get(name) for name in ("batch_size", "learning_rate")}
    given = dict(word.split("=", 1) for word in exchanged)
    return {**of_model, **of_run, "shared": False, **ROWS[row], **{name: _value(text) for name, text in given.items()}}


def _value(text):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def steps_within(limit, prepare):
    """How many steps fit into seconds of processor time, by a model that is thrown away.

    Args:
        limit: float, the seconds.
        prepare: callable, a number of steps to a new model, compiled for a run of so many, and its batches.
    """
    model, data = prepare(1000)
    seconds = []
    for _ in range(2):  # the first compiles
        start = time.process_time()
        model.fit(data, epochs=1, steps_per_epoch=MEASURED_STEPS, shuffle=False, verbose=0)
        seconds.append((time.process_time() - start) / MEASURED_STEPS)
    return int(limit / seconds[-1])


def trained(prepare, steps):
    """A model of `prepare` after so many steps, and the processor time in seconds that it took."""
    start = time.process_time()
    model, data = prepare(steps)
    model.fit(data, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)
    return model, round(time.process_time() - start)


def compile_to_decay(model, rate, steps):
    """Compiles a model for a run of so many steps, in whose second half the learning rate falls."""
    half = steps // 2
    model.compile(*(model.new_optimizer(ConstantThenLinearDecay(rate, 1, half, steps - half)) for _ in range(2)))


def prepared(args, settings, judged, seed, steps):
    """A new model, compiled for a run of so many steps, and its batches."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    batch, rate, shared = (settings[name] for name in ("batch_size", "learning_rate", "shared"))
    of_model = {name: value for name, value in settings.items() if name in names_of(CycleGANSettings)}
    cycle = of_model["lambda_cycle"]
    of_model["lambda_cycle"] = cycle[0] if len(cycle) == 1 else cycle
    model = CycleGAN((64, 64, 3), seed=seed, dtype=dtype_policy(args.precision), **of_model)
    compile_to_decay(model, rate, steps)
    splits = ({"train_a", "train_b"},) * 2 if shared else ({"train_a"}, {"train_b"})
    kept = ([index for index in indices_of(split) if index not in set(judged)] for split in splits)
    domains = (
        _stream(pairs(indices)[key], batch, 2 * seed + number)
        for number, (key, indices) in enumerate(zip("ab", kept, strict=True))
    )
    return model, tf.data.Dataset.zip(tuple(domains)).prefetch(2)


def _stream(drawings, batch, seed):
    """Batches of one domain without end, in an order of their own, mirrored at random."""
    data = tf.data.Dataset.from_tensor_slices(drawings).shuffle(len(drawings), seed=seed).repeat()
    mirrored = tf.data.Dataset.random(seed=seed + 1000)
    data = tf.data.Dataset.zip(data, mirrored)
    return data.map(lambda x, n: tf.where(n % 2 == 0, x[:, ::-1], x)).batch(batch, drop_remainder=True)


if __name__ == "__main__":
    main()
