"""Networks in the checkpoints of TensorFlow 2, which say how objects are connected."""

import math
import os
import re

import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from tf_cyclegan.addons.parts import ALONE
from tf_cyclegan.addons.refusal import check_floats, check_not_other, refuse, shown

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_NUMBERED = re.compile(r"layer_with_weights-(\d+)")


def read_checkpoint(prefix):
    """The networks of a checkpoint: dict of names to dicts of layers to dicts of arrays."""
    reader = tf.train.load_checkpoint(prefix)
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    if _GRAPH not in shapes:
        advice = "It holds names alone, as TensorFlow 1 saved them, and not which layer follows which."
        refuse("the graph of objects that TensorFlow 2 saves", shown(sorted(shapes)[:3]), advice)
    networks = _networks_of(TrackableObjectGraph.FromString(reader.get_tensor(_GRAPH)).nodes)
    keys = [key for layers in networks.values() for weights in layers.values() for key in weights.values()]
    needed = sum(math.prod(shapes[key]) * dtypes[key].size for key in keys)
    folder, name = os.path.split(prefix)
    size = sum(file.stat().st_size for file in os.scandir(folder or ".") if file.name.startswith(f"{name}.data-"))
    if needed > size:
        refuse(f"{needed} bytes of weights", f"{size}")
    return {
        name: {layer: {weight: check_floats(reader.get_tensor(key), key) for weight, key in weights.items()}
               for layer, weights in layers.items()}
        for name, layers in networks.items()
    }  # fmt: skip


def _networks_of(nodes):
    """Keys of the weights, by network, layer and weight. The name nearest to the root is a network's."""
    networks, seen, queue = {}, {0}, [(ALONE, 0)]
    for name, number in queue:
        children = nodes[number].children
        if any(_NUMBERED.fullmatch(child.local_name) for child in children):
            networks[name] = _layers_of(nodes, number, seen, "")
            continue
        new = [child for child in children if child.node_id not in seen]
        seen.update(child.node_id for child in new)
        queue += [(child.local_name, child.node_id) for child in new]
    return networks


def _layers_of(nodes, number, seen, path):
    """Layers with weights in their order; the layers of an inner model stand at its place."""
    numbered = [
        (int(match[1]), child)
        for child in nodes[number].children
        if (match := _NUMBERED.fullmatch(child.local_name)) and child.node_id not in seen
    ]
    seen.update(child.node_id for _, child in numbered)
    layers = {}
    for _, child in sorted(numbered, key=lambda pair: pair[0]):
        name = f"{path}{child.local_name}"
        keys = dict(_keys_of(nodes, child.node_id))
        layers |= {name: keys} if keys else _layers_of(nodes, child.node_id, seen, f"{name}/")
    return layers


def _keys_of(nodes, number):
    for child in nodes[number].children:
        for attribute in nodes[child.node_id].attributes:
            if attribute.name == "VARIABLE_VALUE":
                check_not_other(attribute.full_name)
                yield child.local_name, attribute.checkpoint_key
