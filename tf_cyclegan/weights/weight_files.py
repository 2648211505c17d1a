"""Weight files of other implementations: the networks in them, and their roles in a model by the names."""

import dataclasses
import os
import re
from pathlib import Path

import numpy as np

from tf_cyclegan.settings.user_errors import restated
from tf_cyclegan.weights.addons.addons_networks import addons_architectures, assign_layers
from tf_cyclegan.weights.pytorch import infer, load_state_dict, read_checkpoint
from tf_cyclegan.weights.pytorch.architecture import Architecture
from tf_cyclegan.weights.pytorch.state_dicts import check_fits

_PYTORCH = (".pth", ".pt", ".ckpt", ".safetensors")
_TENSORFLOW = (".h5", ".hdf5", ".index")
_DOMAINS = ("a", "b")
_HALVES = {"enc": "encoder", "dec": "decoder", "cnns": "discriminator"}


ROLES = (
    "generator_ab",
    "generator_ba",
    "discriminator_a",
    "discriminator_b",
    "generator",
    "discriminator",
    "encoder",
    "encoder_a",
    "encoder_b",
    "decoder_a",
    "decoder_b",
)
# Names in CycleGAN's, pix2pix's and pix2pixHD's own implementation, whose D_A judges domain B.
_OWN = {
    "G_A": "generator_ab",
    "G_B": "generator_ba",
    "D_A": "discriminator_b",
    "D_B": "discriminator_a",
    "G": "generator",
    "D": "discriminator",
    "E": "encoder",
}
# Names in the PyTorch-GAN collection, of its CycleGAN and its UNIT; the number of an epoch follows.
_COLLECTION = {
    "G_AB": "generator_ab",
    "G_BA": "generator_ba",
    "D_A": "discriminator_a",
    "D_B": "discriminator_b",
    "E1": "encoder_a",
    "E2": "encoder_b",
    "G1": "decoder_a",
    "G2": "decoder_b",
    "D1": "discriminator_a",
    "D2": "discriminator_b",
}
# Names in implementations that write "net" without "_", whose D_A judges domain A.
_JOINED = {
    "G_A2B": "generator_ab",
    "G_B2A": "generator_ba",
    "G_AB": "generator_ab",
    "G_BA": "generator_ba",
    "D_A": "discriminator_a",
    "D_B": "discriminator_b",
    "G": "generator",
    "D": "discriminator",
}
# Names that mean the same network in all implementations, unlike D_A.
_PLAIN = {"G_A": "generator_ab", "G_B": "generator_ba", "G_A2B": "generator_ab", "G_B2A": "generator_ba"}
_PLAIN |= {"G_AB": "generator_ab", "G_BA": "generator_ba", "G": "generator", "D": "discriminator", "E": "encoder"}
_PATTERNS = (
    (r"(?:^|_)net_({})(?:\.|$)", _OWN),
    (r"^net({})(?:[._]|$)", _JOINED),
    (r"^({})_\d+(?:\.|$)", _COLLECTION),
    (r"^({})(?:\.[a-z]+|$)$", _PLAIN),
    (r"(?:^|_)({})(?:\.|$)", {role: role for role in ROLES}),
)
_PATTERNS = [(re.compile(pattern.format("|".join(roles))), roles) for pattern, roles in _PATTERNS]
# Names of this package's networks in PyTorch's files, to write them.
FILE_NAMES = {role: f"latest_net_{name}" for name, role in _OWN.items()}


@dataclasses.dataclass
class Part:
    """A network in a file.

    Args:
        path: path of the file.
        role: one of `ROLES`, or None where neither names nor content tell it.
        architecture: `Architecture`.
        state: dict of PyTorch's names to arrays, or of layers to the weights that TensorFlow saved.
    """

    path: Path
    role: str | None
    architecture: Architecture
    state: dict = dataclasses.field(repr=False)

    @property
    def kind(self):
        """`"generator"`, `"discriminator"`, `"encoder"` or `"decoder"`, as its content tells."""
        words = self.architecture.function.split("_")
        return words[-1] if words[-1] in ("discriminator", "encoder", "decoder") else "generator"

    @property
    def channels(self):
        """Channels of its images, in and out; None where there are none."""
        settings = self.architecture.settings
        return settings.get("image_shape", (None,))[-1], settings.get("output_channels")

    def check(self):
        """Raises `ValueError` unless the weights are finite and fit the architecture, before it is made."""
        with _naming(self.path):
            check_fits(self.architecture, self.state)
            for name, value in self.state.items():
                if not np.isfinite(value).all():
                    raise ValueError(f"`state` must have finite numbers. Received: NaN or infinity at {name!r}")

    def load(self, network):
        """Loads the weights into a network of the same architecture."""
        with _naming(self.path):
            load_state_dict(network, self.state)


class TensorFlowPart(Part):
    """A network that TensorFlow trained: PyTorch has none that computes the same."""

    def check(self):
        """`addons_architectures` has compared all shapes."""

    def load(self, network):
        assign_layers(network, self.state)


def is_weight_file(path):
    """Whether the name of a path is one that `read_parts` reads; a TensorFlow checkpoint is a prefix."""
    return Path(path).suffix.lower() in _PYTORCH + _TENSORFLOW or _is_prefix(path)


def is_pytorch_file(path):
    """Whether a path ends like checkpoints of PyTorch or safetensors files."""
    return Path(path).suffix.lower() in _PYTORCH


def _is_prefix(path):
    return os.path.exists(f"{os.fspath(path)}.index")


def read_parts(path, role=None):
    """Reads a file and finds the networks in it.

    Args:
        path: path of a checkpoint of PyTorch, a safetensors file, or what `addons.read_addons_weights` reads.
        role: one of `ROLES` for a file of one network. Defaults to None, which takes the role that its name tells.

    Returns:
        List of `Part`.

    Raises:
        ValueError: if it cannot be read, or holds a network that is not one of `tf_cyclegan.networks`.
        OSError: if it cannot be opened.
    """
    path = Path(path)
    of_tensorflow = path.suffix.lower() in _TENSORFLOW or _is_prefix(path)
    parts = _tensorflow_parts(path) if of_tensorflow else _pytorch_parts(path)
    if role is not None and len(parts) > 1:
        raise ValueError(
            f"`roles` must be left out for files of several networks. Received: {role} for {path} of {len(parts)}"
        )
    for part in parts:
        part.role = role or part.role
    return parts


def _tensorflow_parts(path):
    return [
        TensorFlowPart(path, name, Architecture(builder.__name__, settings), layers)
        for name, (builder, settings, layers) in addons_architectures(path).items()
    ]


def _pytorch_parts(path):
    parts = []
    for role, state in _by_role(read_checkpoint(path), role_of(path.name)):
        with _naming(path):
            parts.append(Part(path, role, infer(state), state))
    return parts


def _naming(path):
    """Makes errors name the file."""
    return restated(lambda message: f"{message}. The file is {path}")


def _by_role(state, role):
    """Pairs of role and state dict, one for each network in a file; a network without a name has the role `role`."""
    groups = {}
    for name, value in state.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = value
    if set(groups) <= set(_DOMAINS):
        return [pair for domain, part in groups.items() for pair in _halves(part, f"_{domain}").items()]
    roles = roles_of(list(groups))
    if all(roles.values()):
        return [(roles[group], part) for group, part in groups.items()]
    halves = _halves(state, "")
    return list(halves.items()) if len(halves) > 1 else [(role, state)]


def _halves(state, suffix):
    """The state dicts of UNIT's encoder and decoder, which one dict holds."""
    kinds = {}
    for name, value in state.items():
        kind = _HALVES.get(name.partition(".")[0], "generator")
        kinds.setdefault(kind + suffix, {})[name] = value
    return kinds


def role_of(name):
    """The network that a file of this name holds.

    Args:
        name: str, of a file, or the first part of its weights' names.

    Returns:
        One of `ROLES`, or None if the name does not tell.

    Example:
        >>> role_of("latest_net_D_A.pth"), role_of("D_A_12.pth")
        ('discriminator_b', 'discriminator_a')
    """
    for pattern, roles in _PATTERNS:
        if found := pattern.search(name):
            return roles[found[1]]
    return None


def roles_of(names):
    """The roles of several networks in one file, by the names that they have in it.

    Args:
        names: list of str.

    Returns:
        Dict of the names to roles or None. Where generators are called G_A and G_B, D_A judges domain B.

    Example:
        >>> roles_of(["G_A", "D_A"])
        {'G_A': 'generator_ab', 'D_A': 'discriminator_b'}
    """
    own = _OWN if {"G_A", "G_B"} & set(names) else {}
    return {name: own.get(name) or role_of(name) for name in names}
