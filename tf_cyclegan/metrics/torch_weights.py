"""Weights of published classifiers from PyTorch's files, in networks whose layers bear PyTorch's names."""

import re

import keras
import numpy as np

# What features do not need: the classifier, and how many batches a normalization has seen.
_UNUSED = re.compile(r"^(fc|classifier)\.|\.num_batches_tracked$")
_SUFFIXES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def load_classifier(network, state, description):
    """Loads a classifier's convolutions and normalizations, all or none.

    Args:
        network: `keras.Model` whose layers are named as PyTorch's modules.
        state: dict of PyTorch's names to arrays.
        description: str, what the file should be, for errors.

    Raises:
        ValueError: if a weight is missing, left over or of another shape.
    """
    values = {}
    for layer in network.layers:
        for weight in layer.weights:
            key = f"{layer.name}.{_SUFFIXES[weight.name]}"
            values[key] = (weight, _value(state, key, weight, layer, description))
    left = sorted(key for key in state if key not in values and not _UNUSED.search(key))
    if left:
        raise ValueError(f"`weights` must be of {description}. Received: a file that also has {left[0]!r}")
    for weight, value in values.values():
        weight.assign(value)


def _value(state, key, weight, layer, description):
    if key not in state:
        raise ValueError(f"`weights` must be of {description}. Received: a file without {key!r}")
    value = np.asarray(state[key], np.float32)
    if value.ndim == 4:
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        value = value.transpose(2, 3, 0, 1) if depthwise else value.transpose(2, 3, 1, 0)
    if value.shape != tuple(weight.shape):
        raise ValueError(
            f"`weights` must be of {description}, with {tuple(weight.shape)} at {key!r} (in Keras's order). "
            f"Received: {value.shape}"
        )
    return value
