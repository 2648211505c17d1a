"""The command `translate`: every image of the input through the model, one at a time."""

import dataclasses
import functools
from pathlib import Path

from tqdm import tqdm

from tf_cyclegan.data.images import read_image, stored_type, to_float
from tf_cyclegan.inference.file_pairs import missing, plan, root_of
from tf_cyclegan.inference.inputs import Inputs
from tf_cyclegan.inference.label_inputs import MapReader
from tf_cyclegan.inference.outputs import ARRAY, check_depth, save
from tf_cyclegan.inference.pieces import check_pieces, check_use, translate_in_pieces
from tf_cyclegan.inference.translators import is_exported, open_translator
from tf_cyclegan.settings.commands import TranslateSettings
from tf_cyclegan.settings.fields import names_of
from tf_cyclegan.settings.user_errors import is_ours, restated, with_flags
from tf_cyclegan.weights import DEFAULT, bundled_folder
from tf_cyclegan.weights.trained_models import is_model_path

_NAMES = names_of(TranslateSettings)


def run_translate(config, report):
    """Translates an image, the images of a folder tree, or the images that a pattern matches.

    A translation has the size, name, folder, format and depth of its image. It is upright, as the EXIF orientation
    says, and keeps transparency, color profile and resolution where its format can hold them. Files of several pages or
    frames are refused. Translations of 16 bits, of floats or in `.npy` files are in the units of the domain, the
    `value_range` of the training. Where the range is not known, floats in `.npy` files are in [-1, 1], in images and in
    translations, and translations of 8-bit images to `.npy` are in [-1, 1], too.

    Args:
        config: `TranslateSettings`.
        report: callable, takes lines of text.

    Returns:
        0, or 1 if images could not be translated; these are reported after all others are translated.

    Raises:
        ValueError: if there are no images, files would be replaced, or the model cannot be read.
        OSError: if a translation cannot be written; the earlier ones are whole.
    """
    config = _with_model(config, report)
    tiles = config.tiles
    check_use(tiles)
    pairs = _plan(config.input, config.output, config.files, report)
    if not pairs:
        return 0
    with open_translator(config.model, config.direction, report, config.ranges) as translator:
        _check_formats(translator, pairs, config.files.format)
        _check_instances(translator, config.instances)
        if tiles.tile:
            check_pieces(tiles, translator, config.model)
        read = _reader(translator, pairs, config.input, config.instances)
        inputs = Inputs(read, translator, config.ranges, config.side_by_side, config.files.format)
        failures = _translate_all(translator, inputs, pairs, tiles, report)
    done = len(pairs) - len(failures)
    for line in inputs.lines():
        report(with_flags(line, _NAMES, label_classes="--label-classes of train"))
    report(f"Translated {done:,} image{'s' * (done != 1)} to {config.output}.")
    if failures:
        report("\n  ".join([f"{len(failures):,} of {len(pairs):,} images could not be translated:", *failures]))
    return 1 if failures else 0


def _plan(source, output, files, report):
    """Pairs of an image and the file of its translation, for all translations that are to be made."""
    if files.skip_existing and files.overwrite:
        raise ValueError("`skip_existing` has no use with `overwrite`, which translates all images again")
    pairs = plan(source, output, files.overwrite or files.skip_existing, files.format, report)
    if not files.skip_existing:
        return pairs
    left = missing(pairs)
    report(f"{len(pairs) - len(left):,} of {len(pairs):,} translations are there already.")
    return left


def _with_model(config, report):
    """One path alone is the input, and the bundled weights translate it."""
    if config.input is not None:
        return config
    path = Path(config.model)
    named = bundled_folder(path) is not None and not path.exists()
    if named or is_model_path(path) or is_exported(path):
        raise ValueError(
            "`input` must be given: an image, a folder, or a pattern as 'photos/**/*.jpg'. "
            f"Received: the model {str(path)!r} alone"
        )
    report(f"Taking the bundled weights {DEFAULT}.")
    return dataclasses.replace(config, model=bundled_folder(DEFAULT), input=str(config.model))


def _check_formats(translator, pairs, kind):
    if translator.output_channels not in (1, 3):
        for _, target in pairs:
            if target.suffix.lower() != ARRAY:
                raise ValueError(
                    f"`output` must be .npy: the model gives images of {translator.output_channels} channels. "
                    f"Received: {str(target)!r}"
                )
    if kind is not None:
        check_depth(kind, translator.output_channels)
    if translator.output_channels == 3 and (gray := [target for _, target in pairs if target.suffix.lower() == ".pgm"]):
        raise ValueError(
            f"`output` must be another format than .pgm, which holds gray: the model gives colors, as .ppm has them. "
            f"Received: {str(gray[0])!r}"
        )


def _check_instances(translator, instances):
    if instances and not (translator.takes_ids and translator.channels > 1):
        raise ValueError(
            "`instances` has no use with this model, which takes no instance maps. "
            f"Received: instances={str(instances)!r}"
        )


def _translate_all(translator, inputs, pairs, tiles, report):
    """Translates all images; returns a line for each that could not be translated."""
    failures = []
    alone = tiles.tile and len(pairs) == 1  # a single image has a bar of its own in its tiles
    for source, target in tqdm(pairs, unit="image", disable=alone or None):  # None: a bar on terminals alone
        try:
            _translate(translator, *inputs.read(source, target), source, target, tiles, report)
        except ValueError as error:
            if not is_ours(error):
                raise
            failures.append(with_flags(str(error), _NAMES))
    return failures


def _translate(translator, image, numbers, extras, source, target, tiles, report):
    with restated(lambda message: f"Cannot translate the image {source}: {message}"):
        _check_size(*image.shape[:2], translator.smallest_side)
        if tiles.tile:
            translate_in_pieces(translator, image, target, numbers, extras, tiles, report)
        else:
            save(target, translator(to_float(image)), numbers, extras)


def _reader(translator, pairs, source, instances):
    """A function that reads the image of a path, and tells `seen` which values it saw."""
    if translator.takes_ids:
        paths, root = [path for path, _ in pairs], root_of(source)
        maps = MapReader(paths, root, translator.channels, translator.encoding, instances)
        return lambda path, seen: maps(path)
    return functools.partial(_read, translator)


def _read(translator, path, seen):
    dtype = stored_type(path)
    # Floats in `.npy` files are in the range of translations; other data types have a range of their own.
    own = (-1, 1) if path.suffix.lower() == ARRAY and dtype is not None and dtype.kind == "f" else None
    return read_image(path, translator.channels, translator.ranges.a or own, seen=seen)


def _check_size(height, width, smallest):
    if min(height, width) < smallest:
        raise ValueError(f"{width}x{height} pixels, at least {smallest}x{smallest} are needed")
