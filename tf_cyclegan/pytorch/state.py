"""State dicts: loading them into a network, exactly or not at all.

A state dict is a dict of NumPy arrays by PyTorch's names and in PyTorch's layout.
"""

import numpy as np

from tf_cyclegan.pytorch import hd_names
from tf_cyclegan.pytorch.flattening import PREFIXES
from tf_cyclegan.pytorch.names import torch_prefixes
from tf_cyclegan.pytorch.unit_names import is_of_other_half, parameter_names

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
_ALWAYS_BIASED = ("patch1_conv", "pixel1_conv", "head_conv", "decoder_", "pyramid", "enhancer", "scale")
_PIXEL_HEAD = "net.5.bias"


def load_state_dict(network, state):
    """Loads the weights of a PyTorch network into a network of `tf_cyclegan.networks`, exactly.

    Biases that an instance normalization removes are dropped, as are the running statistics that PyTorch before 0.4
    kept with it; a bias that PyTorch leaves out is 0. Prefixes of `DataParallel` and `torch.compile` are stripped.
    UNIT 1.1 keeps an encoder and a decoder together: each takes its part.

    Args:
        network: `keras.Model` made by one of the functions of `tf_cyclegan.networks`.
        state: dict, PyTorch names to arrays in PyTorch's layout, of any float dtype.

    Raises:
        ValueError: if a weight is missing, left over, or of another shape; it names the first. Nothing is loaded then.
    """
    state = {_canonical_name(name): np.asarray(value) for name, value in state.items()}
    prefixes = torch_prefixes(network)
    values = [
        (weight, _value_of(weight, _key(prefix, layer, weight), state))
        for layer, prefix in prefixes.items()
        for weight in layer.weights
        if weight.name in _PARAMETERS
    ]
    _check_nothing_left(state, prefixes)
    for weight, value in values:
        weight.assign(value)


def _key(prefix, layer, weight):
    return f"{prefix}.{(_PARAMETERS | parameter_names(layer))[weight.name]}"


def _canonical_name(name):
    return hd_names.canonical_name(PREFIXES.sub("", name).replace(".block.", ".conv_block."))


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
    known = {_key(prefix, layer, weight) for layer, prefix in prefixes.items() for weight in layer.weights}
    removed = {f"{prefix}.bias" for prefix in prefixes.values()}
    statistics = (".running_mean", ".running_var", ".num_batches_tracked")
    for key in state:
        without_effect = key.endswith(statistics) or is_of_other_half(prefixes.values(), key)
        if key not in known | removed and not without_effect:
            raise ValueError(
                f"`state` has {key!r}, for which the network has no place. "
                "Compare `normalization`, `residual_blocks`, `layers`, `dropout`, `padding` and `upsampling`."
            )
