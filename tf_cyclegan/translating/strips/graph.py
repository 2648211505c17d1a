"""A functional network as a list of its layers in the order of their computation, nested networks laid open."""

import dataclasses

import keras

from tf_cyclegan.translating.strips.registry import rule_of


@dataclasses.dataclass(frozen=True)
class Node:
    """One call of a layer.

    Args:
        rule: `rules.Rule`, what the layer does to rows; None for the image itself.
        inputs: tuple of int, the places of its inputs in the list of nodes.
        channels: int, of its output.
        dtype: str, of its output.
    """

    rule: object
    inputs: tuple
    channels: int
    dtype: str


def flattened(network):
    """The calls of a network's layers, each behind those that it needs.

    Args:
        network: functional `keras.Model` with one input and one output.

    Returns:
        List of `Node`s. The first is the image, the last makes the translation.

    Raises:
        ValueError: if the network is not functional, or has a layer that no rule is known for.
    """
    if not _is_functional(network) or len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ValueError(
            f"`tile_statistics` must be 'tile' for the network {network.name}: only functional networks from one image "
            f"to one are translated in strips. Received: a {type(network).__name__}"
        )
    image = network.inputs[0]
    channels, dtype = image.shape[-1], image.dtype
    # The second is the image as a map like others: a first layer that normalizes has it measured.
    nodes = [Node(None, (), channels, dtype), Node(rule_of(keras.layers.Identity(dtype=dtype)), (0,), channels, dtype)]
    _append(network.outputs[0], {id(image): 1}, nodes, {})
    return nodes


def _is_functional(layer):
    # `inputs` of other models are None until they are called.
    return isinstance(layer, keras.Model) and hasattr(layer, "operations") and bool(getattr(layer, "inputs", None))


def _append(tensor, scope, nodes, places):
    """The place of a symbolic tensor in `nodes`, where what it needs is added before it.

    `scope` holds the places of the tensors of one call of a network, so that a network called twice is laid open twice.
    """
    if id(tensor) in scope:
        return scope[id(tensor)]
    # The record that Keras makes of every call; `clone_model` and saving read the same one.
    history = tensor._keras_history
    layer = history.operation
    call = layer._inbound_nodes[history.node_index]
    inputs = tuple(_append(each, scope, nodes, places) for each in call.input_tensors)
    if _is_functional(layer):
        inner = places.setdefault((id(layer), inputs), {id(t): i for t, i in zip(layer.inputs, inputs, strict=True)})
        place = _append(layer.outputs[history.tensor_index], inner, nodes, places)
    else:
        nodes.append(Node(rule_of(layer), inputs, tensor.shape[-1], tensor.dtype))
        place = len(nodes) - 1
    scope[id(tensor)] = place
    return place
