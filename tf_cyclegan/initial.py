"""Training that begins with the networks of a trained or imported model."""

import dataclasses
from pathlib import Path

from tf_cyclegan.callbacks import newest_checkpoint
from tf_cyclegan.checks import one_line
from tf_cyclegan.defaults import MODEL_SETTINGS
from tf_cyclegan.importing.assembly import generator_type
from tf_cyclegan.known_ranges import known_ranges
from tf_cyclegan.models import MODELS, PretrainedGenerator
from tf_cyclegan.pytorch.inspection import architecture_of
from tf_cyclegan.run_data import run_settings
from tf_cyclegan.trained import load_trained

# Settings of a run that say what its networks are.
_OF_NETWORKS = (
    "variant",
    "direction",
    "channels",
    "channels_b",
    "label_classes",
    "ignore_label",
    "instance_edges",
    "instance_features",
    "generator_type",
    "filters",
    "downsamplings",
    "residual_blocks",
    "enhancers",
    "local_residual_blocks",
    "normalization",
    "inference_statistics",
    "dropout",
    "dropout_placement",
    "full_size_skip",
    "padding",
    "upsampling",
    "convolution_padding",
    "discriminator_type",
    "discriminator_filters",
    "discriminator_layers",
    "scales",
)
# What the networks were shown.
_OF_DATA = ("value_range", "value_range_b")
# Those in which another value gives networks that take the same weights.
_FREE = ("ignore_label", "dropout", "dropout_placement", "inference_statistics", "padding", "direction", *_OF_DATA)
_FROZEN = ("perceptual_network",)


def open_initial(config, report=lambda line: None):
    """The model that a run is to begin with, and the run's settings with those of its networks.

    A run that has begun needs it no more: its folder says what its networks are.

    Args:
        config: `TrainConfig`, not resolved.
        report: callable, takes lines of text. Defaults to nothing.

    Returns:
        Pair of `TranslationModel`, or None where there is nothing to begin with, and `TrainConfig`.

    Raises:
        ValueError: if it cannot be read, or `config` asks for another model or other networks.
    """
    if config.initial_model is None:
        return None, config
    if begun := _begun(config):
        return None, _with_missing(config, begun)
    model = load_trained(config.initial_model, report, name="initial_model")
    _check_model(model, config.model)
    found = _settings(model, config) | _ranges(config, report)
    found = {name: value for name, value in found.items() if value is not None}
    for name, value in found.items():
        given = getattr(config, name)
        if given not in (None, value) and name not in _FREE:
            raise ValueError(f"`{name}` must be {value}, that of `initial_model`, or left out. Received: {given}")
    return model, _with_missing(config, found)


def _ranges(config, report):
    known = known_ranges(config.initial_model, config, report)
    return {"value_range": known.a, "value_range_b": known.b}


def _begun(config):
    """The settings of networks of the run that goes on in the run folder, if there is one."""
    folder = Path(config.resolved().output_dir)
    if not config.resume or newest_checkpoint(folder / "checkpoints") is None:
        return None
    kept = run_settings(folder)
    return None if kept is None else {name: kept.get(name) for name in (*_OF_NETWORKS, *_OF_DATA)}


def _with_missing(config, found):
    missing = {name: value for name, value in found.items() if getattr(config, name) is None}
    return dataclasses.replace(config, **missing)


def _check_model(model, name):
    """Raises `ValueError` unless the run's model can begin with this one."""
    kinds = {kind: name for name, kind in MODELS.items()}
    if kinds.get(type(model), name) != name:
        raise ValueError(f"`model` must be {kinds[type(model)]}, that of `initial_model`. Received: model={name!r}")
    if not isinstance(model, PretrainedGenerator) and set(model._given_networks) - set(_FROZEN):
        raise ValueError(
            f"`initial_model` must have networks that settings make. Received: own networks "
            f"({', '.join(model._given_networks)}), which Python alone trains on: load it, compile and fit"
        )
    if isinstance(model, PretrainedGenerator):
        function = architecture_of(model.generator_network).function
        if function not in MODELS[name].generator_functions:
            fitting = [kind for kind, model in MODELS.items() if function in model.generator_functions]
            raise ValueError(f"`model` must be {' or '.join(fitting)} for a {function}. Received: model={name!r}")


def _settings(model, config):
    if not isinstance(model, PretrainedGenerator):
        found = {name: getattr(model, name, None) for name in _OF_NETWORKS}
        return found | {"channels": model.image_shape[-1]}
    architecture = architecture_of(model.generator_network)
    own = MODEL_SETTINGS[config.model]
    # What a network does not say: a global generator knows no other upsampling.
    found = {"upsampling": "deconvolution"} | ({"downsamplings": 2} if own["downsamplings"] is not None else {})
    found |= {name: value for name, value in architecture.settings.items() if name in _OF_NETWORKS}
    # Moving averages are the only statistics that a model without such a setting knows: others are refused by it.
    others = {"inference_statistics"} if found.get("inference_statistics", "moving") != "moving" else set()
    found = {name: value for name, value in found.items() if name in own.keys() | others}
    taken, given = architecture.settings["image_shape"][-1], architecture.settings["output_channels"]
    direction = model.direction
    if "direction" in own:
        direction = found["direction"] = config.direction or model.direction
    if "generator_type" in own:
        found["generator_type"] = generator_type(architecture)
    channels = dict(zip(direction, (taken, given), strict=True))
    if config.label_classes:  # of which the generator takes a channel for each
        return found | {"channels_b": given}
    return found | {"channels": channels["a"], "channels_b": channels["b"]}


def begin_with(model, initial):
    """Copies the weights of an initial model's networks, not its optimizers, pools and steps.

    Args:
        model: `TranslationModel`, new.
        initial: `TranslationModel` of the same class and settings, or `PretrainedGenerator`, whose direction counts
            for models of two directions alone.

    Raises:
        ValueError: if the networks differ.
    """
    if isinstance(initial, PretrainedGenerator):
        direction = initial.direction if len(model.directions) > 1 else model.directions[0]
        pairs = [(model.generator(direction), initial.generator_network)]
    else:
        names = [name for name in model.network_arguments if name not in _FROZEN]
        pairs = [(getattr(model, name), getattr(initial, name)) for name in names]
    for network, trained in pairs:
        if network is not None:
            _copy(network, trained)


def _copy(network, trained):
    try:
        network.set_weights(trained.get_weights())
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"`initial_model` must have the networks of the run's settings. Received: another {network.name}. "
            f"{one_line(error)}"
        ) from error
