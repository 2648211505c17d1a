"""The models that can be trained, by name; each is a file here and an import line below."""

from tf_cyclegan.models.base import TranslationModel
from tf_cyclegan.models.cyclegan import CycleGAN
from tf_cyclegan.models.generator_only import PretrainedGenerator
from tf_cyclegan.models.pix2pix import Pix2Pix
from tf_cyclegan.models.pix2pixhd import Pix2PixHD
from tf_cyclegan.models.unit import UNIT

MODELS = {"cyclegan": CycleGAN, "pix2pix": Pix2Pix, "pix2pixhd": Pix2PixHD, "unit": UNIT}

__all__ = ["MODELS", "UNIT", "CycleGAN", "Pix2Pix", "Pix2PixHD", "PretrainedGenerator", "TranslationModel"]
