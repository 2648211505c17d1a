"""Makes the files in tests/data/addons as users of tensorflow_addons made theirs.

    python3.11 -m venv addons && addons/bin/pip install "tensorflow==2.15.*" "tensorflow-addons==0.23.*"
    addons/bin/python tests/make_addons_weights.py

They were made with TensorFlow 2.15.1 and tensorflow_addons 0.23.0. `expected.npz` holds what each network
answers to the images of `random_images` in conftest.py.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa
from tensorflow.keras import layers

FOLDER = Path(__file__).parent / "data" / "addons"
INPUTS = {
    name: np.random.RandomState(0).uniform(-1, 1, (1, *size, 3)).astype("float32")
    for name, size in {"square": (32, 32), "wide": (32, 48), "small": (16, 16)}.items()
}


def reflect(x, pixels):
    return layers.Lambda(lambda x: tf.pad(x, [[0, 0], [pixels] * 2, [pixels] * 2, [0, 0]], "REFLECT"))(x)


def normalized(x, activation=None):
    x = tfa.layers.InstanceNormalization()(x)
    return activation(x) if activation else x


def encoder(x, filters):
    x = layers.Conv2D(filters, 7, use_bias=False)(reflect(x, 3))
    x = normalized(x, layers.ReLU())
    for width in (2 * filters, 4 * filters):
        x = layers.Conv2D(width, 3, 2, "same", use_bias=False)(x)
        x = normalized(x, layers.ReLU())
    return x


def residual_block(x):
    width = x.shape[-1]
    y = normalized(layers.Conv2D(width, 3, use_bias=False)(reflect(x, 1)), layers.ReLU())
    return layers.add([x, normalized(layers.Conv2D(width, 3, use_bias=False)(reflect(y, 1)))])


def decoder(x, filters):
    for width in (2 * filters, filters):
        x = layers.Conv2DTranspose(width, 3, 2, "same", use_bias=False)(x)
        x = normalized(x, layers.ReLU())
    return layers.Activation("tanh")(layers.Conv2D(3, 7)(reflect(x, 3)))


def generator(filters, blocks, name=None):
    x = image = layers.Input((None, None, 3))
    x = encoder(x, filters)
    for _ in range(blocks):
        x = residual_block(x)
    return with_random_weights(tf.keras.Model(image, decoder(x, filters), name=name))


def nested_generator(filters):
    """The same in parts, one inside the other."""
    features = layers.Input((None, None, 4 * filters))
    transformer = tf.keras.Model(features, residual_block(features))
    image = layers.Input((None, None, 3))
    down = tf.keras.Model(image, transformer(encoder(image, filters)))
    image = layers.Input((None, None, 3))
    return with_random_weights(tf.keras.Model(image, decoder(down(image), filters)))


def discriminator(filters, name=None):
    x = image = layers.Input((None, None, 3))
    x = layers.LeakyReLU(0.2)(layers.Conv2D(filters, 4, 2, "same")(x))
    for width, stride in ((2, 2), (4, 2), (8, 1)):
        x = layers.Conv2D(width * filters, 4, stride, "same", use_bias=False)(x)
        x = normalized(x, layers.LeakyReLU(0.2))
    return with_random_weights(tf.keras.Model(image, layers.Conv2D(1, 4, 1, "same")(x), name=name))


def with_random_weights(network):
    """Weights of a size at which outputs are neither near 0 nor at the ends of tanh."""
    random = np.random.RandomState(len(network.weights))
    for weight in network.weights:
        kind = weight.name.split("/")[-1].split(":")[0]
        fan_in = np.prod(weight.shape[:-1]) if kind == "kernel" else 1
        scale = {"kernel": fan_in**-0.5}.get(kind, 0.3)
        weight.assign(random.normal(kind == "gamma", scale, weight.shape))
    return network


class CycleGan(tf.keras.Model):
    """As the example of Keras keeps its networks and optimizers."""

    def __init__(self, **networks):
        super().__init__()
        self.networks = list(networks.values())
        for name, network in networks.items():
            setattr(self, name, network)

    def compile(self):
        super().compile()
        self.gen_G_optimizer = tf.keras.optimizers.Adam(2e-4, beta_1=0.5)
        self.disc_X_optimizer = tf.keras.optimizers.legacy.Adam(2e-4, beta_1=0.5)

    def call(self, images):
        return [network(images) for network in self.networks]

    def train(self, images):
        for network, optimizer in ((self.gen_G, self.gen_G_optimizer), (self.disc_X, self.disc_X_optimizer)):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(network(images) ** 2)
            weights = network.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))


def whole_generator():
    """A model that was compiled and trained, so that its file holds an optimizer as well."""
    network = generator(1, 0)
    network.compile(tf.keras.optimizers.SGD(1e-3, momentum=0.9), "mae")
    network.train_on_batch(INPUTS["small"], INPUTS["small"][:, ::-1])
    return network


def cyclegan():
    model = CycleGan(
        gen_G=generator(1, 1, "generator_G"),
        gen_F=generator(1, 2, "generator_F"),
        disc_X=discriminator(1, "discriminator_X"),
        disc_Y=discriminator(1, "discriminator_Y"),
    )
    model.compile()
    model(INPUTS["small"])
    model.train(INPUTS["small"])
    return model


def half_of(model):
    """Every further network would add 25 kB of HDF5's own."""
    half = CycleGan(gen_G=model.gen_G, disc_Y=model.disc_Y)
    half(INPUTS["small"])
    return half


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    single = {
        "generator.h5": generator(2, 2),
        "whole_generator.h5": whole_generator(),
        "discriminator.h5": discriminator(2),
        "discriminator": discriminator(1),
        "nested_generator": nested_generator(1),
    }
    for path, network in single.items():
        save = network.save if path.startswith("whole") else network.save_weights
        save(FOLDER / path)
    model = cyclegan()
    model.save_weights(FOLDER / "cyclegan")
    half_of(model).save_weights(FOLDER / "cyclegan.h5")
    objects = {"G_A2B": generator(1, 1), "D_B": discriminator(1), "epoch": tf.Variable(3)}
    tf.train.Checkpoint(**objects).write(FOLDER / "objects")
    (FOLDER / "checkpoint").unlink()

    parts = {f"cyclegan/{name}": getattr(model, name) for name in ("gen_G", "gen_F", "disc_X", "disc_Y")}
    parts |= {f"objects/{name}": objects[name] for name in ("G_A2B", "D_B")}
    expected = [answers(*item) for item in (single | parts).items()]
    np.savez_compressed(FOLDER / "expected.npz", **{name: image for each in expected for name, image in each.items()})


def answers(path, network):
    names = ("square", "wide") if path in ("generator.h5", "discriminator.h5") else ("small",)
    return {f"{path}/{name}": network(INPUTS[name]).numpy() for name in names}


if __name__ == "__main__":
    main()
