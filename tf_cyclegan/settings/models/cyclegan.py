"""The settings of CycleGAN."""

from typing import Literal

from tf_cyclegan.settings.fields import SHAPE, derived, otherwise, settings
from tf_cyclegan.settings.models.shared import ChosenSettings, CycleSettings


@settings
class CycleGANSettings(CycleSettings, ChosenSettings):
    """cyclegan: learns both directions from two sets of images without pairs."""

    # For runs of minutes.
    emoji_run = {"minutes": 10.0, "epochs": 6, "decay_epochs": 6}

    convolution_padding: Literal["explicit", "same"] = derived("explicit", networks=SHAPE)
    """Padding of strided convolutions in generators and patch discriminators: explicit as in PyTorch, or same as in
    TensorFlow, for weights that were trained there."""
    lambda_identity: float = derived(0.5, shown="0.5; 0 if the domains differ in channels")
    """Weight of the identity loss, as a multiple of --lambda-cycle; 0 if the domains differ in channels."""

    generator_type = otherwise(emoji="unet")
    filters = otherwise(emoji=24)
    # The paper takes 6 below 256 pixels.
    residual_blocks = otherwise(small=6, emoji=6)
    # For a U-Net: drawings of 64 pixels keep their lines and faces.
    downsamplings = otherwise(emoji=4, shown="2 for resnet; for unet as many as fit, at most 8")
    full_size_skip = otherwise(emoji=True)
    upsampling = otherwise(emoji="resize")
    # Patches of 34 pixels, not of 70: the styles differ in shading and edges, and images have 64 pixels.
    discriminator_filters = otherwise(emoji=48)
    discriminator_layers = otherwise(emoji=2)
    lambda_cycle = otherwise(default=(10.0,))
    """Weight of the cycle loss; or two weights, for the forward cycle, which begins in A, and the backward cycle."""
    pool_size = otherwise(default=50)
    # Without augmentation the discriminators soon know the drawings by heart, and drive the generators to speckles.
    augment = otherwise(emoji="color,translation,cutout")
    augment_fill = otherwise(emoji=1.0)

    def defaults(self, situation):
        values = super().defaults(situation)
        if self.generator_type == "resnet":
            values |= {"downsamplings": None, "full_size_skip": False}
        if situation.channels[0] != situation.channels[1]:
            values["lambda_identity"] = 0.0
        return values
