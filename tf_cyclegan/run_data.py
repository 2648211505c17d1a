"""The data of a run, from its settings; and the settings, from the run's folder or its checkpoints."""

import dataclasses
import json
from pathlib import Path

from tf_cyclegan.callbacks import list_checkpoints, read_settings
from tf_cyclegan.config import TrainConfig, parse_size
from tf_cyclegan.data import open_dataset
from tf_cyclegan.models import MODELS


def open_data(config, multiple, split="train", augment=True, cache=None, paired=False):
    """A split of the data set of a resolved `TrainConfig`.

    Args:
        config: `TrainConfig`.
        multiple: int, what whole images are rounded to: the model's `size_multiple`.
        split: `"train"` or `"test"`. Defaults to `"train"`.
        augment: bool, whether it is to be trained on; otherwise images come one by one, are not flipped, and are not
            resized for a crop. Defaults to True.
        cache: where decoded images are kept. Defaults to the run's.
        paired: bool, whether the data must be pairs, also where the model learns without. Defaults to False.

    Returns:
        `TranslationDataset`.

    Raises:
        ValueError: if there is none, or not as described.
    """
    image_size = parse_size(config.image_size, "image_size")
    load_size = config.load_size and parse_size(config.load_size, "load_size")
    if not augment and config.resize_mode == "resize_and_crop":
        load_size = image_size
    return open_dataset(
        config.dataset,
        split=split,
        paired=paired or MODELS[config.model].paired,
        multiple=multiple,
        image_size=image_size,
        load_size=load_size,
        batch_size=config.batch_size if augment else 1,
        seed=config.seed,
        cache=cache or config.cache,
        data_a=config.data_a,
        data_b=config.data_b,
        test_share=config.test_share,
        channels=config.channels_b if config.label_classes else (config.channels, config.channels_b),
        label_classes=config.label_classes or 0,
        ignore_label=config.ignore_label,
        instance_maps=config.instance_maps,
        value_range=config.value_range,
        value_range_b=config.value_range_b,
        resize_mode=config.resize_mode,
        flip=config.flip and augment,
        skip_unreadable=config.skip_unreadable,
        data_dir=config.data_dir,
        mirror=config.mirror,
    )


def read_config(path):
    """The settings that a run was made with.

    Args:
        path: run folder, or a checkpoint.

    Returns:
        Resolved `TrainConfig`, or None if there are none that can be read.
    """
    found = run_settings(path)
    if found is None:
        return None
    known = {field.name for field in dataclasses.fields(TrainConfig)} & found.keys()
    return TrainConfig(**{name: _immutable(found[name]) for name in known})


def run_settings(path):
    """The settings of a run as they stand in its files, with what else it noted at its beginning.

    Args:
        path: run folder: its `config.json` or, where that is missing or damaged, its newest checkpoint that has them;
            or a checkpoint, whose own settings come before those of the folder.

    Returns:
        dict, or None if there are none that can be read.
    """
    path = Path(path)
    if path.is_dir():
        checkpoints = (checkpoint for _, checkpoint in list_checkpoints(path / "checkpoints"))
        found = (_read_json(path / "config.json"), *map(read_settings, checkpoints))
    elif path.suffix == ".keras":
        beside = _read_json(path.parent.parent / "config.json") if path.parent.name == "checkpoints" else None
        found = (read_settings(path), beside)
    else:
        found = ()
    return next((settings for settings in found if isinstance(settings, dict)), None)


def _read_json(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _immutable(value):
    return tuple(value) if isinstance(value, list) else value
