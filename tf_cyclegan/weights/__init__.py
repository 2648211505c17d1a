"""Trained weights: of the package, of folders and of addresses. Names are imported when they are first used."""

from tf_cyclegan.settings.imports import exports

_MODULES = {
    "DEFAULT": "weight_folders",
    "address_of": "weight_folders",
    "bundled_folder": "weight_folders",
    "bundled_names": "weight_folders",
    "downloaded": "weight_folders",
    "is_weights_folder": "weight_folders",
    "read_document": "weight_folders",
    "read_pretrained": "pretrained",
    "save_pretrained": "pretrained",
}
__all__, __getattr__, __dir__ = exports(__name__, _MODULES)
