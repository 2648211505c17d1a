"""Data sets of two domains of images. Nothing is imported before it is asked for."""

from tf_cyclegan.settings.imports import exports

_MODULES = {"TranslationDataset": "pipelines", "load_dataset": "loading", "open_dataset": "loading"}
__all__, __getattr__, __dir__ = exports(__name__, _MODULES)
