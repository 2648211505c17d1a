"""Networks that the tests beside PyTorch share."""

import numpy as np

from tf_cyclegan import networks

ANY = (None, None)
TOLERANCE = 1e-4
TINY = {"filters": 2, "residual_blocks": 1}
FAMILIES = {
    "resnet": ("resnet_generator", {"filters": 4, "residual_blocks": 6}),
    "resnet of the paper": ("resnet_generator", {}),
    "resnet with batch normalization": (
        "resnet_generator",
        {"filters": 4, "residual_blocks": 2, "normalization": "batch", "dropout": 0.5},
    ),
    "unet": ("unet_generator", {"image_shape": (*ANY, 3), "filters": 4, "downsamplings": 6}),
    "patchgan": ("patchgan_discriminator", {"image_shape": (*ANY, 3), "filters": 4}),
    "four strides": ("four_stride_discriminator", {"image_shape": (*ANY, 3), "filters": 4}),
    "pixel": ("pixel_discriminator", {"image_shape": (*ANY, 3), "filters": 4}),
    "global": ("global_generator", {"filters": 2, "residual_blocks": 2}),
    "local": ("local_enhancer", {"filters": 2, "downsamplings": 3, "residual_blocks": 2}),
    "features": ("feature_encoder", {"filters": 2}),
    "multiscale": ("multiscale_discriminator", {"image_shape": (*ANY, 3), "filters": 4}),
    "UNIT's encoder": ("unit_encoder", {"filters": 4}),
    "UNIT's decoder": ("unit_decoder", {"filters": 4}),
    "UNIT's discriminator": ("unit_discriminator", {"image_shape": (*ANY, 3), "filters": 4}),
    "shared encoder": ("shared_latent_encoder", {"filters": 4}),
    "shared decoder": ("shared_latent_decoder", {"filters": 4}),
}


def random_network(function, settings, biases=True):
    """A network whose weights are all random, such that its answers are neither flat nor saturated."""
    network = getattr(networks, function)(initializer="kaiming", **settings)
    random = np.random.default_rng(1)
    for weight in network.weights:
        shape = tuple(weight.shape)
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.7, 1.3, shape))
        elif weight.name in ("beta", "moving_mean") or weight.name == "bias" and biases:
            weight.assign(random.normal(0, 0.1, shape))
    return network
