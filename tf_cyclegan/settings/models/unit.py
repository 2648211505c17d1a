"""The settings of UNIT."""

from typing import Literal

from tf_cyclegan.settings.fields import SHAPE, derived, otherwise, settings
from tf_cyclegan.settings.models.shared import CycleSettings, ModelSettings, MultiScaleSettings


@settings
class UNITSettings(CycleSettings, MultiScaleSettings, ModelSettings):
    """unit: two sets of images, which share a latent code. What its variants differ in is left to the model."""

    # It halves its rate ten times in a run.
    run = {"learning_rate": 1e-4, "schedule": "step", "epochs": 180, "decay_epochs": 20, "decay_rate": 0.5}
    emoji_run = {"epochs": 8, "decay_epochs": 4}

    variant: Literal["v1.1", "paper"] = derived("v1.1", networks=SHAPE)
    """The authors' released version 1.1, or the paper's, which shares layers between the domains."""
    lambda_reconstruction: float = derived(shown="10; 100 for the variant paper")
    """Weight of the difference between an image and what its own decoder makes of its code."""
    lambda_kl: float = derived(shown="0.01; 0.1 for the variant paper")
    """Weight of the codes' distance from a normal distribution."""
    lambda_cycle_kl: float = derived(shown="that of --lambda-kl")
    """The same of the codes of translated images."""

    filters = otherwise(emoji=16)
    residual_blocks = otherwise(default=None, emoji=3, shown="4; 3 for the variant paper and for emoji")
    initializer = otherwise(default=None, shown="kaiming; normal for the variant paper")
    discriminator_layers = otherwise(default=None, shown="4")
    scales = otherwise(default=None, shown="3; 1 for the variant paper")
    lambda_cycle = otherwise(shown="10; 100 for the variant paper")
    lambda_adversarial = otherwise(default=None, shown="1; 10 for the variant paper")
