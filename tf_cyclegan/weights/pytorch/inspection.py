"""Tells which builder and settings made a network, by its weights and by its layers."""

import keras
import numpy as np

from tf_cyclegan.networks.layers import (
    BatchNormalization,
    InstanceNormalization,
    ReflectionPadding2D,
    ReplicationPadding2D,
)
from tf_cyclegan.weights.pytorch.architecture import Architecture, infer
from tf_cyclegan.weights.pytorch.hd_names import resizes
from tf_cyclegan.weights.pytorch.names import entries, named_layers, pads_as_tensorflow, torch_prefixes

_PADDINGS = {ReflectionPadding2D: "reflect", ReplicationPadding2D: "replicate", keras.layers.ZeroPadding2D: "zero"}


def architecture_of(network):
    """Finds the builder and the settings that make a network of `tf_cyclegan.networks`.

    Args:
        network: `keras.Model` made by one of the functions of `tf_cyclegan.networks`.

    Returns:
        `Architecture`.

    Raises:
        ValueError: if `network` is none of them.

    Example:
        >>> architecture_of(resnet_generator(filters=4, padding="replicate")).settings["padding"]
        'replicate'
    """
    # Shapes alone: nothing is copied.
    shapes = {key: _in_pytorchs_order(weight.shape) for weight, key in entries(torch_prefixes(network))}
    found = infer({key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()})
    layers = named_layers(network)
    settings = found.settings
    if "normalization" in settings:
        settings["normalization"] = _normalization(layers.values())
    if "padding" in settings:
        settings["padding"] = _PADDINGS[type(layers["block1_1_pad"])]
    statistics = [layer.inference_statistics for layer in layers.values() if isinstance(layer, BatchNormalization)]
    if statistics and "inference_statistics" in found.parameters:
        settings["inference_statistics"] = statistics[0]
    dropped = {name: layer.rate for name, layer in layers.items() if isinstance(layer, keras.layers.Dropout)}
    if found.function in ("resnet_generator", "unet_generator"):
        settings["dropout"] = next(iter(dropped.values()), 0.0)
    if found.function == "unet_generator":
        settings |= _beyond_pytorchs_unet(network, layers)
    if f"up{settings.get('downsamplings')}_dropout" in dropped:
        settings["dropout_placement"] = "paper"
    if pads_as_tensorflow(layers):
        settings["convolution_padding"] = "same"
    return Architecture(found.function, settings)


def _beyond_pytorchs_unet(network, layers):
    """Settings of a U-Net that no PyTorch implementation has; its names do not show them."""
    return {
        "image_shape": (None, None, network.input_shape[-1]),
        "output_channels": network.output_shape[-1],
        "upsampling": "resize" if resizes(layers, "up2") else "deconvolution",
        "full_size_skip": "full_size_conv" in layers,
    }


def _in_pytorchs_order(shape):
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else tuple(shape)


def _normalization(layers):
    for layer in layers:
        if isinstance(layer, InstanceNormalization):
            return "affine_instance" if layer.weights else "instance"
        if isinstance(layer, keras.layers.BatchNormalization):
            return "batch"
    return "none"
