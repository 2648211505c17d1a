"""The walk of strips through a network: its layers as a list of nodes, and their computation stage by stage."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tf_cyclegan.inference.strips.layer_rules import rule_of
from tf_cyclegan.inference.strips.scratch import Map, check_space
from tf_cyclegan.inference.strips.statistics import Moments, mean_and_factor, strip_sums
from tf_cyclegan.inference.strips.strip_stages import IMAGE, Plan


@dataclasses.dataclass(frozen=True)
class Node:
    """One call of a layer.

    Args:
        rule: the layer's `rules.Rule`; None for the image itself.
        inputs: tuple of int, the places of its inputs in the list of nodes.
        channels: int, the channels of its output.
        dtype: str, the dtype of its output.
    """

    rule: object
    inputs: tuple
    channels: int
    dtype: str


def flattened(network):
    """The calls of a network's layers; each stands after the calls that it needs.

    Args:
        network: functional `keras.Model` with one input and one output.

    Returns:
        List of `Node`. The first is the image, the last makes the translation.

    Raises:
        ValueError: if the network is not functional, or a layer has no rule.
    """
    if not _is_functional(network) or len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ValueError(
            f"`tile_statistics` must be 'tile' for the network {network.name}: only functional networks from one image "
            f"to one are translated in strips. Received: a {type(network).__name__}"
        )
    image = network.inputs[0]
    channels, dtype = image.shape[-1], image.dtype
    # The second node is the image as a map like others, so that it is measured if the first layer normalizes.
    nodes = [Node(None, (), channels, dtype), Node(rule_of(keras.layers.Identity(dtype=dtype)), (0,), channels, dtype)]
    _append(network.outputs[0], {id(image): 1}, nodes, {})
    return nodes


def _is_functional(layer):
    # `inputs` of other models are None until they are called.
    return isinstance(layer, keras.Model) and hasattr(layer, "operations") and bool(getattr(layer, "inputs", None))


def _append(tensor, scope, nodes, places):
    """The place of a symbolic tensor in `nodes`; appends its node, and before it the nodes that it needs.

    `scope` holds the places of the tensors of one call of a network, so that the layers of a network that is called
    twice stand in `nodes` twice.
    """
    if id(tensor) in scope:
        return scope[id(tensor)]
    # The record that Keras makes of every call; `clone_model` and saving read it, too.
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


class Walk:
    """A network and the plan by which strips of one image pass through it.

    Args:
        network: functional `keras.Model`.
        size: `(height, width)` of the image, multiples of the network's `size_multiple`.
        memory: int, bytes that strips may take.
        folder: path of the scratch folder, where maps are kept meanwhile.

    Raises:
        ValueError: if the network cannot be computed in strips, or the memory or the folder is too small.

    Example:
        >>> walk = Walk(generator, (8192, 8192), 2 * 10**9, "scratch")  # doctest: +SKIP
        >>> for first, rows in walk.translate(read_rows):  # doctest: +SKIP
        ...     output[first : first + len(rows)] = rows
    """

    def __init__(self, network, size, memory, folder):
        self.folder = folder
        self.plan = Plan(flattened(network), size, memory)
        check_space(folder, self.plan.scratch_bytes)

    def translate(self, read_rows, progress=lambda work: None):
        """Computes the translation.

        Args:
            read_rows: callable, `(start, stop)` to these rows of the image, float32 `(1, rows, width, channels)`.
            progress: callable that gets the multiplications done since it was last called.

        Yields:
            `(first row, array (rows, width, channels))` from the top down.

        Raises:
            ValueError: if the scratch folder is full.
        """
        maps, statistics = {}, {}
        try:
            for index, stage in enumerate(self.plan.stages):
                maps |= {node: self._new_map(node) for node in stage.written}
                yield from self._pass(stage, maps, statistics, read_rows, progress)
                for node in self.plan.done_after(index):
                    maps.pop(node).close()
        finally:
            for each in maps.values():
                each.close()

    def _new_map(self, node):
        return Map(self.folder, *self.plan.sizes[node], self.plan.nodes[node].channels, self.plan.nodes[node].dtype)

    def _pass(self, stage, maps, statistics, read_rows, progress):
        """Computes one stage; yields strips of the translation if it is the last."""
        moments, functions = Moments(), {}
        height, width = self.plan.sizes[stage.target]
        known = {node: statistics[node] for node in stage.nodes if node in statistics}
        for strip in self.plan.strips(stage):
            sources = [_read(maps, read_rows, *place) for place in strip.reads]
            key = strip.steps, strip.keeps
            if key not in functions:
                # A concrete function: TensorFlow would warn of one that is traced for every stage.
                functions[key] = self._function(stage, strip).get_concrete_function(sources, known)
            rows, sums = functions[key](sources, known)
            if stage.measured:
                moments.add((strip.stop - strip.start) * width, *sums)
            for node in stage.written:
                maps[node].write(strip.start, rows[node])
            progress(self.plan.work_of(stage) * (strip.stop - strip.start) / height)
            if stage is self.plan.stages[-1]:
                yield strip.start, np.asarray(rows[stage.target], np.float32)[0]
        if stage.measured:
            self._keep_statistics(stage.target, moments, statistics)

    def _function(self, stage, strip):
        """The function that computes a strip, and all strips that differ only in their place."""
        nodes, places = self.plan.nodes, {node: number for number, (node, _, _) in enumerate(strip.reads)}

        def compute(sources, statistics):
            rows = {node: sources[number] for node, number in places.items()}
            for node, local, takes in strip.steps:
                inputs = [_taken(rows.get(j), take) for j, take in zip(nodes[node].inputs, takes, strict=True)]
                rows[node] = nodes[node].rule.rows(inputs, local, *statistics.get(node, ()))
            kept = {node: _taken(rows[node], (first, count)) for node, first, count in strip.keeps}
            sums = strip_sums(kept[stage.target]) if stage.measured else ()
            return {node: kept[node] for node in self._wanted(stage)}, sums

        return tf.function(compute, autograph=False)

    def _wanted(self, stage):
        return stage.written + ((stage.target,) if stage is self.plan.stages[-1] else ())

    def _keep_statistics(self, target, moments, statistics):
        for node, each in enumerate(self.plan.nodes):
            if target in each.inputs and each.rule.needs_statistics:
                statistics[node] = tuple(map(tf.constant, mean_and_factor(each.rule.layer, moments)))


def _read(maps, read_rows, node, start, stop):
    return tf.convert_to_tensor(read_rows(start, stop) if node == IMAGE else maps[node].read(start, stop))


def _taken(x, take):
    if x is None or take is None or take == (0, x.shape[1]):
        return x
    first, count = take
    return x[:, first : first + count]
