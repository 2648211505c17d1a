"""Training that begins with the networks of a trained or imported model."""

from pathlib import Path

from tf_cyclegan.models import MODELS
from tf_cyclegan.settings.checks import one_line
from tf_cyclegan.settings.fields import USE, facts_of
from tf_cyclegan.weights.import_model import generator_type
from tf_cyclegan.weights.known_ranges import known_ranges
from tf_cyclegan.weights.pytorch.architecture import architecture_of
from tf_cyclegan.weights.run_files import newest_checkpoint, run_settings
from tf_cyclegan.weights.trained_models import load_trained

_FROZEN = ("perceptual_network",)


def open_initial(config, report=lambda line: None):
    """The model that a run is to begin with, and the run's settings with the settings of its networks.

    A run that has begun needs the model no more: the run folder says what its networks are.

    Args:
        config: `TrainSettings`, not resolved.
        report: callable, takes lines of text. Defaults to nothing.

    Returns:
        Pair of `TranslationModel`, or None where the run begins with new networks, and `TrainSettings`.

    Raises:
        ValueError: if the model cannot be read, or `config` asks for another model or other networks.
    """
    path, data, of_model = config.start.initial_model, config.data, config.of_model
    if path is None:
        return None, config
    facts = {name: each for name, each in (facts_of(data) | facts_of(of_model)).items() if each.networks}
    if (begun := _begun(config.resolved().run.folder)) is not None:
        return None, config.filled({name: begun.get(name) for name in facts})
    model = load_trained(path, report, name="initial_model")
    _check_model(model, config.model)
    ranges = known_ranges(path, data, report)
    found = {**_settings(model, of_model, facts), "value_range": ranges.a, "value_range_b": ranges.b}
    found = {name: value for name, value in found.items() if value is not None}
    for name, value in found.items():
        given = config.get(name)
        if given not in (None, value) and facts[name].networks != USE:
            raise ValueError(f"`{name}` must be {value}, that of `initial_model`, or left out. Received: {given}")
    return model, config.filled(found)


def _begun(folder):
    """The settings of the run that goes on in the run folder, if there is one."""
    if not folder.resume or newest_checkpoint(Path(folder.output_dir) / "checkpoints") is None:
        return None
    return run_settings(folder.output_dir)


def _check_model(model, name):
    """Raises `ValueError` unless the run's model can begin with this one."""
    kinds = {kind: name for name, kind in MODELS.items()}
    if kinds.get(type(model), name) != name:
        raise ValueError(f"`model` must be {kinds[type(model)]}, that of `initial_model`. Received: model={name!r}")
    alone = _generator_alone(model)
    if alone is None and set(model._given_networks) - set(_FROZEN):
        raise ValueError(
            f"`initial_model` must have networks that settings make. Received: own networks "
            f"({', '.join(model._given_networks)}), which Python alone trains on: load it, compile and fit"
        )
    if alone is not None and alone.function not in MODELS[name].generator_functions:
        fitting = [kind for kind, model in MODELS.items() if alone.function in model.generator_functions]
        raise ValueError(f"`model` must be {' or '.join(fitting)} for a {alone.function}. Received: model={name!r}")


def _generator_alone(model):
    """The `Architecture` of a generator that has no discriminators; None for a whole model."""
    return None if model.discriminators else architecture_of(model.generator(model.directions[0]))


def _settings(model, of_model, facts):
    """The settings of a model's networks.

    Args:
        model: `TranslationModel`.
        of_model: `ModelSettings` of the run, as the user gives them.
        facts: dict of the names of settings of networks to their `Facts`.

    Returns:
        dict.
    """
    architecture = _generator_alone(model)
    if architecture is None:
        return {name: getattr(model, name, None) for name in facts} | {"channels": model.image_shape[-1]}
    # What a network does not say: a global generator has no other upsampling.
    found = {"upsampling": "deconvolution"}
    found |= {"downsamplings": 2} if facts["downsamplings"].default is not None else {}
    found |= architecture.settings
    # A model without such a setting knows moving averages alone, and refuses other statistics.
    others = {"inference_statistics"} if found.get("inference_statistics", "moving") != "moving" else set()
    found = {name: value for name, value in found.items() if name in facts.keys() | others}
    taken, given = architecture.settings["image_shape"][-1], architecture.settings["output_channels"]
    (direction,) = model.directions
    if "direction" in facts:
        direction = found["direction"] = of_model.direction or direction
    if "generator_type" in facts:
        found["generator_type"] = generator_type(architecture)
    channels = dict(zip(direction, (taken, given), strict=True))
    if of_model.labels.classes:  # the generator takes a channel for each class
        return found | {"channels_b": given}
    return found | {"channels": channels["a"], "channels_b": channels["b"]}


def begin_with(model, initial):
    """Copies the weights of an initial model's networks, not its optimizers, pools and steps.

    Args:
        model: `TranslationModel`, new.
        initial: `TranslationModel` of the same class and settings, or a generator without discriminators, whose
            direction counts where `model` has two.

    Raises:
        ValueError: if the networks differ.
    """
    if not initial.discriminators:
        (own,) = initial.directions
        direction = own if own in model.directions else model.directions[0]
        pairs = [(model.generator(direction), initial.generator(own))]
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
