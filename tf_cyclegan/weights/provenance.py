"""The origin of weights, told by the folder of their run: terms, command line and scores. Imports no TensorFlow."""

import json
import shlex
from pathlib import Path

from tf_cyclegan.settings.train import TRAIN_FACTS, train_settings

EMOJI_TERMS = (
    "The weights: Apache-2.0. The images that they were learned from: Microsoft's Fluent Emoji "
    "(https://github.com/microsoft/fluentui-emoji), Copyright (c) Microsoft Corporation, MIT License."
)
# Settings that do not change weights.
_ASIDE = (
    "data_dir", "mirror", "cache", "skip_unreadable", "output_dir", "resume", "keep_checkpoints", "checkpoint_steps",
    "samples", "evaluate_every", "evaluate_count", "evaluate_features", "best_by", "dry_run", "model", "dataset",
)  # fmt: skip
_FOLDERS = ("data_a", "data_b", "initial_model")


def terms_of(settings):
    """The terms of weights that were learned from bundled images; None for other weights.

    Args:
        settings: dict, the settings of a run, as `run_files.run_settings` reads them.
    """
    return EMOJI_TERMS if str(settings.get("dataset", "")).split("/")[0] == "emoji" else None


def command_of(settings):
    """The command line of a run: the settings that are not the model's defaults for the data.

    Args:
        settings: dict, the settings of a run, as `run_files.run_settings` reads them.

    Returns:
        str, or None where the settings are not a run's. It has only the last name of each folder.
    """
    if not settings.get("model"):
        return None
    data = settings.get("dataset") or None
    paired = {} if data else {"data_a": Path("a"), "data_b": Path("b")}
    default = train_settings(model=settings["model"], dataset=data, **paired).resolved().to_dict()
    # A None follows from other settings: a run with a number of epochs has no minutes.
    given = {name: value for name, value in settings.items() if value is not None and name not in _ASIDE}
    others = [name for name in TRAIN_FACTS if name in given and given[name] != default[name]]
    flags = [f"--model={settings['model']}"]
    if data:
        flags.append(f"--dataset={Path(data).name if Path(data).is_absolute() else data}")
    for name in others:
        flags += _flag(name, settings[name], TRAIN_FACTS[name].is_switch)
    return shlex.join(["tf-cyclegan", "train", *flags])


def _flag(name, value, switch):
    flag = f"--{name.replace('_', '-')}"
    if switch:
        return [flag if value else f"--no-{flag[2:]}"]
    if isinstance(value, list):
        return [flag, *map(str, value)]
    return [f"{flag}={Path(value).name if name in _FOLDERS else value}"]


def scores_of(path, step):
    """The scores of a model by `tf-cyclegan evaluate`.

    Args:
        path: run folder, or a `.keras` file in its `checkpoints`.
        step: int, the step that the model was saved at: other results are passed over.

    Returns:
        dict with `data`, `split`, `images` and, by direction, the scores by name; or None.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent.parent
    for found in sorted(folder.glob("evaluation*/evaluation.json")):
        try:
            result = json.loads(found.read_bytes())
            if result["model"]["step"] == step:
                return _summary(result)
        except (OSError, ValueError, TypeError, KeyError):  # `evaluate` did not write this
            continue
    return None


def _summary(result):
    directions = {
        direction: {metric: score["value"] for metric, score in of_direction["scores"].items()}
        for direction, of_direction in result["directions"].items()
    }
    data = result["data"]
    return {"data": data["name"], "split": data["split"], "images": data["images"], **directions}
