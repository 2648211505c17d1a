"""From the networks in weight files to a model of this package."""

import inspect
import os

from tf_cyclegan.checks import check_choice
from tf_cyclegan.importing.parts import read_parts
from tf_cyclegan.importing.roles import ROLES
from tf_cyclegan.models import UNIT, CycleGAN, Pix2Pix, Pix2PixHD, PretrainedGenerator
from tf_cyclegan.models.parts import DISCRIMINATORS

_TYPES = {builder.__name__: name for name, builder in DISCRIMINATORS.items()}
_OF_DISCRIMINATORS = {"filters": "discriminator_filters", "layers": "discriminator_layers", "scales": "scales"}
_POOL_SIZE = 50
# A ResNet that does not halve twice looks like pix2pixHD's global generator, which is the same network.
_TWO_WAY = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")


def import_model(
    paths, roles=None, direction=None, label_classes=0, image_size=(256, 256), report=lambda line: None, **settings
):
    """Makes a model of the networks in weight files of other implementations.

    Two generators make a `CycleGAN`, encoders and decoders a `UNIT`, a generator with a discriminator of question and
    answer a `Pix2Pix` or a `Pix2PixHD`, a generator alone a `PretrainedGenerator`. Discriminators that are not there
    are new, and so is all that only training needs: the model is compiled and trained on as a new one.

    Args:
        paths: list of paths: checkpoints of PyTorch, safetensors files, or what `addons.read_addons_weights` reads.
        roles: optional list of `roles.ROLES`, one for each file; they are otherwise told by the files' names, as
            `latest_net_G_A.pth`, or for generators by their order: ab, ba.
        direction: `"ab"` or `"ba"` of a single generator. Defaults to what its name tells, else ab.
        label_classes: int, of pix2pixHD's label maps; 0 for images. Defaults to 0.
        image_size: `(height, width)` that the model is to be trained on. Defaults to `(256, 256)`.
        report: callable, takes lines of text on what was found. Defaults to nothing.
        **settings: of the generators' builders, what files do not tell: `padding` and `inference_statistics`. None
            leaves them as found.

    Returns:
        Pair of the `TranslationModel`, and a dict of roles to pairs of network and `Part`.

    Raises:
        ValueError: if a file cannot be read, or the networks make no model.
        OSError: if a file cannot be opened.

    Example:
        >>> model, _ = import_model(["latest_net_G_A.pth", "latest_net_G_B.pth"])  # doctest: +SKIP
    """
    parts = _with_roles(paths, roles)
    _apply(settings, parts)
    for role, part in parts.items():
        report(f"{part.path}: {role}, {part.architecture}")
        part.check()
    model, networks = _assembled(parts, direction, label_classes, image_size)
    pairs = {role: (network, parts[role]) for role, network in networks.items() if role in parts}
    for network, part in pairs.values():
        part.load(network)
    for role in networks.keys() - parts.keys():
        report(f"{role}: new, not trained")
    for role in parts.keys() - networks.keys():
        channels = parts[role].channels[0]
        report(
            f"{parts[role].path}: left out; a {role} of {channels} channels has no place in a {type(model).__name__}"
        )
    return model, pairs


def _with_roles(paths, roles):
    """The parts by their roles; generators that names do not tell apart get theirs by their order."""
    _check_files(paths, roles)
    found = [part for index, path in enumerate(paths) for part in read_parts(path, roles[index] if roles else None)]
    generators = [part for part in found if part.kind == "generator" and part.role in (None, "generator")]
    names = ("generator_ab", "generator_ba") if len(generators) > 1 else ("generator",)
    for part, name in zip(generators, names, strict=False):
        part.role = name
    parts = {}
    for part in found:
        _check_role(part, parts)
        parts[part.role] = part
    return parts


def _check_files(paths, roles):
    if not paths:
        raise ValueError("`files` must be weight files, as latest_net_G_A.pth. Received: none")
    if len({os.path.realpath(path) for path in paths}) < len(paths):
        raise ValueError(f"`files` must differ. Received one twice: {', '.join(map(str, paths))}")
    if roles and len(roles) != len(paths):
        raise ValueError(f"`roles` must be as many as the {len(paths)} files, or left out. Received: {len(roles)}")
    for role in roles or ():
        check_choice("roles", role, ROLES)


def _check_role(part, parts):
    if part.role is None:
        raise ValueError(
            f"`roles` must say which network {part.path} holds, a {part.architecture.function}: its name, unlike "
            "latest_net_D_A.pth, does not. Received: no roles"
        )
    if part.role in parts:
        raise ValueError(
            f"`roles` must differ, and are told by names unless they are given. Received: {part.role} for "
            f"{parts[part.role].path} and {part.path}"
        )
    # pix2pixHD's encoder of features is a generator without residual blocks.
    if part.role.split("_")[0] not in (part.kind, "encoder" if part.kind == "generator" else part.kind):
        raise ValueError(
            f"`roles` must fit the files: {part.path} holds a {part.architecture.function}. Received: {part.role}"
        )


def _apply(settings, parts):
    """What the files do not tell, for the generators."""
    for name, value in settings.items():
        takers = [part for part in parts.values() if part.kind == "generator" and part.role != "encoder"]
        takers = [part for part in takers if name in part.architecture.parameters]
        if value is not None and not takers:
            raise ValueError(f"`{name}` has no use with the networks of these files. Received: {name}={value!r}")
        for part in takers if value is not None else ():
            part.architecture.settings[name] = value


def _assembled(parts, direction, label_classes, size):
    """A model with the parts' architectures, and its networks by their roles."""
    if any(role.startswith(("encoder_", "decoder_")) for role in parts):
        return _unit(parts, size)
    if {"generator_ab", "generator_ba"} <= set(parts):
        return _cyclegan(parts, size)
    generators = [role for role in parts if role.startswith("generator")]
    if len(generators) != 1:
        raise ValueError(f"`files` must hold a generator. Received: {', '.join(parts)}")
    generator, discriminator = parts[generators[0]], parts.get("discriminator")
    direction = direction or generators[0].removeprefix("generator").removeprefix("_") or "ab"
    if label_classes or (discriminator and discriminator.architecture.function == "multiscale_discriminator"):
        return _pix2pixhd(generator, discriminator, parts.get("encoder"), direction, label_classes, size)
    if discriminator is not None and discriminator.channels[0] == sum(generator.channels):
        return _pix2pix(generator, discriminator, direction, size)
    return _pretrained(generator, generators[0], direction)


def _pretrained(part, role, direction):
    settings = part.architecture.settings
    halvings = settings.get("downsamplings", 2) + settings.get("enhancers", 0)
    network = part.architecture.build(name=f"generator_{direction}")
    return PretrainedGenerator(network, direction, 2**halvings), {role: network}


def _cyclegan(parts, size):
    generators = [parts["generator_ab"], parts["generator_ba"]]
    judges = [parts[role] for role in ("discriminator_a", "discriminator_b") if role in parts]
    for part in generators:
        if part.architecture.function not in CycleGAN.generator_functions:
            raise ValueError(
                "`files` must hold ResNets or U-Nets to make a CycleGAN: convert each alone. "
                f"Received: {part.path}, a {part.architecture.function}"
            )
    channels_a, channels_b = generators[0].channels
    own = {}
    common = len({part.architecture.settings["normalization"] for part in generators + judges}) == 1
    moving = generators[0].architecture.settings.get("inference_statistics", "moving") == "moving"
    if not (common and moving and _alike(generators) and _alike(judges)):
        own = {role: part.architecture.build(name=role) for role, part in parts.items() if role in _TWO_WAY}
    model = _new(
        CycleGAN,
        generators[0],
        judges[:1],
        image_shape=(*size, channels_a),
        channels_b=channels_b,
        pool_size=_POOL_SIZE if judges else 0,  # pools take 79 MB, and are for training alone
        lambda_identity=0.5 if channels_a == channels_b else 0.0,
        generator_type=generator_type(generators[0].architecture),
        **own,
    )
    return model, {role: getattr(model, role) for role in _TWO_WAY}


def _pix2pix(generator, discriminator, direction, size):
    channels = dict(zip(direction, generator.channels, strict=True))
    own = {}
    if generator.architecture.settings["normalization"] != discriminator.architecture.settings["normalization"]:
        own = {"discriminator_network": discriminator.architecture.build(name=f"discriminator_{direction[1]}")}
    model = _new(
        Pix2Pix,
        generator,
        [discriminator],
        image_shape=(*size, channels["a"]),
        channels_b=channels["b"],
        direction=direction,
        generator_type=generator_type(generator.architecture),
        inference_statistics=generator.architecture.settings.get("inference_statistics", "moving"),
        **own,
    )
    return model, {"generator": model.generator_network, "discriminator": model.discriminator_network}


def _pix2pixhd(generator, discriminator, encoder, direction, label_classes, size):
    channels_in, channels_out = generator.channels
    features = encoder.channels[1] if encoder else 0
    edges = channels_in - features - label_classes if label_classes else 0
    if edges not in (0, 1):
        raise ValueError(
            f"`label_classes` must leave 0 or 1 of the {channels_in} channels that the generator takes, beside the "
            f"{features} of an encoder. Received: label_classes={label_classes}"
        )
    channels = dict(zip(direction, (channels_in, channels_out), strict=True))
    if label_classes:
        channels["a"] = 2 if edges or features else 1
    model = _new(
        Pix2PixHD,
        generator,
        [discriminator] if discriminator else [],
        image_shape=(*size, channels["a"]),
        channels_b=channels["b"],
        direction=direction,
        # Two steps down make CycleGAN's generator, whose depth is no setting.
        downsamplings=generator.architecture.settings.get("downsamplings", 2),
        label_classes=label_classes,
        instance_edges=bool(edges),
        instance_features=features,
        encoder_network=encoder and encoder.architecture.build(name="encoder_b"),
    )
    networks = {"generator": model.generator_network, "discriminator": model.discriminator_network}
    return model, networks | ({"encoder": model.encoder_network} if encoder else {})


def _unit(parts, size):
    missing = {"encoder_a", "encoder_b", "decoder_a", "decoder_b"} - parts.keys()
    if missing:
        raise ValueError(f"`files` must hold all encoders and decoders of UNIT. Missing: {', '.join(sorted(missing))}")
    judges = [parts[role] for role in ("discriminator_a", "discriminator_b") if role in parts]
    model = _new(
        UNIT,
        parts["encoder_a"],
        judges[:1],
        image_shape=(*size, parts["encoder_a"].channels[0]),
        channels_b=parts["encoder_b"].channels[0],
        variant="paper" if parts["encoder_a"].architecture.function.startswith("shared") else "v1.1",
    )
    roles = ("encoder_a", "encoder_b", "decoder_a", "decoder_b", "discriminator_a", "discriminator_b")
    return model, {role: getattr(model, role) for role in roles}


def _new(model, generator, discriminators, **settings):
    """A model with the settings that its constructor takes of those that the parts were found with."""
    found = dict(generator.architecture.settings)
    for part in discriminators:
        function, judged = part.architecture.function, part.architecture.settings
        found |= {ours: judged[theirs] for theirs, ours in _OF_DISCRIMINATORS.items() if theirs in judged}
        found |= {"discriminator_type": _TYPES[function]} if function in _TYPES else {}
    taken = inspect.signature(model).parameters
    return model(**{name: value for name, value in {**found, **settings}.items() if name in taken})


def generator_type(architecture):
    """The word of `CycleGAN` and `Pix2Pix` for a generator."""
    return "unet" if architecture.function == "unet_generator" else "resnet"


def _alike(parts):
    """Whether the parts are of one architecture, but for the channels of their images."""
    free = {"image_shape", "output_channels"}
    found = [
        (part.architecture.function, {k: v for k, v in part.architecture.settings.items() if k not in free})
        for part in parts
    ]
    return all(each == found[0] for each in found)
