"""How good a translation model is, in numbers. Nothing is imported before it is asked for."""

from tf_cyclegan.evaluation import metrics

__all__, __getattr__, __dir__ = metrics.__all__, metrics.__getattr__, metrics.__dir__
