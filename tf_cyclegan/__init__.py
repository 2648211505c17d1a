"""Image-to-image translation in TensorFlow 2 and Keras 3."""

from tf_cyclegan.settings.imports import exports, register_with_keras

__version__ = "0.1.0"

_MODULES = {
    **dict.fromkeys(("CycleGAN", "Pix2Pix", "Pix2PixHD", "UNIT"), "models"),
    "from_pretrained": "weights.trained_models",
    "load_dataset": "data",
    **dict.fromkeys(("plot_history", "show"), "evaluation.plotting"),
    "save_pretrained": "weights",
}
__all__, __getattr__, __dir__ = exports(__name__, _MODULES)
__all__ += ["__version__"]


# Keras loads a saved model only if its classes are registered.
register_with_keras()
