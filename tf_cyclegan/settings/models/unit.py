"""The settings of UNIT."""

from typing import Literal

from tf_cyclegan.settings.fields import SHAPE, derived, otherwise, settings
from tf_cyclegan.settings.models.shared import CycleSettings, ModelSettings, MultiScaleSettings


@settings
class UNITSettings(CycleSettings, MultiScaleSettings, ModelSettings):
    """unit: learns both directions from two sets of images through a latent space. Defaults depend on the variant."""

    # As in the reference, which halves the rate ten times in a run.
    run = {"learning_rate": 1e-4, "schedule": "step", "epochs": 180, "decay_epochs": 20, "decay_rate": 0.5}
    emoji_run = {"epochs": 8, "decay_epochs": 4}

    variant: Literal["v1.1", "paper"] = derived("v1.1", networks=SHAPE)
    """v1.1: the authors' later version. paper: the paper's version, which shares layers between the domains."""
    lambda_reconstruction: float = derived(shown="10; 100 for the variant paper")
    """Weight of the reconstruction loss: the difference between an image and its code decoded in its own domain."""
    lambda_kl: float = derived(shown="0.01; 0.1 for the variant paper")
    """Weight of the KL divergence of codes from a normal distribution."""
    lambda_cycle_kl: float = derived(shown="0.01; 0.1 for the variant paper")
    """Weight of the KL divergence of codes of translated images."""

    filters = otherwise(emoji=16)
    """Filters of the first convolution of each encoder."""
    residual_blocks = otherwise(default=None, emoji=3, shown="4; 3 for the variant paper")
    """Residual blocks of each encoder and decoder, without the shared block of the variant paper."""
    initializer = otherwise(default=None, shown="kaiming; normal for the variant paper")
    """Distribution of the initial weights of encoders and decoders; discriminators have normal."""
    discriminator_layers = otherwise(default=None, shown="4")
    """Strided convolutions of a discriminator at each scale; fixed in the variant paper."""
    scales = otherwise(default=None, shown="3; 1 for the variant paper")
    """Number of sizes at which a discriminator judges an image, each half of the one before; fixed in the variant
    paper."""
    gan_mode = otherwise()
    """The adversarial loss, any but wgangp: lsgan is least squares, vanilla is cross entropy."""
    lambda_cycle = otherwise(shown="10; 100 for the variant paper")
    lambda_adversarial = otherwise(default=None, shown="1; 10 for the variant paper")
