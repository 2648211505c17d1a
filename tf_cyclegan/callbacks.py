"""Callbacks of `fit`: sample grids, scores, health, progress, checkpoints and stopping. Each can be used alone."""

from tf_cyclegan.training.callbacks import *  # noqa: F403
from tf_cyclegan.training.callbacks import __all__  # noqa: F401
