"""PyTorch's names of the layers of UNIT's networks: of UNIT 1.1, and of the paper's variant with shared blocks."""

import re

from tf_cyclegan.networks.layers.layer_normalization import LayerNormalization
from tf_cyclegan.weights.pytorch.hd_names import count


def unit_positions(named):
    """Names of an encoder or a decoder, by its layers' names."""
    if {"encoder_stem_conv", "decoder_head_conv"} <= set(named):
        raise ValueError(
            "`network` must be an encoder or a decoder of UNIT, which PyTorch keeps by domain. "
            "Received: a generator, the encoder of one domain with the decoder of the other"
        )
    if "shared_add" in named:
        return _paper_encoder(named) if "encoder_stem_conv" in named else _paper_decoder(named)
    return _encoder(named) if "encoder_stem_conv" in named else _decoder(named)


def pyramid_positions(named):
    """Names of the discriminator of several scales."""
    positions = {}
    for name in named:
        found = re.fullmatch(r"pyramid(\d+)_(?:patch(\d+)|head)_conv", name)
        if found:
            scale, layer = int(found[1]) - 1, found[2]
            index = f"{int(layer) - 1}.conv" if layer else count(named, rf"pyramid{found[1]}_patch\d+_conv")
            positions[name] = f"cnns.{scale}.{index}"
    return positions


def is_of_other_half(network_prefixes, key):
    """Whether `key` belongs to the other network of a file of UNIT 1.1, which holds an encoder and a decoder."""
    halves = {"enc.", "dec."}
    ours = {half for half in halves if any(prefix.startswith(half) for prefix in network_prefixes)}
    return bool(ours) and key.startswith(tuple(halves - ours))


def _encoder(named):
    positions = {f"encoder_{part}_conv": f"enc.model.{i}.conv" for i, part in enumerate(("stem", "down1", "down2"))}
    return positions | _residual_positions(named, "encoder", "enc.model.3.model.{block}.model.{conv}.conv", (0, 1))


def _decoder(named):
    positions = _residual_positions(named, "decoder", "dec.model.0.model.{block}.model.{conv}.conv", (0, 1))
    for up, index in {"up1": 2, "up2": 4}.items():
        prefix = f"dec.model.{index}"
        positions |= {f"decoder_{up}_conv": f"{prefix}.conv", f"decoder_{up}_normalization": f"{prefix}.norm"}
    return positions | {"decoder_head_conv": "dec.model.5.conv"}


def _paper_encoder(named):
    positions = {"encoder_stem_conv": "model_blocks.1"}
    positions |= {"encoder_down1_conv": "model_blocks.4", "encoder_down2_conv": "model_blocks.7"}
    return positions | _shared_positions() | _paper_blocks(named, "encoder", 10)


def _paper_decoder(named):
    first = count(named, r"decoder_block\d+_add")
    positions = {"decoder_up1_conv": f"model_blocks.{first}", "decoder_up2_conv": f"model_blocks.{first + 3}"}
    # A module of reflection padding stands before the head.
    positions |= {"decoder_head_conv": f"model_blocks.{first + 7}"}
    return positions | _shared_positions() | _paper_blocks(named, "decoder", 0)


def _shared_positions():
    return {"shared_1_conv": "shared_block.conv_block.1", "shared_2_conv": "shared_block.conv_block.5"}


def _paper_blocks(named, network, first):
    pattern = "model_blocks.{block}.conv_block.{conv}"
    return _residual_positions(named, network, pattern, (1, 5), first)


def _residual_positions(named, network, pattern, convolutions, first=0):
    return {
        f"{network}_block{block}_{number}_conv": pattern.format(block=first + block - 1, conv=conv)
        for block in range(1, count(named, rf"{network}_block\d+_add") + 1)
        for number, conv in enumerate(convolutions, start=1)
    }


def parameter_names(layer):
    """Keras weights -> PyTorch's names, for layers whose names differ from the usual ones."""
    return {"gamma": "gamma", "beta": "beta"} if isinstance(layer, LayerNormalization) else {}
