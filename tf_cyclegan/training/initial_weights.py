"""Training that begins with the weights of a trained or imported model, `--initial-model`."""

from tf_cyclegan.models import MODELS, model_name
from tf_cyclegan.settings.checks import one_line
from tf_cyclegan.settings.fields import USE, facts_of
from tf_cyclegan.training.resuming import begun_settings
from tf_cyclegan.weights.import_model import generator_type
from tf_cyclegan.weights.known_ranges import known_ranges
from tf_cyclegan.weights.pytorch.architecture import architecture_of
from tf_cyclegan.weights.trained_models import load_trained

# A network that no training changes: a new model loads its own.
_FROZEN = "perceptual_network"


def load_initial_model(config, report=lambda line: None):
    """The model that a run begins with, and the settings of the run with the settings of its networks.

    A run that goes on does not need the model: its run folder has the settings of the networks.

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
    if (begun := begun_settings(config.resolved().run.folder)) is not None:
        return None, config.filled({name: begun.get(name) for name in facts})
    model = load_trained(path, report, name="initial_model")
    _check_model(model, config.model)
    ranges = known_ranges(path, data, report)
    found = {**_network_settings(model, of_model, facts), "value_range": ranges.a, "value_range_b": ranges.b}
    found = {name: value for name, value in found.items() if value is not None}
    for name, value in found.items():
        given = config.get(name)
        if given not in (None, value) and facts[name].networks != USE:
            raise ValueError(f"`{name}` must be {value}, as in `initial_model`, or left out. Received: {given}")
    return model, config.filled(found)


def copy_weights(initial_model, model):
    """Copies the weights of networks to a new model; its optimizers, pools and step stay new.

    Args:
        initial_model: `TranslationModel` of the class and settings of `model`, or a generator without discriminators,
            whose direction counts where `model` has two.
        model: `TranslationModel`, new.

    Raises:
        ValueError: if the networks differ.
    """
    if initial_model.discriminators:
        names = [name for name in model.network_arguments if name != _FROZEN]
        pairs = [(getattr(initial_model, name), getattr(model, name)) for name in names]
    else:
        (own,) = initial_model.directions
        direction = own if own in model.directions else model.directions[0]
        pairs = [(initial_model.generator(own), model.generator(direction))]
    for trained, network in pairs:
        if network is not None:
            _copy(trained, network)


def _copy(trained, network):
    try:
        network.set_weights(trained.get_weights())
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"`initial_model` must have the networks of the run's settings. Received: another {network.name}. "
            f"{one_line(error)}"
        ) from error


def _check_model(model, name):
    """Raises `ValueError` unless a run of the model `name` can begin with this model."""
    if (found := model_name(model) or name) != name:
        raise ValueError(f"`model` must be {found}, as `initial_model` is. Received: model={name!r}")
    architecture = _lone_generator(model)
    if architecture is None and set(model._given_networks) - {_FROZEN}:
        raise ValueError(
            f"`initial_model` must have networks that settings make. Received: own networks "
            f"({', '.join(model._given_networks)}), which Python alone trains on: load it, compile and fit"
        )
    if architecture is not None and architecture.function not in MODELS[name].generator_functions:
        fitting = [name for name, kind in MODELS.items() if architecture.function in kind.generator_functions]
        raise ValueError(
            f"`model` must be {' or '.join(fitting)} for a {architecture.function}. Received: model={name!r}"
        )


def _lone_generator(model):
    """The `Architecture` of a generator without discriminators; None for a whole model."""
    return None if model.discriminators else architecture_of(model.generator(model.directions[0]))


def _network_settings(model, of_model, facts):
    """The settings that make the networks of a model.

    Args:
        model: `TranslationModel`.
        of_model: `ModelSettings` of the run, as the user gives them.
        facts: dict of the names of settings of networks to their `Facts`.

    Returns:
        dict.
    """
    architecture = _lone_generator(model)
    if architecture is None:
        return {name: getattr(model, name, None) for name in facts} | {"channels": model.image_shape[-1]}
    # The architecture of a global generator lacks these settings, as it has no other values.
    found = {"upsampling": "deconvolution"}
    found |= {"downsamplings": 2} if facts["downsamplings"].default is not None else {}
    found |= architecture.settings
    # A model without this setting has moving averages alone; the network's other statistics are then refused.
    others = {"inference_statistics"} if found.get("inference_statistics", "moving") != "moving" else set()
    found = {name: value for name, value in found.items() if name in facts.keys() | others}
    if "generator_type" in facts:
        found["generator_type"] = generator_type(architecture)
    (direction,) = model.directions
    if "direction" in facts:
        direction = found["direction"] = of_model.direction or direction
    return found | _channels(architecture, direction, of_model.labels)


def _channels(architecture, direction, labels):
    """The settings `channels` and `channels_b`; the classes of label maps decide the channels of A."""
    taken, made = architecture.settings["image_shape"][-1], architecture.settings["output_channels"]
    if labels.classes:
        return {"channels_b": made}
    channels = dict(zip(direction, (taken, made), strict=True))
    return {"channels": channels["a"], "channels_b": channels["b"]}
