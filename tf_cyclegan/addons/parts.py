"""What the networks of a CycleGAN are called in files."""

# What the example of Keras, LynnHo/CycleGAN-Tensorflow-2 and others call the networks, in lower case without "_".
PARTS = {
    "generator_ab": ("generatorab", "generatorg", "geng", "ga2b", "gab", "genab", "generatora2b"),
    "generator_ba": ("generatorba", "generatorf", "genf", "gb2a", "gba", "genba", "generatorb2a"),
    "discriminator_a": ("discriminatora", "discriminatorx", "discx", "da", "disca"),
    "discriminator_b": ("discriminatorb", "discriminatory", "discy", "db", "discb"),
}
# The name of a network that is alone in its file, which does not name it.
ALONE = "network"


def part_name(name):
    """This package's name of a network that a file calls `name`; an unknown name stays."""
    plain = name.lower().replace("_", "")
    return next((part for part, names in PARTS.items() if plain in names), name)
