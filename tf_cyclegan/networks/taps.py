"""`tapped`: a network that answers with the features of named layers of another network."""

import keras


def tapped(network, names):
    """A network that answers with the features of some layers of another, and computes no further than these.

    Both share all weights. A model that keeps both hides this one from Keras, as by `object.__setattr__`: else its
    weights would be counted and saved under its name.

    Args:
        network: functional `keras.Model` of one input, as those of `tf_cyclegan.networks`; layers may be inside of
            networks that it is made of.
        names: list of str, names of layers, in any order.

    Returns:
        `keras.Model`, from the input of `network` to a dict of the names to the features.

    Raises:
        ValueError: if there is no layer of a name, or more than one.

    Example:
        >>> features = tapped(resnet_generator(), ["stem_pad", "down1_conv", "block5_add"])
        >>> features.output_shape["block5_add"]
        (None, None, None, 256)
    """
    known = _layer_names(network)
    for name in names:
        if known.count(name) != 1:
            layers = f"one layer each of {network.name!r}: {', '.join(known)}"
            raise ValueError(f"`names` must be {layers}. Received: {name!r}, the name of {known.count(name)}")
    image = keras.Input(network.input_shape[1:], dtype=network.inputs[0].dtype, name="image")
    found = {}
    _follow(network, image, set(names), found)
    return keras.Model(image, {name: found[name] for name in names}, name=f"{network.name}_tapped")


def _is_network(layer):
    return isinstance(layer, keras.Model) and hasattr(layer, "operations")


def _layer_names(network):
    """The names of all layers but inputs; layers of an inner network stand in its place."""
    names = []
    for layer in network.operations:
        if not isinstance(layer, keras.layers.InputLayer):
            names += _layer_names(layer) if _is_network(layer) else [layer.name]
    return names


def _follow(network, x, names, found):
    """Calls the layers of a network once more, and notes the features of those in `names`."""

    def call(layer, *args, **kwargs):
        within = _is_network(layer) and names & set(_layer_names(layer))
        answer = _follow(layer, *args, names, found) if within else layer(*args, **kwargs)
        if layer.name in names:
            found[layer.name] = answer
        return answer

    # As `clone_model`, which would end an inner network at its input.
    return network._run_through_graph(x, operation_fn=lambda layer: layer, call_fn=call)
