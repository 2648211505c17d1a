"""Networks with weights from files of tensorflow_addons' users, loaded exactly or not at all."""

import os

import keras
import numpy as np

from tf_cyclegan.networks import patchgan_discriminator, resnet_generator
from tf_cyclegan.weights.addons.addons_files import ALONE, UNSURE, part_name, read_addons_weights
from tf_cyclegan.weights.unreadable import refuse, shown


def load_addons_weights(network, path, part=None):
    """Loads weights trained with tensorflow_addons' instance normalization into a network, exactly.

    Layers are matched in their order. A bias that a normalization removes is dropped.

    Args:
        network: `keras.Model` made by `networks.resnet_generator` or `networks.patchgan_discriminator` with
            `normalization="affine_instance"` and, unless the weights were trained behind explicit padding, which they
            do not tell, `convolution_padding="same"`.
        path: as in `read_addons_weights`.
        part: str, which network of the file, as `"generator_ab"` or what the file calls it. None if it holds one.

    Raises:
        ValueError: if the file is not read, `part` is not in it or is not said, or a layer does not fit; it names the
            first. Nothing is loaded then.
        OSError: if the file cannot be opened.

    Example:
        >>> network = resnet_generator(normalization="affine_instance", convolution_padding="same")
        >>> load_addons_weights(network, "cyclegan_checkpoints.090", "generator_ab")  # doctest: +SKIP
    """
    assign_layers(network, _chosen(read_addons_weights(path), part))


def addons_networks(path):
    """Makes the networks in a file of `read_addons_weights`, with the sizes of their weights.

    Args:
        path: as in `read_addons_weights`.

    Returns:
        Dict of names as `"generator_ab"` to `keras.Model`s, padded as TensorFlow pads. A network that is alone in its
        file is `"generator_ab"` or `"discriminator_b"`.

    Raises:
        ValueError: if the file is not read, or holds networks other than ResNet generators and PatchGANs.
        OSError: if the file cannot be opened.

    Example:
        >>> generator = addons_networks("generator.h5")["generator_ab"]  # doctest: +SKIP
    """
    networks = {}
    for name, (builder, settings, layers) in addons_architectures(path).items():
        networks[name] = builder(name=name, **settings)
        assign_layers(networks[name], layers)
    return networks


def addons_architectures(path):
    """The builders, settings and weights of the networks that `addons_networks` makes.

    Args:
        path: as in `read_addons_weights`.

    Returns:
        Dict of names as `"generator_ab"` to triples of a builder function, its keyword arguments and the layers'
        weights.

    Raises:
        ValueError: as from `addons_networks`.
        OSError: if the file cannot be opened.
    """
    found = {}
    for name, layers in read_addons_weights(path).items():
        try:
            builder, settings = _architecture(layers)
        except ValueError as error:
            raise ValueError(
                "`path` must hold ResNet generators and PatchGANs with affine instance normalization. "
                f"Received: {os.fspath(path)!r}, whose {shown(name)} is neither. {error}"
            ) from None
        if name == ALONE:
            name = "generator_ab" if builder is resnet_generator else "discriminator_b"
        settings |= {"normalization": "affine_instance", "convolution_padding": "same"}
        found[name] = builder, settings, layers
    return found


def assign_layers(network, layers):
    """Assigns the layers' weights of `addons_architectures` or `read_addons_weights` to a network, or none of them.

    Raises:
        ValueError: if a layer does not fit; it names the first.
    """
    for weight, value in _fitted(network, layers):
        weight.assign(value)


def _chosen(networks, part):
    if part is None and len(networks) == 1:
        return next(iter(networks.values()))
    if part is None or part_name(part) not in networks:
        raise ValueError(f"`part` must be one of {', '.join(map(shown, networks))}. Received: part={part!r}")
    return networks[part_name(part)]


def _architecture(layers):
    """The builder of a network with these layers, and its settings."""
    kernels = {name: weights["kernel"].shape for name, weights in layers.items() if "kernel" in weights}
    for name, shape in kernels.items():
        if len(shape) != 4:
            refuse("kernels of convolutions alone", f"{shape} of {shown(name)}", "")
    shapes = list(kernels.values())
    count, first = len(shapes), shapes[0] if shapes else ()
    if first[:2] == (7, 7) and count >= 6 and count % 2 == 0:
        settings = {"output_channels": shapes[-1][-1], "residual_blocks": (count - 6) // 2}
        builder, expected, bare = resnet_generator, _generator_kernels(*first[2:], **settings), 1
    elif first[:2] == (4, 4) and count >= 3:
        settings = {"layers": count - 2}
        builder, expected, bare = patchgan_discriminator, _discriminator_kernels(*first[2:], count), 2
    else:
        refuse("6 + 2n kernels, the first 7x7, or 3 or more, the first 4x4", f"{count}, the first {first}", "")
    _check_shapes(kernels, expected)
    affine = sum(set(weights) == {"gamma", "beta"} for weights in layers.values())
    if affine != count - bare:
        refuse(f"{count - bare} normalizations with gamma and beta", f"{affine}", UNSURE)
    return builder, {"image_shape": (None, None, first[2]), "filters": first[3], **settings}


def _check_shapes(kernels, expected):
    """Checks shapes before a network is built: a damaged file may describe a huge one."""
    for (name, found), wanted in zip(kernels.items(), expected, strict=True):
        if found != wanted:
            refuse(f"a kernel of shape {wanted}", f"{found} of {shown(name)}", "")


def _generator_kernels(channels, filters, output_channels, residual_blocks):
    f1, f2, f4 = filters, 2 * filters, 4 * filters
    ups = [(3, 3, f2, f4), (3, 3, f1, f2)]  # a transposed convolution has its channels last
    down = [(7, 7, channels, f1), (3, 3, f1, f2), (3, 3, f2, f4)]
    return [*down, *[(3, 3, f4, f4)] * (2 * residual_blocks), *ups, (7, 7, f1, output_channels)]


def _discriminator_kernels(channels, filters, count):
    widths = [channels, *(filters * min(2**index, 8) for index in range(count - 1)), 1]
    return [(4, 4, *widths[index : index + 2]) for index in range(count)]


def _fitted(network, layers):
    """Pairs of the network's weights and the arrays of `layers` for them."""
    ours, pairs = list(_weighted_layers(network)), []
    for number, (layer, (name, values)) in enumerate(zip(ours, layers.items(), strict=False)):
        values = _without_removed_bias(layer, values)
        expected = {weight.name: tuple(weight.shape) for weight in layer.weights}
        found = {weight: np.shape(value) for weight, value in values.items()}
        if found != expected:
            raise ValueError(
                f"`network` does not fit the weights at its layer {layer.name!r}: expected {expected}. "
                f"Received: {found} of {shown(name)}. {_explanation(number, expected, found)}"
            )
        pairs += [(weight, values[weight.name]) for weight in layer.weights]
    if len(ours) != len(layers):
        raise ValueError(
            f"`network` must have as many layers with weights as the file. Received: {len(ours)} layers for "
            f"{len(layers)}. Compare `normalization`, `residual_blocks` and `layers`."
        )
    return pairs


def _weighted_layers(network):
    """The layers with weights in their order, which `_flatten_layers` does not keep."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _weighted_layers(layer)
        elif layer.weights:
            yield layer


def _without_removed_bias(layer, values):
    """The weights without a bias that the layer lacks: it lacks one only where a normalization removes it."""
    removed = {"bias"} if set(values) - {weight.name for weight in layer.weights} == {"bias"} else set()
    return {name: value for name, value in values.items() if name not in removed}


def _explanation(number, expected, found):
    if number == 0:
        return "Compare `filters` and the channels of `image_shape`, and whether it is a generator or a discriminator."
    if set(expected) != set(found):
        return (
            "Take a network with normalization='affine_instance' and convolution_padding='same', and compare "
            "`residual_blocks` and `layers`."
        )
    return "Compare `filters`, `residual_blocks`, `layers` and `output_channels`."
