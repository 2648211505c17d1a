"""The settings of pix2pix."""

from typing import Literal

from tf_cyclegan.settings.fields import USE, derived, otherwise, settings
from tf_cyclegan.settings.models.shared import ChosenSettings, DirectedSettings


@settings
class Pix2PixSettings(DirectedSettings, ChosenSettings):
    """pix2pix: learns one direction from pairs of images."""

    dataset = "emoji/lines"
    # Batches of one image, as batch normalization has when it translates.
    emoji_run = {"batch_size": 1, "learning_rate": 2e-4, "epochs": 3, "decay_epochs": 5}

    inference_statistics: Literal["image", "moving"] = derived("image", networks=USE)
    """Statistics of batch normalization when it translates. image: statistics of each image, as in training with
    batches of one and in the reference's test. moving: averages over the training."""
    dropout_placement: Literal["reference", "paper"] = derived("reference", networks=USE)
    """Steps of a U-Net's decoder with dropout. reference: the steps after the first, as in the PyTorch implementation.
    paper: the steps from the first on."""
    lambda_l1: float = derived(100.0)
    """Weight of the L1 loss, the mean absolute difference from the right answer."""

    generator_type = otherwise(default="unet")
    filters = otherwise(emoji=32)
    residual_blocks = otherwise(small=6)
    normalization = otherwise(default="batch")
    dropout = otherwise(default=0.5)
    gan_mode = otherwise(default="vanilla")
    pool_size = otherwise()
    """Pairs of input and output in the discriminator's history of generated images, 0 for none; images of different
    sizes need 0."""
