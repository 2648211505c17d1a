"""Keras layers of the networks: padding as PyTorch defines it, instance and batch normalization."""

from tf_cyclegan.networks.layers import *  # noqa: F403
from tf_cyclegan.networks.layers import __all__  # noqa: F401
