"""PyTorch's names of the layers of pix2pixHD's networks, and of CycleGAN's generator."""

import re

import keras

# A scale whose layers are one sequence, in state dicts of training without feature matching.
_SEQUENCE = re.compile(r"^layer(\d+)\.(\d+)\.")


def resnet_positions(named):
    """Names in a generator of any number of steps down and up: `model.N` counts modules without weights too."""
    positions = {"stem_conv": "model.1", "stem_normalization": "model.2"}
    steps = count(named, r"down\d+_conv")
    for step in range(1, steps + 1):
        positions |= _normalized(f"down{step}", "model", 1 + 3 * step)
    blocks = count(named, r"block\d+_add")
    for block in range(1, blocks + 1):
        positions |= _residual_positions(named, f"block{block}", f"model.{3 + 3 * steps + block}.conv_block")
    index = 4 + 3 * steps + blocks
    for step in range(1, steps + 1):
        index += resizes(named, f"up{step}")
        positions |= _normalized(f"up{step}", "model", index)
        index += 3
    # A module of reflection padding stands before the head.
    return positions | {"head_conv": f"model.{index + 1}"}


def resizes(named, step):
    """Whether a step up is nearest-neighbor and a convolution; newer networks have one layer for both."""
    return f"{step}_resize" in named or getattr(named.get(f"{step}_conv"), "doubles", False)


def enhancer_positions(named):
    """Names in a local enhancer: `model` is the global part, `modelN_1` and `modelN_2` are the halves of enhancer N."""
    positions = resnet_positions(named)
    del positions["head_conv"]
    for number in range(1, count(named, r"enhancer\d+_stem_conv") + 1):
        name, first, second = f"enhancer{number}", f"model{number}_1", f"model{number}_2"
        positions |= _normalized(f"{name}_stem", first, 1) | _normalized(f"{name}_down", first, 4)
        blocks = count(named, rf"{name}_block\d+_add")
        for block in range(1, blocks + 1):
            positions |= _residual_positions(named, f"{name}_block{block}", f"{second}.{block - 1}.conv_block")
        positions |= _normalized(f"{name}_up", second, blocks)
        positions[f"{name}_head_conv"] = f"{second}.{blocks + 4}"
    return positions


def multiscale_positions(named):
    """Names in a multi-scale discriminator: the reference numbers its scales from the smallest image up."""
    scales = count(named, r"scale\d+_head_conv")
    layers = count(named, r"scale0_patch\d+_conv")
    positions = {}
    for scale in range(scales):
        prefix = f"scale{scales - 1 - scale}_layer"
        for layer in range(layers):
            positions |= _normalized(f"scale{scale}_patch{layer + 1}", f"{prefix}{layer}", 0)
        positions[f"scale{scale}_head_conv"] = f"{prefix}{layers}.0"
    return positions


def canonical_name(name):
    """The name that training with feature matching gives a discriminator's weight: `scaleS_layerL.N`."""
    found = _SEQUENCE.match(name)
    if found is None:
        return name
    # Convolution and activation, then triples of convolution, normalization and activation.
    scale, index = found[1], int(found[2])
    layer, part = (0, 0) if index < 2 else ((index + 1) // 3, (index + 1) % 3)
    return f"scale{scale}_layer{layer}.{part}.{name[found.end() :]}"


def count(named, pattern):
    """How many names of layers match a pattern."""
    return sum(bool(re.fullmatch(pattern, name)) for name in named)


def _normalized(name, prefix, index):
    return {f"{name}_conv": f"{prefix}.{index}", f"{name}_normalization": f"{prefix}.{index + 1}"}


def _residual_positions(named, name, prefix):
    # PyTorch pads with zeros inside the convolution: no module of its own, so the others move up.
    padded = not isinstance(named[f"{name}_1_pad"], keras.layers.ZeroPadding2D)
    first = int(padded)
    second = first + 3 + (f"{name}_dropout" in named) + int(padded)
    return _normalized(f"{name}_1", prefix, first) | _normalized(f"{name}_2", prefix, second)
