#!/usr/bin/env python3
"""The usual Keras recipe of CycleGAN as a contestant, see stepping.py.

GroupNormalization with a group a channel, "same" padding, four optimizers, one persistent tape.
"""

import keras
import tensorflow as tf
from keras import layers
from stepping import arguments, serve

args = arguments(__doc__)
keras.mixed_precision.set_global_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[args.precision])


def kernel():
    return keras.initializers.RandomNormal(0.0, 0.02)


@keras.saving.register_keras_serializable()
class ReflectionPadding(layers.Layer):
    def __init__(self, padding):
        super().__init__()
        self.padding = padding

    def call(self, x):
        p = self.padding
        return tf.pad(x, [[0, 0], [p, p], [p, p], [0, 0]], "REFLECT")

    def compute_output_shape(self, shape):
        return shape[0], shape[1] + 2 * self.padding, shape[2] + 2 * self.padding, shape[3]


def block(x, filters, size, strides=1, padding="valid", layer=layers.Conv2D, activation=layers.ReLU):
    x = layer(filters, size, strides, padding, use_bias=False, kernel_initializer=kernel())(x)
    x = layers.GroupNormalization(groups=-1, gamma_initializer=kernel())(x)
    return activation()(x) if activation else x


def generator():
    image = layers.Input((args.size, args.size, 3))
    width = args.filters
    x = block(ReflectionPadding(3)(image), width, 7)
    for _ in range(2):
        width *= 2
        x = block(x, width, 3, 2, "same")
    for _ in range(args.blocks):
        y = block(ReflectionPadding(1)(x), width, 3)
        x = x + block(ReflectionPadding(1)(y), width, 3, activation=None)
    for _ in range(2):
        width //= 2
        x = block(x, width, 3, 2, "same", layers.Conv2DTranspose)
    x = layers.Conv2D(3, 7)(ReflectionPadding(3)(x))
    return keras.Model(image, layers.Activation("tanh", dtype="float32")(x))


def leaky():
    return layers.LeakyReLU(negative_slope=0.2)


def discriminator(width=64):
    image = layers.Input((args.size, args.size, 3))
    x = leaky()(layers.Conv2D(width, 4, 2, "same", kernel_initializer=kernel())(image))
    for factor, strides in ((2, 2), (4, 2), (8, 1)):
        x = block(x, width * factor, 4, strides, "same", activation=leaky)
    x = layers.Conv2D(1, 4, padding="same", kernel_initializer=kernel())(x)
    return keras.Model(image, layers.Activation("linear", dtype="float32")(x))


def inference():
    translate = tf.function(generator(), jit_compile=args.compile)
    images = tf.random.uniform((args.batch, args.size, args.size, 3), -1, 1)
    return lambda: translate(images).numpy()


def training():
    networks = generator_g, generator_f, discriminator_x, discriminator_y = (
        generator(),
        generator(),
        discriminator(),
        discriminator(),
    )
    optimizers = [keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in networks]
    for optimizer, network in zip(optimizers, networks, strict=True):
        optimizer.build(network.trainable_variables)
    mae, mse = keras.losses.MeanAbsoluteError(), keras.losses.MeanSquaredError()

    def adversarial(scores, target):
        return mse(tf.fill(tf.shape(scores), target), scores)

    @tf.function(jit_compile=args.compile)
    def step(x, y):
        with tf.GradientTape(persistent=True) as tape:
            fake_y, fake_x = generator_g(x, training=True), generator_f(y, training=True)
            cycled_x, cycled_y = generator_f(fake_y, training=True), generator_g(fake_x, training=True)
            same_x, same_y = generator_f(x, training=True), generator_g(y, training=True)
            real_x, real_y = discriminator_x(x, training=True), discriminator_y(y, training=True)
            scores_x, scores_y = discriminator_x(fake_x, training=True), discriminator_y(fake_y, training=True)
            losses = (
                adversarial(scores_y, 1.0) + 10 * mae(y, cycled_y) + 5 * mae(y, same_y),
                adversarial(scores_x, 1.0) + 10 * mae(x, cycled_x) + 5 * mae(x, same_x),
                0.5 * (adversarial(real_x, 1.0) + adversarial(scores_x, 0.0)),
                0.5 * (adversarial(real_y, 1.0) + adversarial(scores_y, 0.0)),
            )
        for loss, network, optimizer in zip(losses, networks, optimizers, strict=True):
            gradients = tape.gradient(loss, network.trainable_variables)
            optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return losses

    x, y = (tf.random.uniform((args.batch, args.size, args.size, 3), -1, 1) for _ in range(2))
    return lambda: [loss.numpy() for loss in step(x, y)]


if __name__ == "__main__":
    serve({"train": training, "infer": inference}[args.mode]())
