#!/usr/bin/env python3
"""How near to the right answers a generator comes that is trained on them: the bound of what CycleGAN can learn.

    python benchmarks/emoji_bound.py --features mobilenet_v2.keras --results runs/emoji_bound.jsonl

The generator of the emoji recipe learns the pairs that CycleGAN never sees, flat and shaded drawing of one emoji, by L1
alone and by L1 with a GAN (pix2pix). The artists drew the two styles in other colors, so that even this leaves most of
the error. `--held-out` measures on 100 of the training emoji, which are then not trained on: the number of steps was
chosen there. Scores are those of `emoji_error.py`.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import tensorflow as tf
from emoji_error import Measure, add_emoji_flags, held_out, indices_of, pairs, recorded, scores, summary

from tf_cyclegan import Pix2Pix
from tf_cyclegan.settings.fields import flat
from tf_cyclegan.settings.train import train_settings
from tf_cyclegan.training.devices import dtype_policy
from tf_cyclegan.training.schedules import ConstantThenLinearDecay

KINDS = {"L1": {"lambda_adversarial": 0.0}, "L1 + GAN": {}}
GENERATOR = ("generator_type", "filters", "downsamplings", "full_size_skip", "upsampling")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_emoji_flags(parser, "runs/emoji_bound.jsonl")
    add("--kinds", nargs="+", default=list(KINDS), choices=KINDS, help="(all)")
    add("--steps", type=int, nargs="+", default=[2400], help="of each run (%(default)s)")
    add("--batch", type=int, default=8, help="pairs (%(default)s)")
    return parser.parse_args()


def main():
    args = arguments()
    judged = held_out() if args.held_out else indices_of({"test"})
    train = pairs([index for index in indices_of({"train_a", "train_b"}) if index not in judged])
    measure = Measure(pairs(judged), args.features)
    for kind in args.kinds:
        for steps in args.steps:
            found = [result(args, train, measure, kind, steps, seed) for seed in args.seeds]
            print(f"{kind}, {steps} steps of {args.batch}: {summary(found)}", flush=True)


def result(args, train, measure, kind, steps, seed):
    """The scores of both directions, each learned by a generator of its own."""
    key = {"kind": kind, "steps": steps, "batch": args.batch, "seed": seed, "held_out": args.held_out}
    return recorded(args.results, key, lambda: made(args, train, measure, kind, steps, seed))


def made(args, train, measure, kind, steps, seed):
    start, found = time.process_time(), {}
    for direction in ("ab", "ba"):
        found |= scores(trained(args, train, kind, steps, seed, direction), measure)
    return {"processor_seconds": round(time.process_time() - start), "scores": found}


def trained(args, train, kind, steps, seed, direction):
    keras.utils.set_random_seed(seed)
    of_emoji = flat(train_settings().resolved().of_model)
    model = Pix2Pix(
        (64, 64, 3),
        direction=direction,
        normalization="instance",
        dropout=0.0,
        discriminator_filters=of_emoji["discriminator_filters"],
        seed=seed,
        dtype=dtype_policy(args.precision),
        **{name: of_emoji[name] for name in GENERATOR},
        **KINDS[kind],
    )
    half = steps // 2
    rates = (ConstantThenLinearDecay(4e-4, 1, half, steps - half) for _ in range(2))
    model.compile(*map(model.new_optimizer, rates))
    model.fit(batches(train, args.batch, seed), epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)
    return model


def batches(train, batch, seed):
    """Batches of pairs without end, mirrored at random, both images of a pair alike."""
    data = tf.data.Dataset.from_tensor_slices((train["a"], train["b"]))
    data = data.shuffle(len(train["a"]), seed=seed).repeat()
    mirrored = tf.data.Dataset.random(seed=seed).map(lambda number: number % 2 == 0)
    data = tf.data.Dataset.zip(data, mirrored).map(lambda pair, chosen: _mirrored(*pair, chosen))
    return data.batch(batch, drop_remainder=True).prefetch(2)


def _mirrored(a, b, chosen):
    return tf.cond(chosen, lambda: (a[:, ::-1], b[:, ::-1]), lambda: (a, b))


if __name__ == "__main__":
    main()
