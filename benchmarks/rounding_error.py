#!/usr/bin/env python3
"""How far ten steps of CycleGAN in float32 end from themselves when only the last bits of the first weights change.

python benchmarks/rounding_error.py

Programs that sum in another order, as one device and several do, cannot be expected to agree better than this. Printed
are, for each seed and learning rate, the largest relative differences of a loss in the first step, the second, and on.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf

from tf_cyclegan import CycleGAN

_BATCH = (4, 32, 32, 3)


def losses(seed, rate, change, steps):
    """Losses of each step, `(steps, losses)`, of a small model whose weights begin `change`, relative, off."""
    keras.utils.set_random_seed(seed)
    model = CycleGAN(image_shape=_BATCH[1:], filters=4, residual_blocks=2, discriminator_filters=4, pool_size=0)
    model.compile()
    for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
        optimizer.learning_rate = rate
    random = np.random.RandomState(seed)
    for variable in model.trainable_variables:
        signs = random.choice([-1, 1], variable.shape).astype("float32")
        variable.assign(variable * (1 + change * signs))
    step = tf.function(model.train_step, autograph=False)
    rows = []
    for _ in range(steps):
        batch = tuple(tf.constant(random.uniform(-1, 1, _BATCH), tf.float32) for _ in range(2))
        model.reset_metrics()
        rows.append([float(value) for value in step(batch).values()])
    return np.array(rows)


def main(args):
    for seed in range(args.seeds):
        for rate in args.rates:
            plain, changed = (losses(seed, rate, change, args.steps) for change in (0, np.finfo("float32").eps))
            apart = (np.abs(changed - plain) / np.abs(plain)).max(axis=1)
            print(f"seed {seed}, learning rate {rate:g}:", *(f"{each:.0e}" for each in apart), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rates", type=float, nargs="+", default=[2e-4, 2e-5])
    main(parser.parse_args())
