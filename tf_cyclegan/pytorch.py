"""Weights of the PyTorch implementations in the networks here, without needing torch.

A state dict is a dict of NumPy arrays by PyTorch's names and in PyTorch's layout.
"""

import re

import keras
import numpy as np

# Keras weight -> PyTorch's name of it.
_PARAMETERS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# PyTorch has no biases in the other convolutions when the normalization is not instance, nor in a pixel head.
_ALWAYS_BIASED = ("patch1_conv", "pixel1_conv", "head_conv")
_PIXEL_HEAD = "net.5.bias"
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")


def load_state_dict(network, state):
    """Loads the weights of a PyTorch CycleGAN network into a network of `tf_cyclegan.networks`, exactly.

    Biases that an instance normalization removes are dropped, as are the running statistics that PyTorch before 0.4
    kept with it; a bias that PyTorch leaves out is 0. Prefixes of `DataParallel` and `torch.compile` are stripped.

    Args:
        network: `keras.Model` made by `resnet_generator`, `unet_generator`, `patchgan_discriminator`,
            `four_stride_discriminator` or `pixel_discriminator`.
        state: dict, PyTorch names to arrays in PyTorch's layout, of any float dtype.

    Raises:
        ValueError: if a weight is missing, left over, or of another shape; it names the first. Nothing is loaded then.
    """
    state = {_canonical_name(name): np.asarray(value) for name, value in state.items()}
    prefixes = _torch_prefixes(network)
    values = [
        (weight, _value_of(weight, f"{prefix}.{_PARAMETERS[weight.name]}", state))
        for layer, prefix in prefixes.items()
        for weight in layer.weights
        if weight.name in _PARAMETERS
    ]
    _check_nothing_left(state, prefixes)
    for weight, value in values:
        weight.assign(value)


def _canonical_name(name):
    return _WRAPPERS.sub("", name).replace(".block.", ".conv_block.")


def _value_of(weight, key, state):
    if key not in state and weight.name == "bias" and _may_be_left_out(weight, key):
        return np.zeros(weight.shape)
    if key not in state:
        raise ValueError(f"`state` must have {key!r} for the weight {weight.path!r}. It begins {sorted(state)[:3]}")
    value = state[key]
    # Both convolutions have their two channel axes first in PyTorch and last, swapped, in Keras; no flip.
    value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
    if value.shape != tuple(weight.shape):
        raise ValueError(
            f"`state` does not fit at {key!r}: expected {tuple(weight.shape)} for the weight {weight.path!r} "
            f"(height, width and channels in Keras's order). Received: {value.shape}. {_explain_misfit(key)}"
        )
    return value


def _may_be_left_out(weight, key):
    return key == _PIXEL_HEAD or not weight.path.startswith(_ALWAYS_BIASED)


def _explain_misfit(key):
    if key.endswith(("model.1.weight", "model.0.weight", "net.0.weight")):
        return "Compare `filters` and the channels of `image_shape`."
    return "Compare `filters`, `residual_blocks`, `layers`, `dropout`, `padding` and `upsampling`."


def _check_nothing_left(state, prefixes):
    """What has no place here must be without effect: parts of a normalization without weights, or a removed bias."""
    known = {f"{prefix}.{_PARAMETERS[w.name]}" for layer, prefix in prefixes.items() for w in layer.weights}
    removed = {f"{prefix}.bias" for prefix in prefixes.values()}
    statistics = (".running_mean", ".running_var", ".num_batches_tracked")
    for key in state:
        if key not in known | removed and not key.endswith(statistics):
            raise ValueError(
                f"`state` has {key!r}, for which the network has no place. "
                "Compare `normalization`, `residual_blocks`, `layers`, `dropout`, `padding` and `upsampling`."
            )


def _torch_prefixes(network):
    """Maps every layer that may have weights to PyTorch's name for it."""
    named = {layer.name: layer for layer in network._flatten_layers() if not isinstance(layer, keras.Model)}
    if "stem_conv" in named:
        positions = _resnet_positions(named)
    elif "up2_bridge" in named:
        positions = _unet_positions(named)
    elif "patch1_conv" in named:
        positions = _patchgan_positions(named)
    elif "pixel1_conv" in named:
        positions = {
            "pixel1_conv": "net.0",
            "pixel2_conv": "net.2",
            "pixel2_normalization": "net.3",
            "head_conv": "net.5",
        }
    else:
        raise ValueError(f"`network` must be a network of tf_cyclegan.networks. Received: {network.name!r}")
    return {named[name]: prefix for name, prefix in positions.items() if name in named}


def _resnet_positions(named):
    positions = {}
    for name, index in {"stem": 1, "down1": 4, "down2": 7}.items():
        positions |= {f"{name}_conv": f"model.{index}", f"{name}_normalization": f"model.{index + 1}"}
    blocks = sum(bool(re.fullmatch(r"block\d+_add", name)) for name in named)
    for block in range(1, blocks + 1):
        positions |= _residual_positions(named, f"block{block}", f"model.{9 + block}.conv_block")
    index = 10 + blocks
    for name in ("up1", "up2"):
        index += f"{name}_resize" in named
        positions |= {f"{name}_conv": f"model.{index}", f"{name}_normalization": f"model.{index + 1}"}
        index += 3
    # A module of reflection padding stands before the head.
    return positions | {"head_conv": f"model.{index + 1}"}


def _residual_positions(named, name, prefix):
    # PyTorch pads with zeros inside the convolution: no module of its own, so the others move up.
    padded = not isinstance(named[f"{name}_1_pad"], keras.layers.ZeroPadding2D)
    first = int(padded)
    second = first + 3 + (f"{name}_dropout" in named) + int(padded)
    return {
        f"{name}_1_conv": f"{prefix}.{first}",
        f"{name}_1_normalization": f"{prefix}.{first + 1}",
        f"{name}_2_conv": f"{prefix}.{second}",
        f"{name}_2_normalization": f"{prefix}.{second + 1}",
    }


def _unet_positions(named):
    """Each level stands inside the one above, after its convolution."""
    positions = {"down1_conv": "model.model.0", "head_conv": "model.model.3"}
    levels = sum(bool(re.fullmatch(r"down\d+_conv", name)) for name in named)
    for level in range(2, levels + 1):
        prefix = f"model.model.1{'.model.3' * (level - 2)}.model"
        up = 3 if level == levels else 5
        positions |= {f"down{level}_conv": f"{prefix}.1", f"down{level}_normalization": f"{prefix}.2"}
        positions |= {f"up{level}_conv": f"{prefix}.{up}", f"up{level}_normalization": f"{prefix}.{up + 1}"}
    return positions


def _patchgan_positions(named):
    convolutions = sum(bool(re.fullmatch(r"patch\d+_conv", name)) for name in named)
    positions = {"patch1_conv": "model.0"}
    for number in range(2, convolutions + 1):
        index = 2 + 3 * (number - 2)
        positions |= {f"patch{number}_conv": f"model.{index}", f"patch{number}_normalization": f"model.{index + 1}"}
    # The four-stride variant has a module of one-sided padding before its head.
    one_sided = named["head_pad"].padding[0] == (2, 1)
    return positions | {"head_conv": f"model.{2 + 3 * (convolutions - 1) + one_sided}"}
