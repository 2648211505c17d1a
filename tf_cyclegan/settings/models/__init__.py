"""The settings of each model by its name. A model has a file here, and a line in `MODEL_SETTINGS`."""

from tf_cyclegan.settings.models.cyclegan import CycleGANSettings
from tf_cyclegan.settings.models.pix2pix import Pix2PixSettings
from tf_cyclegan.settings.models.pix2pixhd import Pix2PixHDSettings
from tf_cyclegan.settings.models.shared import ModelSettings
from tf_cyclegan.settings.models.unit import UNITSettings

MODEL_SETTINGS = {
    "cyclegan": CycleGANSettings,
    "pix2pix": Pix2PixSettings,
    "pix2pixhd": Pix2PixHDSettings,
    "unit": UNITSettings,
}

__all__ = [
    "MODEL_SETTINGS",
    "CycleGANSettings",
    "ModelSettings",
    "Pix2PixHDSettings",
    "Pix2PixSettings",
    "UNITSettings",
]
