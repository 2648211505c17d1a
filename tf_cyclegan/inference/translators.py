"""Trained generators as functions of one image, from a run, a .keras file, weights or an exported model."""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tf_cyclegan.models.any_size import SMALLEST_EXPORTED_SIDE, image_translator
from tf_cyclegan.networks.instance_maps import label_encoding
from tf_cyclegan.serving.engine import Engine
from tf_cyclegan.serving.errors import ServingError
from tf_cyclegan.settings.checks import check_choice, one_line
from tf_cyclegan.weights.known_ranges import Ranges, given_ranges, known_ranges, read_exported
from tf_cyclegan.weights.run_files import run_settings
from tf_cyclegan.weights.trained_models import TAKEN, TAKES_IDS_FILE, is_model, load_trained, read_model


@dataclasses.dataclass(frozen=True)
class Translator:
    """A trained generator as a function of one image.

    Args:
        function: callable, a float32 array `(height, width, channels)` in [-1, 1] to another of the same size.
        channels: int, channels of the images it takes.
        output_channels: int, channels of the images it gives.
        ranges: `Ranges`, the values of images and of translations that the training read as -1 and 1, see
            `images.read_image`. Defaults to unknown ranges.
        takes_ids: bool, whether files hold the numbers of classes. Defaults to False.
        domain: str, `"a"` or `"b"`, the domain of the images it takes. Defaults to `"a"`.
        side_by_side: optional `(least, largest)` ratio of width to height of the files of the training, if each held A
            and B. Defaults to None: A and B had files of their own.
        encoding: optional `LabelEncoding`, which knows the classes. Defaults to None: unknown.
        smallest_side: int, the smallest height and width of an image, in pixels. Defaults to 16, as exported models
            take them.
        network: optional `keras.Model` that translates; None for an exported model. Defaults to None.
        size_multiple: optional int, the multiple that height and width must be of for `network`. Defaults to None.
    """

    function: Callable
    channels: int
    output_channels: int
    ranges: Ranges = Ranges()
    takes_ids: bool = False
    smallest_side: int = SMALLEST_EXPORTED_SIDE
    network: object = None
    size_multiple: int | None = None
    encoding: object = None
    domain: str = "a"
    side_by_side: tuple | None = None

    @property
    def range_name(self):
        """The setting that gives the range of images."""
        return {"a": "value_range", "b": "value_range_b"}[self.domain]

    def __call__(self, image):
        """Translates a float32 array `(height, width, channels)` in [-1, 1] to another of the same size.

        Raises:
            ValueError: if the model cannot compute it.
        """
        with computing():
            return self.function(image)


@contextlib.contextmanager
def computing():
    """Turns what TensorFlow or an exported model raises for an image into a `ValueError` of one line."""
    try:
        yield
    except (tf.errors.OpError, ServingError) as error:
        raise ValueError(f"the model cannot translate it: {one_line(error)}") from error


@contextlib.contextmanager
def open_translator(path, direction=None, report=lambda line: None, ranges=None):
    """Loads a trained model; a `with` block closes it.

    Args:
        path: run folder (its newest checkpoint that can be read), `.keras` file, exported model (one version, or the
            folder with all versions, of which the newest is taken), weights of another implementation's generator, a
            folder of weights or its http address, or the name of bundled weights.
        direction: `"ab"` or `"ba"`. Defaults to the direction of an exported model, or to the model's first.
        report: callable that gets a line of text for each damaged checkpoint that is passed over, and if only one of
            two ranges is given. Defaults to nothing.
        ranges: optional `RangeSettings`, which replace the model's own ranges. Defaults to None.

    Yields:
        A `Translator`.

    Raises:
        ValueError: if there is no model that can be read, or it does not translate in `direction`.

    Example:
        >>> with open_translator("runs/horse2zebra", "ba") as translator:  # doctest: +SKIP
        ...     horse = translator(zebra)
    """
    path = Path(path)
    if version := _exported_version(path):
        _check_exported_direction(version, direction)
        with contextlib.closing(read_model(Engine, version)) as engine:
            translator = _from_engine(engine, path, version, ranges, report)
            yield dataclasses.replace(translator, domain=_direction_of(version)[:1] or "a")
    else:
        model = _load(path, report)
        direction = direction or model.directions[0]
        check_choice("direction", direction, model.directions)
        translator = _from_model(model, direction, known_ranges(path, ranges, report))
        yield dataclasses.replace(translator, side_by_side=_side_by_side(path))


# ---- exported models ----


def is_exported(path):
    """Whether a path is an exported model: one version, or the folder with all versions."""
    return _exported_version(Path(path)) is not None


def _exported_version(path):
    """The folder of a SavedModel: the path itself, or the newest version in it; None if it is no exported model."""
    children = path.iterdir() if path.is_dir() else ()
    versions = sorted((child for child in children if child.name.isdecimal()), key=lambda child: -int(child.name))
    return next((folder for folder in (path, *versions) if (folder / "saved_model.pb").is_file()), None)


def _check_exported_direction(version, direction):
    own = _direction_of(version)
    if own and direction not in (own, None):
        raise ValueError(
            f"`direction` must be {own!r}, the only one of the exported model {_name_of(version)}. "
            f"Received: direction={direction!r}"
        )


def _direction_of(version):
    """The direction at the end of an exported model's name, or an empty text."""
    return next((own for own in ("ab", "ba") if _name_of(version).endswith(f"_{own}")), "")


def _name_of(version):
    folder = version.resolve()
    return folder.parent.name if folder.name.isdecimal() else folder.name


def _from_engine(engine, path, version, ranges, report):
    try:
        signature = engine.signatures["tensor"]
        shapes = signature.inputs["image"].shape, signature.outputs["translated"].shape
    except KeyError as error:
        raise ValueError(
            "`model` must have the signature 'tensor', from 'image' to 'translated', as `tf-cyclegan export` gives it. "
            f"Received: model={str(path)!r} with the signatures {', '.join(engine.signatures)}"
        ) from error
    channels, output_channels = (shape[-1] for shape in shapes)
    return Translator(
        lambda image: engine.run("tensor", {"image": image[None]})["translated"][0],
        channels,
        output_channels,
        given_ranges(read_exported(version), ranges, _direction_of(version) or "ab", report),
        (version / TAKES_IDS_FILE).is_file(),
    )


# ---- trained models ----


def _from_model(model, direction, ranges):
    generator = model.generator(direction)
    return Translator(
        image_translator(model, direction),
        generator.input_shape[-1],
        generator.output_shape[-1],
        ranges.along(direction),
        takes_ids=model.takes_ids and direction == "ab",
        smallest_side=max(SMALLEST_EXPORTED_SIDE, model.smallest_side),
        network=generator,
        size_multiple=model.size_multiple,
        encoding=label_encoding(generator),
        domain=direction[0],
    )


def _load(path, report):
    if not (path.is_dir() or is_model(path)):
        missing = "" if path.exists() else ", there is no such file or folder"
        raise ValueError(
            f"`model` must be {TAKEN}; or an exported model (the folder with its versions, or one of them). "
            f"Received: model={str(path)!r}{missing}"
        )
    return load_trained(path, report)


def _side_by_side(path):
    """The ratios of width to height of a run's files that hold A and B, or None."""
    try:
        low, high = map(float, (run_settings(path) or {})["side_by_side"])
    except (ValueError, TypeError, KeyError):
        return None
    return low, high
