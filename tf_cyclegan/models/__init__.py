"""The models that can be trained, by name. A model has a file here, and a line in `MODELS`."""

from tf_cyclegan.models.base import TranslationModel
from tf_cyclegan.models.cyclegan import CycleGAN
from tf_cyclegan.models.generator_only import PretrainedGenerator
from tf_cyclegan.models.pix2pix import Pix2Pix
from tf_cyclegan.models.pix2pixhd import Pix2PixHD
from tf_cyclegan.models.unit import UNIT

MODELS = {"cyclegan": CycleGAN, "pix2pix": Pix2Pix, "pix2pixhd": Pix2PixHD, "unit": UNIT}

__all__ = ["MODELS", "UNIT", "CycleGAN", "Pix2Pix", "Pix2PixHD", "PretrainedGenerator", "TranslationModel"]


def model_name(model):
    """The name of a model in `MODELS`; None for a model of another class."""
    return next((name for name, kind in MODELS.items() if type(model) is kind), None)
