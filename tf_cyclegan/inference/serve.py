"""The command `serve`: a folder of exported models, or bundled weights that are exported once into a cache."""

import dataclasses
from pathlib import Path

import tensorflow as tf

from tf_cyclegan import __version__
from tf_cyclegan.files import cached_folder
from tf_cyclegan.serving import run_serve
from tf_cyclegan.weights import DEFAULT, bundled_folder, read_document


def serve(config, report):
    """Serves a folder of exported models, or bundled weights where no folder is given.

    Args:
        config: `ServeSettings`, whose `directory` may be None or the name of bundled weights.
        report: callable, takes lines of text.

    Returns:
        0.

    Raises:
        ValueError: if a setting is out of its range.
        OSError: if the address cannot be listened on.
    """
    directory, labels = _with_last_word(config.directory, config.labels)
    if directory is None or (bundled_folder(directory) and not directory.exists()):
        directory = exported_weights(str(directory or DEFAULT), report)
    return run_serve(dataclasses.replace(config, directory=directory, labels=labels), report)


def _with_last_word(directory, labels):
    """`serve --labels NAME:LABEL=VERSION ... DIRECTORY`: the flag takes all words that follow, the folder too."""
    if directory is None and labels and "=" not in labels[-1]:
        return Path(labels[-1]), labels[:-1]
    return directory, labels


def exported_weights(name, report):
    """A folder with bundled weights as exported models, `NAME_ab` and `NAME_ba`.

    The folder is made once, and kept as long as weights, package and TensorFlow stay the same. The export is not
    compared with the Keras model, because the user waits for it; a test compares them.

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
    # Imported here, because a start that finds its export in the cache does not need them.
    from tf_cyclegan.inference.export.saved_model import write_saved_model
    from tf_cyclegan.weights.trained_models import from_pretrained

    model = from_pretrained(name, dtype="float32")
    for direction in model.directions:
        write_saved_model(model.generator(direction), folder / f"{name}_{direction}" / "1", model.size_multiple)
