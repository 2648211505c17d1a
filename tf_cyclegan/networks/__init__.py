"""Builder functions of the networks, each a functional `keras.Model`."""

from tf_cyclegan.networks.patchgan import four_stride_discriminator, patchgan_discriminator, pixel_discriminator
from tf_cyclegan.networks.resnet import resnet_generator
from tf_cyclegan.networks.unet import unet_generator

__all__ = [
    "four_stride_discriminator",
    "patchgan_discriminator",
    "pixel_discriminator",
    "resnet_generator",
    "unet_generator",
]
