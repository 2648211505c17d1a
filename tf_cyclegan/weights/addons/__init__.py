"""Weights trained with tensorflow_addons' instance normalization, without needing tensorflow_addons."""

from tf_cyclegan.weights.addons.addons_files import read_addons_weights
from tf_cyclegan.weights.addons.addons_networks import addons_networks, load_addons_weights

__all__ = ["addons_networks", "load_addons_weights", "read_addons_weights"]
