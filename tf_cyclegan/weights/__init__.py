"""Trained weights of the package, of folders and of addresses. Nothing is imported before it is asked for."""

from tf_cyclegan.settings.imports import exports

_MODULES = {
    "DEFAULT": "pretrained",
    "address_of": "pretrained",
    "bundled_folder": "pretrained",
    "bundled_names": "pretrained",
    "downloaded": "pretrained",
    "is_weights_folder": "pretrained",
    "read_document": "pretrained",
    "read_pretrained": "storing",
    "save_pretrained": "storing",
}
__all__, __getattr__, __dir__ = exports(__name__, _MODULES)
