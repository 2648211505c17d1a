"""State dicts: into a network, exactly or not at all, and out of it.

A state dict is a dict of NumPy arrays by PyTorch's names and in PyTorch's layout.
"""

import re

import keras
import numpy as np

from tf_cyclegan.networks.layers import InstanceNormalization
from tf_cyclegan.weights.pytorch.architecture import architecture_of, canonical, explain_misfit, infer
from tf_cyclegan.weights.pytorch.hd_names import resizes
from tf_cyclegan.weights.pytorch.names import check_has_counterpart, entries, named_layers, torch_prefixes
from tf_cyclegan.weights.pytorch.unit_names import is_of_other_half

# Convolutions that have a bias with every normalization; a pixel discriminator's head has one with instance alone.
_ALWAYS_BIASED = re.compile(
    r"(patch1|pixel1|head|scale\d+_patch1|scale\d+_head|enhancer\d+_head)_conv/|decoder_|pyramid"
)
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
    if not isinstance(state, dict):
        raise ValueError(f"`state` must be a dict, as `read_checkpoint` gives it. Received: {type(state).__name__}")
    try:
        values = _fitted(network, canonical(state))
    except ValueError as error:
        raise ValueError(f"{error}. {explain_misfit(state, architecture_of(network))}") from None
    for weight, value in values:
        weight.assign(value)


def network_from_state_dict(state, **settings):
    """Makes the network that a state dict belongs to, with its weights.

    Args:
        state: dict, PyTorch's names to arrays, as `read_checkpoint` gives it.
        **settings: arguments of the network's builder, which replace those that `infer` finds.

    Returns:
        `keras.Model`.

    Raises:
        ValueError: if it belongs to no network of `tf_cyclegan.networks`, or a setting does not fit.

    Example:
        >>> generator = network_from_state_dict(to_state_dict(resnet_generator(filters=4)))
        >>> generator.count_params() == resnet_generator(filters=4).count_params()
        True
    """
    found = infer(state)
    found.settings.update(settings)
    check_fits(found, state)
    network = found.build()
    load_state_dict(network, state)
    return network


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
    check_has_counterpart(network)
    values = [(weight, _value_of(weight, key, state)) for weight, key in entries(prefixes)]
    if _is_unnormalized(network):
        for weight, key in entries(prefixes):
            if _may_be_left_out(weight, key) and key in state:
                _check_zero(state[key], f"{network.name!r} for `state` with {key!r}")
    _check_nothing_left(state, prefixes, _before_instance_normalization(network, prefixes))
    return values


def to_state_dict(network):
    """The weights of a network of `tf_cyclegan.networks` as PyTorch's implementation of it keeps them.

    Where PyTorch has a bias that an instance normalization removes, and the network here has none, it is 0. Batch
    normalizations count no batches here: `num_batches_tracked` is 0.

    Args:
        network: `keras.Model` made by one of the functions of `tf_cyclegan.networks`. UNIT 1.1 keeps an encoder and a
            decoder together: their two dicts together make that one.

    Returns:
        Dict of PyTorch's names to arrays in PyTorch's layout, float32 unless the network computes in float64.

    Raises:
        ValueError: if `network` is none of `tf_cyclegan.networks`, or one that PyTorch does not have: padded as
            TensorFlow pads, with an affine instance normalization, or with biases and no normalization.

    Example:
        >>> to_state_dict(resnet_generator(filters=4))["model.1.weight"].shape
        (4, 3, 7, 7)
    """
    prefixes = torch_prefixes(network)
    check_has_counterpart(network)
    without_biases = _is_unnormalized(network)
    state = {}
    for weight, key in entries(prefixes):
        value = weight.numpy()
        if without_biases and _may_be_left_out(weight, key):
            _check_zero(value, f"{network.name!r} with {weight.path!r} other than 0")
        else:
            # Both convolutions have their two channel axes first in PyTorch and last, swapped, in Keras; no flip.
            state[key] = np.ascontiguousarray(value.transpose(3, 2, 0, 1)) if value.ndim == 4 else value
    for prefix, layer in _before_instance_normalization(network, prefixes).items():
        state.setdefault(f"{prefix}.bias", np.zeros(layer.filters, layer.variable_dtype))
    for key in [key for key in state if key.endswith(".running_mean")]:
        state[key.replace("running_mean", "num_batches_tracked")] = np.zeros((), "int64")
    if resizes(named_layers(network), "up1"):  # of an implementation that says `block`
        state = {key.replace(".conv_block.", ".block."): value for key, value in state.items()}
    return state


def _is_unnormalized(network):
    return not any(name.endswith("_normalization") for name in named_layers(network))


def _check_zero(bias, received):
    if bias.any():
        raise ValueError(
            "`network` must be one that PyTorch's implementations have: without normalization they have biases at "
            f"their ends alone. Received: {received}"
        )


def _before_instance_normalization(network, prefixes):
    """Convolutions whose mean is subtracted right after them, and with it any bias, by PyTorch's names."""
    normalizations = {name for name, layer in named_layers(network).items() if isinstance(layer, InstanceNormalization)}
    return {
        prefix: layer
        for layer, prefix in prefixes.items()
        if layer.name.endswith("_conv") and f"{layer.name.removesuffix('conv')}normalization" in normalizations
    }


def _value_of(weight, key, state):
    if key not in state and _may_be_left_out(weight, key):
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
    return weight.name == "bias" and (key == _PIXEL_HEAD or not _ALWAYS_BIASED.match(weight.path))


def _check_nothing_left(state, prefixes, unbiased):
    """Raises `ValueError` if a weight without a place has an effect; removed biases and statistics have none."""
    known = {key for _, key in entries(prefixes)}
    removed = {f"{prefix}.bias" for prefix in unbiased}
    statistics = (".running_mean", ".running_var", ".num_batches_tracked")
    for key in state:
        without_effect = key.endswith(statistics) or is_of_other_half(prefixes.values(), key)
        if key not in known | removed and not without_effect:
            raise ValueError(f"`state` has {key!r}, for which the network has no place")
