"""Which builder and settings make a network: told from a state dict, or from the network itself."""

import dataclasses
import inspect
import re

import keras
import numpy as np

from tf_cyclegan import networks
from tf_cyclegan.networks.layers import (
    BatchNormalization,
    InstanceNormalization,
    ReflectionPadding2D,
    ReplicationPadding2D,
)
from tf_cyclegan.weights.pytorch.families import FAMILIES, Names
from tf_cyclegan.weights.pytorch.hd_names import canonical_name, resizes
from tf_cyclegan.weights.pytorch.names import entries, named_layers, pads_as_tensorflow, torch_prefixes
from tf_cyclegan.weights.pytorch.reading import PREFIXES

# Implementations whose networks this package does not have, by a part of a name that only they use.
_STRANGERS = {
    ".filt": "an anti-aliased network of CUT",
    ".mlp.": "MUNIT",
    "mlp_": "the projection heads of CUT",
    "spade": "SPADE",
    "weight_orig": "a spectrally normalized network",
    "layers.0.": "a Keras network",
    ".parametrizations.": "a network with parametrized weights, as of spectral normalization",
}
_PADDINGS = {ReflectionPadding2D: "reflect", ReplicationPadding2D: "replicate", keras.layers.ZeroPadding2D: "zero"}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A builder function of `tf_cyclegan.networks` and the arguments that make a certain network.

    Args:
        function: str, the builder's name.
        settings: dict of its keyword arguments.
    """

    function: str
    settings: dict

    def build(self, **settings):
        """The network with new weights.

        Args:
            **settings: arguments of the builder, which replace those found.

        Returns:
            `keras.Model`.
        """
        settings = {**self.settings, **settings}
        unknown = sorted(settings.keys() - self.parameters)
        if unknown:
            raise ValueError(f"`{unknown[0]}` is no setting of the network in the file, a {self.function}")
        return self._builder(**settings)

    @property
    def parameters(self):
        """The names of all arguments that the builder takes."""
        return inspect.signature(self._builder).parameters

    @property
    def _builder(self):
        return getattr(networks, self.function)

    def __str__(self):
        """The call of the builder."""
        return f"{self.function}({', '.join(f'{name}={value!r}' for name, value in self.settings.items())})"


def canonical(state):
    """A state dict by the names of CycleGAN's and pix2pixHD's own implementation, without prefixes of wrappers."""
    return {
        canonical_name(PREFIXES.sub("", name).replace(".block.", ".conv_block.")): np.asarray(value)
        for name, value in state.items()
    }


def infer(state):
    """Finds the network that a state dict belongs to.

    Settings that leave no trace in names and shapes are the reference implementation's: `padding="reflect"` where there
    is a module of padding, a `dropout` of 0.5 in residual blocks that have a module for it, and in U-Nets.

    Args:
        state: dict, PyTorch's names to arrays. Of UNIT 1.1, only the encoder or only the decoder.

    Returns:
        `Architecture`.

    Raises:
        ValueError: if it belongs to no network of `tf_cyclegan.networks`.

    Example:
        >>> infer(read_checkpoint("latest_net_G.pth")).function  # doctest: +SKIP
        'resnet_generator'
    """
    shapes = {name: value.shape for name, value in canonical(state).items()}
    for sign, stranger in _STRANGERS.items():
        if found := next((name for name in shapes if sign in f".{name}"), None):
            raise ValueError(f"`state` must be of a network of tf_cyclegan.networks. Received: {stranger} ({found!r})")
    for sign, family in FAMILIES:
        if any(re.match(sign, name) for name in shapes):
            try:
                return Architecture(*family(Names(shapes)))
            except (LookupError, TypeError, ValueError) as error:
                looks = family.__name__.strip("_").replace("_", " ")
                reason = f"without {error}" if isinstance(error, KeyError) else "with other shapes"
                raise ValueError(f"`state` must be whole. Received: what looks like {looks}, {reason}") from None
    raise ValueError(
        "`state` must be of a network of tf_cyclegan.networks, of CycleGAN's, pix2pix's, pix2pixHD's or UNIT's "
        f"implementation. Received: weights named {', '.join(map(repr, sorted(shapes)[:3]))}, ..."
    )


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


def explain_misfit(state, wanted):
    """Says in which settings a state dict and a network differ.

    Args:
        state: dict of PyTorch's names to arrays, from a file.
        wanted: `Architecture` of the network that it does not fit.

    Returns:
        str, a sentence without its period.
    """
    try:
        found = infer(state)
    except ValueError:
        return f"The network is {wanted}"
    if found.function != wanted.function:
        return f"`state` is of a {found.function}, the network is a {wanted.function}"
    names = [
        name for name, value in found.settings.items() if _shown(name, value) != _shown(name, wanted.settings[name])
    ]
    if not names:
        return f"`state` looks like the network, {wanted}"
    pairs = (f"{name}={found.settings[name]!r}, the network has {wanted.settings.get(name)!r}" for name in names)
    return f"`state` is of a network with {'; '.join(pairs)}"


def _shown(name, value):
    """The part of a setting that names and shapes show: for dropout and padding, whether they have a module."""
    return {"dropout": bool(value), "padding": value == "zero"}.get(name, value)


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
