"""`import_model`: makes a model of the networks in weight files of other implementations."""

import dataclasses
import inspect
import os

from tf_cyclegan.models import MODELS, PretrainedGenerator
from tf_cyclegan.models.building import DISCRIMINATORS
from tf_cyclegan.settings.checks import check_choice
from tf_cyclegan.weights.weight_files import ROLES, read_parts

_TYPES = {builder.__name__: name for name, builder in DISCRIMINATORS.items()}
_OF_DISCRIMINATORS = {"filters": "discriminator_filters", "layers": "discriminator_layers", "scales": "scales"}


def import_model(
    paths, roles=None, direction=None, label_classes=0, image_size=(256, 256), report=lambda line: None, **settings
):
    """Makes a model of the networks in weight files of other implementations.

    Two generators make a `CycleGAN`, encoders and decoders a `UNIT`, a generator with a discriminator of question and
    answer a `Pix2Pix` or a `Pix2PixHD`, a generator alone a `PretrainedGenerator`. Discriminators that are not there
    are new, and so is all that only training needs: the model is compiled and trained on as a new one.

    Args:
        paths: list of paths: checkpoints of PyTorch, safetensors files, or what `addons.read_addons_weights` reads.
        roles: optional list of `ROLES`, one for each file. Defaults to what the names of the files tell, as
            `latest_net_G_A.pth`, and for generators to their order: ab, ba.
        direction: `"ab"` or `"ba"` of a single generator. Defaults to what its name tells, else ab.
        label_classes: int, of pix2pixHD's label maps; 0 for images. Defaults to 0.
        image_size: `(height, width)` that the model is to be trained on. Defaults to `(256, 256)`.
        report: callable, takes lines of text on what was found. Defaults to nothing.
        **settings: `padding` and `inference_statistics` of the generators, which files do not tell. None leaves them as
            found.

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
    model, networks = _assembled(Found(parts, image_size, direction, label_classes))
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
    """The parts by role; generators whose names do not tell them apart get their roles by order."""
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
    """Gives the generators the settings that files do not tell."""
    for name, value in settings.items():
        takers = [part for part in parts.values() if part.kind == "generator" and part.role != "encoder"]
        takers = [part for part in takers if name in part.architecture.parameters]
        if value is not None and not takers:
            raise ValueError(f"`{name}` has no use with the networks of these files. Received: {name}={value!r}")
        for part in takers if value is not None else ():
            part.architecture.settings[name] = value


@dataclasses.dataclass(frozen=True)
class Found:
    """The networks in weight files; each model says whether it is made of them.

    Args:
        parts: dict of roles to `Part`.
        size: `(height, width)` that the model is to be trained on.
        direction: `"ab"` or `"ba"` of a single generator, or None.
        label_classes: int, of label maps; 0 for images.
    """

    parts: dict
    size: tuple
    direction: str | None = None
    label_classes: int = 0

    @property
    def generators(self):
        """Roles of the generators."""
        return sorted(role for role in self.parts if role.startswith("generator"))

    @property
    def generator(self):
        """The only generator, or None."""
        return self.parts[self.generators[0]] if len(self.generators) == 1 else None

    @property
    def judges(self):
        """The discriminators."""
        return [self.parts[role] for role in sorted(self.parts) if role.startswith("discriminator")]

    @property
    def way(self):
        """The direction of the only generator: as given, else by its role, else ab."""
        return self.direction or self.generators[0].removeprefix("generator").removeprefix("_") or "ab"

    def channels(self):
        """Channels of the images of the only generator, by domain."""
        return dict(zip(self.way, self.generator.channels, strict=True))

    def settings(self):
        """The settings of the first generator and the first discriminator, as arguments of models."""
        first = self.parts[self.generators[0]] if self.generators else next(iter(self.parts.values()))
        found = dict(first.architecture.settings) | {"generator_type": generator_type(first.architecture)}
        for part in self.judges[:1]:
            function, judged = part.architecture.function, part.architecture.settings
            found |= {ours: judged[theirs] for theirs, ours in _OF_DISCRIMINATORS.items() if theirs in judged}
            found |= {"discriminator_type": _TYPES[function]} if function in _TYPES else {}
        return found


def _assembled(found):
    """The model that these networks make, and its networks by their roles in the files."""
    for kind in (*MODELS.values(), PretrainedGenerator):
        settings = kind.settings_of(found)
        if settings is not None:
            break
    else:
        raise ValueError(f"`files` must hold a generator. Received: {', '.join(found.parts)}")
    taken = inspect.signature(kind).parameters
    model = kind(**{name: value for name, value in {**found.settings(), **settings}.items() if name in taken})
    # The file of a single generator may say its direction.
    names = {"generator": found.generators[0]} if found.generator else {}
    return model, {names.get(role, role): network for role, network in model.networks_by_role().items()}


def generator_type(architecture):
    """The `generator_type` of a model with a generator of this `Architecture`."""
    return "unet" if architecture.function == "unet_generator" else "resnet"
