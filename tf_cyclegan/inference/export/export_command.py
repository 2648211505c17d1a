"""The command `export`: a trained model's generators as files that other programs run."""

import os
import re

from tf_cyclegan.files import check_writable
from tf_cyclegan.inference.export.formats import FORMATS, FormatRefused, check_packages, export_format
from tf_cyclegan.inference.export.publishing import write_deployment
from tf_cyclegan.inference.export.saved_model import export_saved_model
from tf_cyclegan.inference.translators import is_exported
from tf_cyclegan.settings.checks import check_choice, check_integer
from tf_cyclegan.settings.data import parse_size
from tf_cyclegan.weights.known_ranges import known_ranges
from tf_cyclegan.weights.trained_models import load_trained

_SAVED_MODEL = "saved_model"
# TensorFlow Serving takes letters, digits and underscores in the name of a model.
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]+")


def run_export(config, report):
    """Exports the generators of a trained model in one or more formats.

    Args:
        config: `ExportSettings`.
        report: callable, takes lines of text.

    Returns:
        0, or 1 if a format was refused.

    Raises:
        ValueError: if a setting is out of its range, or the model cannot be read.
        OSError: if a file cannot be written.
    """
    formats = _formats(config.formats)
    sizes = [parse_size(size, "static_sizes") for size in config.static_sizes]
    if config.keep is not None:
        check_integer("keep", config.keep, 1)
    name = _name(config.name, config.model)
    model = _load(config.model, report)
    check_writable(config.output, "output")
    stems = {direction: config.output / f"{name}_{direction}" for direction in _directions(model, config.direction)}
    refused = 0
    ranges = known_ranges(config.model, config.ranges, report)
    os.makedirs(config.output, exist_ok=True)
    for direction, stem in stems.items():
        generator = model.generator(direction)
        if _SAVED_MODEL in formats:
            export_saved_model(
                generator,
                stem,
                model.size_multiple,
                sizes,
                config.precision,
                config.keep,
                report,
                notes=model.notes,
                takes_ids=model.takes_ids and direction == "ab",
                value_ranges=ranges.along(direction),
            )
        for file_format in (name for name in formats if name != _SAVED_MODEL):
            refused += not _export_format(generator, stem, file_format, model.size_multiple, report)
    if _SAVED_MODEL in formats:
        _write_deployment(config.output, report)
    return 1 if refused else 0


def _formats(text):
    names = [name.strip() for name in text.split(",")]
    for name in names:
        check_choice("formats", name, (_SAVED_MODEL, *FORMATS))
        if name != _SAVED_MODEL:
            check_packages(name)
    return list(dict.fromkeys(names))


def _name(name, model):
    if name is None:
        return _NOT_IN_NAMES.sub("_", model.resolve().name.removesuffix(".keras"))
    if not name or _NOT_IN_NAMES.search(name):
        raise ValueError(f"`name` must be of letters, digits and underscores. Received: name={name!r}")
    return name


def _directions(model, direction):
    directions = model.directions if direction == "both" else (direction,)
    for name in directions:
        check_choice("direction", name, model.directions)
    return directions


def _export_format(generator, stem, name, size_multiple, report):
    """Returns whether the file was written."""
    try:
        path, difference = export_format(generator, stem, name, size_multiple)
    except FormatRefused as error:
        report(f"{stem.name}: {error}")
        return False
    report(
        f"{path}: differs from the Keras model by at most {difference:.2g} in [-1, 1]; takes images whose sides are "
        f"multiples of {size_multiple}."
    )
    return True


def _write_deployment(directory, report):
    kept = write_deployment(directory)
    report(f"How to run them in TensorFlow Serving is in {directory / 'README.md'}.")
    if kept:
        report(f"Left as they are, because they were changed: {', '.join(kept)}.")


def _load(path, report):
    if is_exported(path):
        raise ValueError(
            f"`model` must be a run folder or a .keras file. Received: {path}, a SavedModel, which is exported "
            "already: tf-cyclegan serve takes it"
        )
    return load_trained(path, report)
