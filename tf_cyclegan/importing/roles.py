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
# Of CycleGAN's, pix2pix's and pix2pixHD's own implementation, whose D_A judges domain B.
_OWN = {
    "G_A": "generator_ab",
    "G_B": "generator_ba",
    "D_A": "discriminator_b",
    "D_B": "discriminator_a",
    "G": "generator",
    "D": "discriminator",
    "E": "encoder",
}
# Of the PyTorch-GAN collection, in its CycleGAN and its UNIT.
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
_PATTERNS = (
    (re.compile(r"(?:^|_)net_?(G_A|G_B|D_A|D_B|G|D|E)(?=[._]|$)"), _OWN),
    (re.compile(r"^(G_AB|G_BA|D_A|D_B|E1|E2|G1|G2|D1|D2)(?=[._]|$)"), _COLLECTION),
    (re.compile(rf"(?:^|_)({'|'.join(ROLES[:4] + ROLES[7:])})(?=[._]|$)"), {role: role for role in ROLES}),
)
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
