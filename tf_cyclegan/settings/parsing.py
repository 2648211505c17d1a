"""Flags of the command line to settings."""

import os

import tyro

from tf_cyclegan.settings.fields import flat, names_of, replaced
from tf_cyclegan.settings.models import MODEL_SETTINGS
from tf_cyclegan.settings.train import TRAIN_NAMES, StartSettings, TrainSettings


def parsed(settings, flags, command, **more):
    """The settings of these flags, with the home folder for `~`, which a shell leaves in `--output-dir=~/x`.

    Args:
        settings: dataclass.
        flags: list of str.
        command: str, the name of the command.
        **more: further arguments of `tyro.cli`.

    Returns:
        `settings`.
    """
    config = tyro.cli(settings, args=flags, prog=f"tf-cyclegan {command}", config=(tyro.conf.OmitArgPrefixes,), **more)
    return replaced(config, {name: _from_home(value) for name, value in flat(config).items()})


def _from_home(value):
    if isinstance(value, tuple):
        return tuple(map(_from_home, value))
    if isinstance(value, str | os.PathLike) and os.fspath(value).startswith("~"):
        return type(value)(os.path.expanduser(value))
    return value


def parsed_train(flags):
    """The settings of the flags of `train`: the data, the run, and the model that the flags name.

    Args:
        flags: list of str.

    Returns:
        `TrainSettings`.

    Raises:
        ValueError: if a flag belongs to another model.
    """
    model = _model_in(flags)
    kind = MODEL_SETTINGS[model]
    default = TrainSettings(StartSettings(model), of_model=kind())
    own, others = _parted(flags, names_of(default))
    told = f"{TrainSettings.__doc__} The settings of --model={model} are shown; for other models: " + ", ".join(
        f"--model={name} --help" for name in MODEL_SETTINGS if name != model
    )
    config = parsed(TrainSettings[kind], own, "train", default=default, description=told)
    return config.replaced(**{name: _of_others(name, words) for name, words in others.items()})


def _model_in(flags):
    """The model that flags name; the default model if they name none, or an unknown one."""
    named = [StartSettings.model]
    for flag, after in zip(flags, [*flags, ""][1:], strict=True):
        name, sign, value = flag.partition("=")
        if name == "--model":
            named.append(value if sign else after)
    return named[-1] if named[-1] in MODEL_SETTINGS else named[0]


def _parted(flags, own):
    """The flags of the given settings, and a dict of the settings of other models to their flags."""
    ours, others, words = [], {}, None
    for flag in flags:
        if flag.startswith("--"):
            name = flag[2:].partition("=")[0].replace("-", "_")
            foreign = name in TRAIN_NAMES and name not in own
            words = others.setdefault(name, []) if foreign else ours
        (ours if words is None else words).append(flag)
    return ours, others


def _of_others(name, words):
    """The value of a setting of another model."""
    kind = next(kind for kind in MODEL_SETTINGS.values() if name in names_of(kind))
    return getattr(tyro.cli(kind, args=words, prog="tf-cyclegan train"), name)
