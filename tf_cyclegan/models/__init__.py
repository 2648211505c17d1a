"""The models, by name. A model is a file here and an import line below."""

from tf_cyclegan.models.base import TranslationModel
from tf_cyclegan.models.cyclegan import CycleGAN
from tf_cyclegan.models.pix2pix import Pix2Pix

MODELS = {"cyclegan": CycleGAN, "pix2pix": Pix2Pix}

__all__ = ["MODELS", "CycleGAN", "Pix2Pix", "TranslationModel"]
