"""Which network of a model a file holds, as far as its name tells."""

import re

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
# Names that say the same wherever they stand alone; D_A does not.
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
