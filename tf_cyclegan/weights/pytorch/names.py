"""PyTorch's names of the layers of any network; here of U-Nets, PatchGANs and pixel discriminators."""

import keras

from tf_cyclegan.networks.layers import InstanceNormalization
from tf_cyclegan.weights.pytorch.hd_names import (
    count,
    enhancer_positions,
    multiscale_positions,
    resizes,
    resnet_positions,
)
from tf_cyclegan.weights.pytorch.unit_names import parameter_names, pyramid_positions, unit_positions

# Keras weight -> PyTorch's name of it.
_PARAMETERS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def torch_prefixes(network):
    """Maps every layer that may have weights to PyTorch's name for it.

    Raises:
        ValueError: if `network` is none of `tf_cyclegan.networks`.
    """
    named = named_layers(network)
    for marker, positions in _FAMILIES.items():
        if marker in named:
            return {named[name]: prefix for name, prefix in positions(named).items() if name in named}
    raise ValueError(f"`network` must be a network of tf_cyclegan.networks. Received: {network.name!r}")


def entries(prefixes):
    """The weights of layers and PyTorch's names for them."""
    for layer, prefix in prefixes.items():
        names = _PARAMETERS | parameter_names(layer)
        for weight in layer.weights:
            if weight.name in names:
                yield weight, f"{prefix}.{names[weight.name]}"


def named_layers(network):
    """The layers of a network and of its inner networks, by name."""
    return {layer.name: layer for layer in network._flatten_layers() if not isinstance(layer, keras.Model)}


def pads_as_tensorflow(named):
    """Whether strided convolutions are padded "same": elsewhere a layer pads; a U-Net's padding is the same anyway."""
    strided = next((name for name in ("down2", "patch1") if f"{name}_conv" in named), None)
    return strided is not None and f"{strided}_pad" not in named and "up2_bridge" not in named


def check_has_counterpart(network):
    """Raises `ValueError` if PyTorch's implementations have no network that computes the same."""
    named = named_layers(network)
    setting = None
    if any(isinstance(layer, InstanceNormalization) and layer.weights for layer in named.values()):
        setting = "normalization='affine_instance'"
    elif pads_as_tensorflow(named):
        setting = "convolution_padding='same'"
    elif "full_size_conv" in named:
        setting = "full_size_skip=True"
    elif "up2_bridge" in named and resizes(named, "up2"):
        setting = "upsampling='resize'"
    if setting:
        raise ValueError(
            f"`network` must be one that PyTorch's implementations have. Received: {network.name!r} with {setting}"
        )


def _unet_positions(named):
    """Each level stands inside the one above, after its convolution."""
    positions = {"down1_conv": "model.model.0", "head_conv": "model.model.3"}
    levels = count(named, r"down\d+_conv")
    for level in range(2, levels + 1):
        prefix = f"model.model.1{'.model.3' * (level - 2)}.model"
        up = 3 if level == levels else 5
        positions |= {f"down{level}_conv": f"{prefix}.1", f"down{level}_normalization": f"{prefix}.2"}
        positions |= {f"up{level}_conv": f"{prefix}.{up}", f"up{level}_normalization": f"{prefix}.{up + 1}"}
    return positions


def _patchgan_positions(named):
    convolutions = count(named, r"patch\d+_conv")
    positions = {"patch1_conv": "model.0"}
    for number in range(2, convolutions + 1):
        index = 2 + 3 * (number - 2)
        positions |= {f"patch{number}_conv": f"model.{index}", f"patch{number}_normalization": f"model.{index + 1}"}
    # The four-stride variant has a module of one-sided padding before its head.
    one_sided = named["head_pad"].padding[0] == (2, 1)
    return positions | {"head_conv": f"model.{2 + 3 * (convolutions - 1) + one_sided}"}


def _pixel_positions(named):
    return {"pixel1_conv": "net.0", "pixel2_conv": "net.2", "pixel2_normalization": "net.3", "head_conv": "net.5"}


# The layer by which a network is recognized.
_FAMILIES = {
    "enhancer1_stem_conv": enhancer_positions,
    "stem_conv": resnet_positions,
    "up2_bridge": _unet_positions,
    "patch1_conv": _patchgan_positions,
    "pixel1_conv": _pixel_positions,
    "scale0_head_conv": multiscale_positions,
    "latent_mean": unit_positions,
    "decoder_head_conv": unit_positions,
    "pyramid1_head_conv": pyramid_positions,
}
