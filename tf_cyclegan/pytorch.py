"""Weights of the PyTorch implementations in the networks here, without needing torch."""

from tf_cyclegan.weights.pytorch import *  # noqa: F403
from tf_cyclegan.weights.pytorch import __all__  # noqa: F401
