#!/usr/bin/env python3
"""tf_cyclegan as a contestant, see stepping.py."""

import keras
from stepping import arguments, serve

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def training(args):
    import tensorflow as tf

    from tf_cyclegan import CycleGAN

    shape = (args.size, args.size, 3)
    model = CycleGAN(shape, filters=args.filters, residual_blocks=args.blocks, dtype=POLICIES[args.precision])
    model.compile(jit_compile=args.compile)
    images_a, images_b = (tf.random.uniform((args.batch, *shape), -1, 1) for _ in range(2))
    return lambda: model.train_on_batch(images_a, images_b)


def inference(args):
    import tensorflow as tf

    images = tf.random.uniform((args.batch, args.size, args.size, 3), -1, 1)
    if args.model:
        translate = tf.saved_model.load(args.model).signatures["tensor"]
        return lambda: translate(image=images)["translated"].numpy()
    from tf_cyclegan.networks import resnet_generator

    network = resnet_generator(filters=args.filters, residual_blocks=args.blocks, dtype=POLICIES[args.precision])
    translate = tf.function(network, jit_compile=args.compile)
    return lambda: translate(images).numpy()


if __name__ == "__main__":
    settings = arguments(__doc__)
    keras.utils.set_random_seed(0)
    serve({"train": training, "infer": inference}[settings.mode](settings))
