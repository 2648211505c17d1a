"""The command `serve`: a folder of models, or the bundled weights, exported once into the user's cache."""

import dataclasses
from pathlib import Path

import tensorflow as tf

from tf_cyclegan import __version__
from tf_cyclegan.files import cached_folder
from tf_cyclegan.serving import run_serve
from tf_cyclegan.weights import DEFAULT, bundled_folder, read_document


def serve(config, report):
    """Serves a folder of exported models; where there is none, bundled weights.

    Args:
        config: `ServeSettings`, whose `directory` may be None or the name of bundled weights.
        report: callable, takes lines of text.

    Returns:
        0.

    Raises:
        ValueError: for settings that make no server.
        OSError: if the address cannot be listened on.
    """
    directory, labels = _with_last_word(config.directory, config.labels)
    if directory is None or (bundled_folder(directory) and not directory.exists()):
        directory = exported_weights(str(directory or DEFAULT), report)
    return run_serve(dataclasses.replace(config, directory=directory, labels=labels), report)


def _with_last_word(directory, labels):
    """`serve --labels NAME:LABEL=VERSION ... DIRECTORY`: labels take all words that follow, a folder among them."""
    if directory is None and labels and "=" not in labels[-1]:
        return Path(labels[-1]), labels[:-1]
    return directory, labels


def exported_weights(name, report):
    """A folder with bundled weights as exported models, `NAME_ab` and `NAME_ba`.

    It is made once, and kept for as long as weights, package and TensorFlow stay what they are. Who opens the page
    waits for the first export: it is not compared with the Keras model, as `tf-cyclegan export` does, but a test does
    that.

    Args:
        name: str, the name of bundled weights.
        report: callable, takes lines of text.

    Returns:
        `Path`.
    """
    digest = read_document(bundled_folder(name))["weights"]["sha256"][:12]

    def fill(folder):
        report(f"Exporting the bundled weights {name}, once.")
        _export(name, folder)

    folder = cached_folder(f"served/{name}-{digest}-{__version__}-tf{tf.__version__}", fill)
    report(f"Taking the bundled weights {name}, exported to {folder}.")
    return folder


def _export(name, folder):
    # Imported where they are needed: a start that finds its export has no use for them.
    from tf_cyclegan.inference.export.saved_model import write_saved_model
    from tf_cyclegan.weights.trained_models import from_pretrained

    model = from_pretrained(name, dtype="float32")
    for direction in model.directions:
        write_saved_model(model.generator(direction), folder / f"{name}_{direction}" / "1", model.size_multiple)
