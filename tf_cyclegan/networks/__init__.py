"""Builder functions of the networks, each a functional `keras.Model`."""

from tf_cyclegan.networks.coarse_to_fine import coarse_and_fine, feature_encoder, global_generator, local_enhancer
from tf_cyclegan.networks.discriminators import (
    four_stride_discriminator,
    multiscale_discriminator,
    patchgan_discriminator,
    pixel_discriminator,
    unit_discriminator,
)
from tf_cyclegan.networks.resnet import resnet_generator
from tf_cyclegan.networks.shared_latent import (
    shared_latent_block,
    shared_latent_decoder,
    shared_latent_encoder,
    unit_decoder,
    unit_encoder,
)
from tf_cyclegan.networks.taps import tapped
from tf_cyclegan.networks.unet import unet_generator

__all__ = [
    "coarse_and_fine",
    "feature_encoder",
    "four_stride_discriminator",
    "global_generator",
    "local_enhancer",
    "multiscale_discriminator",
    "patchgan_discriminator",
    "pixel_discriminator",
    "resnet_generator",
    "shared_latent_block",
    "shared_latent_decoder",
    "shared_latent_encoder",
    "tapped",
    "unet_generator",
    "unit_decoder",
    "unit_discriminator",
    "unit_encoder",
]
