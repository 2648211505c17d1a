"""The models, by name. A model is a file here and an import line below."""

from tf_cyclegan.models.base import TranslationModel
from tf_cyclegan.models.cyclegan import CycleGAN

MODELS = {"cyclegan": CycleGAN}

__all__ = ["MODELS", "CycleGAN", "TranslationModel"]
