"""Image-to-image translation in TensorFlow 2 and Keras 3."""

import importlib

from tf_cyclegan.settings.imports import register_with_keras

__version__ = "0.1.0"

_PUBLIC = {
    **dict.fromkeys(("CycleGAN", "Pix2Pix", "Pix2PixHD", "UNIT"), "tf_cyclegan.models"),
    "from_pretrained": "tf_cyclegan.weights.trained_models",
    "load_dataset": "tf_cyclegan.data",
    **dict.fromkeys(("plot_history", "show"), "tf_cyclegan.evaluation.plotting"),
    "save_pretrained": "tf_cyclegan.weights",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})


# Keras loads a saved model only if its classes are registered.
register_with_keras()
