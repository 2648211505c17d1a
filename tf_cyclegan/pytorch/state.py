"""State dicts: into a network, exactly or not at all, and out of it.

A state dict is a dict of NumPy arrays by PyTorch's names and in PyTorch's layout.
"""

import keras
import numpy as np

from tf_cyclegan.layers import InstanceNormalization
from tf_cyclegan.pytorch import architecture
from tf_cyclegan.pytorch.architecture import canonical
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
    try:
        values = _fitted(network, canonical(state))
    except ValueError as error:
        raise ValueError(f"{error}. {architecture.explain_misfit(state, to_state_dict(network))}") from None
    for weight, value in values:
        weight.assign(value)


def check_fits(found, state):
    """Raises `ValueError` unless a network of an architecture takes a state dict, without memory for the network.

    A damaged file may look like a network that is a thousand times its size.

    Args:
        found: `Architecture`.
        state: dict, PyTorch's names to arrays.

    Raises:
        ValueError: if a weight is missing, left over, or of another shape; it names the first.
    """
    with keras.StatelessScope(initialize_variables=False):
        try:
            _fitted(found.build(), canonical(state))
        except ValueError as error:
            raise ValueError(f"`state` does not fit what it looks like, {found}: {error}") from None


def _fitted(network, state):
    """Pairs of weights and their values."""
    prefixes = torch_prefixes(network)
    values = [(weight, _value_of(weight, key, state)) for weight, key in _entries(prefixes)]
    _check_nothing_left(state, prefixes, _before_instance_normalization(network, prefixes))
    return values


def to_state_dict(network):
    """The weights of a network of `tf_cyclegan.networks` as PyTorch's implementation of it keeps them.

    Where PyTorch has a bias that an instance normalization removes, and the network here has none, it is 0. Batch
    normalizations count no batches here: `num_batches_tracked` is 0. Without normalization PyTorch's CycleGAN and
    pix2pix have no biases: those that are not 0 are written, and have no place there.

    Args:
        network: `keras.Model` made by one of the functions of `tf_cyclegan.networks`. UNIT 1.1 keeps an encoder and a
            decoder together: their two dicts together make that one.

    Returns:
        Dict of PyTorch's names to arrays in PyTorch's layout, float32 unless the network computes in float64.

    Raises:
        ValueError: if `network` is none of `tf_cyclegan.networks`.

    Example:
        >>> to_state_dict(resnet_generator(filters=4))["model.1.weight"].shape
        (4, 3, 7, 7)
    """
    prefixes = torch_prefixes(network)
    names = {layer.name for layer in network._flatten_layers()}
    unbiased = not any(name.endswith("_normalization") for name in names)
    state = {}
    for weight, key in _entries(prefixes):
        value = weight.numpy()
        if not (unbiased and _may_be_left_out(weight, key) and weight.name == "bias" and not value.any()):
            # Both convolutions have their two channel axes first in PyTorch and last, swapped, in Keras; no flip.
            state[key] = np.ascontiguousarray(value.transpose(3, 2, 0, 1)) if value.ndim == 4 else value
    for prefix, layer in _before_instance_normalization(network, prefixes).items():
        state.setdefault(f"{prefix}.bias", np.zeros(layer.filters, layer.variable_dtype))
    for key in [key for key in state if key.endswith(".running_mean")]:
        state[key.replace("running_mean", "num_batches_tracked")] = np.zeros((), "int64")
    if "up1_resize" in names:  # of an implementation with another word for it
        state = {key.replace(".conv_block.", ".block."): value for key, value in state.items()}
    return state


def _before_instance_normalization(network, prefixes):
    """Convolutions whose mean is subtracted right after them, and with it any bias, by PyTorch's names."""
    normalizations = {layer.name for layer in network._flatten_layers() if isinstance(layer, InstanceNormalization)}
    return {
        prefix: layer
        for layer, prefix in prefixes.items()
        if layer.name.endswith("_conv") and f"{layer.name.removesuffix('conv')}normalization" in normalizations
    }


def _entries(prefixes):
    """The weights of layers and PyTorch's names for them."""
    for layer, prefix in prefixes.items():
        names = _PARAMETERS | parameter_names(layer)
        for weight in layer.weights:
            if weight.name in names:
                yield weight, f"{prefix}.{names[weight.name]}"


def _value_of(weight, key, state):
    if key not in state and weight.name == "bias" and _may_be_left_out(weight, key):
        return np.zeros(weight.shape, "float32")
    if key not in state:
        raise ValueError(f"`state` must have {key!r} for the weight {weight.path!r}. It begins {sorted(state)[:3]}")
    value = state[key]
    value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
    if value.shape != tuple(weight.shape):
        raise ValueError(
            f"`state` does not fit at {key!r}: expected {tuple(weight.shape)} for the weight {weight.path!r} "
            f"(height, width and channels in Keras's order). Received: {value.shape}"
        )
    return value


def _may_be_left_out(weight, key):
    return key == _PIXEL_HEAD or not weight.path.startswith(_ALWAYS_BIASED)


def _check_nothing_left(state, prefixes, unbiased):
    """What has no place here must be without effect: parts of a normalization without weights, or a removed bias."""
    known = {key for _, key in _entries(prefixes)}
    removed = {f"{prefix}.bias" for prefix in unbiased}
    statistics = (".running_mean", ".running_var", ".num_batches_tracked")
    for key in state:
        without_effect = key.endswith(statistics) or is_of_other_half(prefixes.values(), key)
        if key not in known | removed and not without_effect:
            raise ValueError(f"`state` has {key!r}, for which the network has no place")
