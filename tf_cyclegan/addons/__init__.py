"""Weights trained with tensorflow_addons' instance normalization, without needing tensorflow_addons."""

from tf_cyclegan.addons.loading import addons_networks, load_addons_weights
from tf_cyclegan.addons.reading import read_addons_weights

__all__ = ["addons_networks", "load_addons_weights", "read_addons_weights"]
