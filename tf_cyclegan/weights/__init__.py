"""Trained weights of the package, of folders and of addresses. Nothing is imported before it is asked for."""

from tf_cyclegan.imports import exports

_MODULES = {
    "DEFAULT": "documents",
    "address_of": "downloads",
    "bundled_folder": "documents",
    "bundled_names": "documents",
    "downloaded": "downloads",
    "is_weights_folder": "documents",
    "read_document": "documents",
    "read_pretrained": "storing",
    "save_pretrained": "storing",
}
__all__, __getattr__, __dir__ = exports(__name__, _MODULES)
