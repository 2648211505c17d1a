"""Training that begins with the networks of a trained or imported model."""

import dataclasses

from tf_cyclegan.models import MODELS, PretrainedGenerator
from tf_cyclegan.pytorch import infer, to_state_dict
from tf_cyclegan.trained import load_trained

# Settings of a run that say what its networks are.
_OF_NETWORKS = (
    "variant",
    "direction",
    "channels_b",
    "label_classes",
    "instance_edges",
    "instance_features",
    "generator_type",
    "filters",
    "downsamplings",
    "residual_blocks",
    "enhancers",
    "local_residual_blocks",
    "normalization",
    "dropout",
    "padding",
    "upsampling",
    "convolution_padding",
    "discriminator_type",
    "discriminator_filters",
    "discriminator_layers",
    "scales",
)
# Those in which another value gives networks that take the same weights.
_FREE = ("dropout", "padding", "direction")


def open_initial(config, report=lambda line: None):
    """The model that a run is to begin with, and the run's settings with those of its networks.

    Args:
        config: `TrainConfig`, not resolved.
        report: callable, takes lines of text. Defaults to nothing.

    Returns:
        Pair of `TranslationModel`, or None if `config.initial_model` is None, and `TrainConfig`.

    Raises:
        ValueError: if it cannot be read, or `config` asks for another model or other networks.
    """
    if config.initial_model is None:
        return None, config
    model = load_trained(config.initial_model, report)
    kinds = {kind: name for name, kind in MODELS.items()}
    if type(model) in kinds and kinds[type(model)] != config.model:
        raise ValueError(
            f"`model` must be {kinds[type(model)]}, that of `initial_model`. Received: model={config.model!r}"
        )
    found = {name: value for name, value in _settings(model).items() if hasattr(config, name) and value is not None}
    for name, value in found.items():
        given = getattr(config, name)
        if given not in (None, value) and name not in _FREE:
            raise ValueError(f"`{name}` must be {value}, that of `initial_model`, or left out. Received: {given}")
    missing = {name: value for name, value in found.items() if getattr(config, name) is None}
    return model, dataclasses.replace(config, **missing)


def _settings(model):
    if isinstance(model, PretrainedGenerator):
        settings = infer(to_state_dict(model.generator(model.direction))).settings
        channels = {"channels": settings["image_shape"][-1], "channels_b": settings["output_channels"]}
    else:
        settings = {name: getattr(model, name, None) for name in _OF_NETWORKS}
        channels = {"channels": model.image_shape[-1]}
    return {name: settings[name] for name in _OF_NETWORKS if name in settings} | channels


def begin_with(model, initial):
    """Copies the weights of an initial model's networks, not its optimizers, pools and steps.

    Args:
        model: `TranslationModel`, new.
        initial: `TranslationModel` of the same class and settings, or `PretrainedGenerator`.

    Raises:
        ValueError: if the networks differ.
    """
    pairs = [
        (model.generator(direction), initial.generator(direction)) for direction in _common_directions(model, initial)
    ]
    if not isinstance(initial, PretrainedGenerator):
        pairs += zip(model.discriminators, initial.discriminators, strict=True)
    for network, trained in pairs:
        try:
            network.set_weights(trained.get_weights())
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"`initial_model` must have the networks of the run's settings: its {trained.name} differs. {reason}"
            ) from error


def _common_directions(model, initial):
    common = [direction for direction in model.directions if direction in initial.directions]
    if not common:
        raise ValueError(
            f"`direction` must be one of {', '.join(initial.directions)}, that of `initial_model`. "
            f"Received: direction={model.directions[0]!r}"
        )
    return common
