"""From the networks in weight files to a model of this package."""

import inspect

from tf_cyclegan.importing.parts import read_parts
from tf_cyclegan.models import UNIT, CycleGAN, Pix2Pix, Pix2PixHD, PretrainedGenerator
from tf_cyclegan.models.parts import DISCRIMINATORS

_TYPES = {builder.__name__: name for name, builder in DISCRIMINATORS.items()}
_OF_DISCRIMINATORS = {"filters": "discriminator_filters", "layers": "discriminator_layers", "scales": "scales"}
_POOL_SIZE = 50
_TWO_WAY = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")


def import_model(paths, roles=None, label_classes=0, image_size=256, report=lambda line: None, **settings):
    """Makes a model of the networks in weight files of other implementations.

    Two generators make a `CycleGAN`, encoders and decoders a `UNIT`, a generator with a discriminator of question and
    answer a `Pix2Pix` or a `Pix2PixHD`, a generator alone a `PretrainedGenerator`. Discriminators that are not there
    are new, and so is all that only training needs: the model is compiled and trained on as a new one.

    Args:
        paths: list of paths: checkpoints of PyTorch or safetensors files.
        roles: optional list of `roles.ROLES`, one for each file; they are otherwise told by the files' names, as
            `latest_net_G_A.pth`, or for generators by their order: ab, ba.
        label_classes: int, of pix2pixHD's label maps; 0 for images. Defaults to 0.
        image_size: int, height and width that the model is to be trained on. Defaults to 256.
        report: callable, takes lines of text on what was found. Defaults to nothing.
        **settings: of the generators' builders, what files do not tell: `padding`, `normalization`,
            `inference_statistics`. None leaves them as found.

    Returns:
        Pair of the `TranslationModel`, and a dict of roles to pairs of network and `Part`.

    Raises:
        ValueError: if a file cannot be read, or the networks make no model.
        OSError: if a file cannot be opened.

    Example:
        >>> model, _ = import_model(["latest_net_G_A.pth", "latest_net_G_B.pth"])  # doctest: +SKIP
    """
    parts = _with_roles(paths, roles)
    given = {name: value for name, value in settings.items() if value is not None}
    for role, part in parts.items():
        if part.kind == "generator":
            part.architecture.settings.update(given)
        report(f"{part.path}: {role}, {part.architecture}")
        part.check()
    model, networks = _assembled(parts, label_classes, (image_size, image_size))
    pairs = {role: (network, parts[role]) for role, network in networks.items() if role in parts}
    for network, part in pairs.values():
        part.load(network)
    for role in networks.keys() - parts.keys():
        report(f"{role}: new, not trained")
    for role in parts.keys() - networks.keys():
        report(f"{parts[role].path}: left out, a {role} has no place in a {type(model).__name__}")
    return model, pairs


def _with_roles(paths, roles):
    """The parts by their roles; generators without one get theirs by their order."""
    if roles and len(roles) != len(paths):
        raise ValueError(f"`roles` must be as many as the {len(paths)} files, or left out. Received: {len(roles)}")
    found = [part for index, path in enumerate(paths) for part in read_parts(path, roles[index] if roles else None)]
    generators = [part for part in found if part.kind == "generator" and part.role is None]
    names = ("generator_ab", "generator_ba") if len(generators) > 1 else ("generator",)
    for part, name in zip(generators, names, strict=False):
        part.role = name
    parts = {}
    for part in found:
        _check_role(part, parts)
        parts[part.role] = part
    return parts


def _check_role(part, parts):
    if part.role is None:
        raise ValueError(
            f"`roles` must say which network {part.path} holds, a {part.architecture.function}: its name, unlike "
            "latest_net_D_A.pth, does not. Received: no roles"
        )
    if part.role in parts:
        raise ValueError(f"`roles` must differ. Received: {part.role} for {parts[part.role].path} and {part.path}")
    # pix2pixHD's encoder of features is a generator without residual blocks.
    if part.role.split("_")[0] not in (part.kind, "encoder" if part.kind == "generator" else part.kind):
        raise ValueError(
            f"`roles` must fit the files: {part.path} holds a {part.architecture.function}. Received: {part.role}"
        )


def _assembled(parts, label_classes, size):
    """A model with the parts' architectures, and its networks by their roles."""
    if any(role.startswith(("encoder_", "decoder_")) for role in parts):
        return _unit(parts, size)
    if {"generator_ab", "generator_ba"} <= set(parts):
        return _cyclegan(parts, size)
    generators = [role for role in parts if role.startswith("generator")]
    if len(generators) != 1:
        raise ValueError(f"`files` must hold a generator. Received: {', '.join(parts)}")
    generator, discriminator = parts[generators[0]], parts.get("discriminator")
    if label_classes or (discriminator and discriminator.architecture.function == "multiscale_discriminator"):
        return _pix2pixhd(generator, discriminator, parts.get("encoder"), label_classes, size)
    if discriminator is not None and discriminator.channels[0] == sum(generator.channels):
        return _pix2pix(generator, discriminator, size)
    return _pretrained(generator, generators[0])


def _pretrained(part, role):
    settings = part.architecture.settings
    halvings = settings.get("downsamplings", 2) + settings.get("enhancers", 0)
    direction = "ba" if role == "generator_ba" else "ab"
    network = part.architecture.build(name=f"generator_{direction}")
    return PretrainedGenerator(network, direction, 2**halvings), {role: network}


def _cyclegan(parts, size):
    generators = [parts["generator_ab"], parts["generator_ba"]]
    judges = [parts[role] for role in ("discriminator_a", "discriminator_b") if role in parts]
    for part in generators:
        if part.architecture.function != "resnet_generator":
            raise ValueError(
                "`files` must hold generators of residual blocks to make a CycleGAN: convert each alone. "
                f"Received: {part.path}, a {part.architecture.function}"
            )
    channels_a, channels_b = generators[0].channels
    own = {}
    if not (_alike(generators) and _alike(judges) and len({_normalization(part) for part in generators + judges}) == 1):
        own = {role: part.architecture.build(name=role) for role, part in parts.items() if role in _TWO_WAY}
    model = _new(
        CycleGAN,
        generators[0],
        judges[:1],
        image_shape=(*size, channels_a),
        channels_b=channels_b,
        pool_size=_POOL_SIZE if judges else 0,  # pools take 79 MB, and are for training alone
        lambda_identity=0.5 if channels_a == channels_b else 0.0,
        **own,
    )
    return model, {role: getattr(model, role) for role in _TWO_WAY}


def _pix2pix(generator, discriminator, size):
    channels_a, channels_b = generator.channels
    own = {}
    if _normalization(generator) != _normalization(discriminator):
        own = {"discriminator_network": discriminator.architecture.build(name="discriminator_b")}
    model = _new(
        Pix2Pix,
        generator,
        [discriminator],
        image_shape=(*size, channels_a),
        channels_b=channels_b,
        generator_type="resnet" if generator.architecture.function == "resnet_generator" else "unet",
        inference_statistics=generator.architecture.settings.get("inference_statistics", "moving"),
        **own,
    )
    return model, {"generator": model.generator_network, "discriminator": model.discriminator_network}


def _pix2pixhd(generator, discriminator, encoder, label_classes, size):
    channels_in, channels_out = generator.channels
    features = encoder.channels[1] if encoder else 0
    edges = bool(label_classes) and channels_in - features > label_classes
    channels = (2 if edges or features else 1) if label_classes else channels_in
    model = _new(
        Pix2PixHD,
        generator,
        [discriminator] if discriminator else [],
        image_shape=(*size, channels),
        channels_b=channels_out,
        # Two steps down make CycleGAN's generator, whose depth is no setting.
        downsamplings=generator.architecture.settings.get("downsamplings", 2),
        label_classes=label_classes,
        instance_edges=edges,
        instance_features=features,
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


def _normalization(part):
    return part.architecture.settings["normalization"]


def _alike(parts):
    """Whether the parts are of one architecture, but for the channels of their images."""
    free = {"image_shape", "output_channels"}
    found = [
        (part.architecture.function, {k: v for k, v in part.architecture.settings.items() if k not in free})
        for part in parts
    ]
    return all(each == found[0] for each in found)
