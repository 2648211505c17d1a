"""Measures of translation models, each imported at its first use."""

from tf_cyclegan.evaluation import metrics

__all__, __getattr__, __dir__ = metrics.__all__, metrics.__getattr__, metrics.__dir__
