"""Weights that `tf.keras` saved: HDF5 files and TensorFlow checkpoints, read without TensorFlow Addons."""

import json
import math
import os
import re

import h5py
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from tf_cyclegan.weights.unreadable import Unreadable, refuse, shown

# What the example of Keras, LynnHo/CycleGAN-Tensorflow-2 and others call the networks, in lower case without "_".
PARTS = {
    "generator_ab": ("generatorab", "generatorg", "geng", "ga2b", "gab", "genab", "generatora2b"),
    "generator_ba": ("generatorba", "generatorf", "genf", "gb2a", "gba", "genba", "generatorb2a"),
    "discriminator_a": ("discriminatora", "discriminatorx", "discx", "da", "disca"),
    "discriminator_b": ("discriminatorb", "discriminatory", "discy", "db", "discb"),
}
# The name of a network that is alone in its file, which does not name it.
ALONE = "network"
SAVE_AGAIN = "Where it was made, save each network again by `network.save_weights('name.h5')` of tf.keras."
UNSURE = (
    "Weights alone do not tell what they were normalized over: only tfa.layers.InstanceNormalization and, in a whole "
    "model, GroupNormalization(groups=-1), with their epsilon of 1e-3, are read."
)
# Normalizations whose weights have the names and shapes of instance normalization.
_OTHER_NORMALIZATION = re.compile(r"(batch|group|layer)_?normalization", re.IGNORECASE)
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_NUMBERED = re.compile(r"layer_with_weights-(\d+)")
_EPSILON = 1e-3
_KERAS_3 = "Keras 3's own example has GroupNormalization(groups=1), which is not instance normalization."
_HDF5 = b"\x89HDF\r\n\x1a\n"
_DAMAGED = (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, DecodeError, tf.errors.OpError)


def read_addons_weights(path):
    """Reads the weights of CycleGANs that `tf.keras` saved, with tensorflow_addons' instance normalization.

    Optimizers and counters are left out. Nothing in the file is run.

    Args:
        path: str or path of an `.h5` file, of weights or a whole model, or of a TensorFlow checkpoint: its prefix or
            one of its two files.

    Returns:
        Dict of networks, each a dict of layers in their order, each a dict of weight names to arrays. The networks of
        the example of Keras, and others known by name, are called `"generator_ab"` (its `gen_G`), `"generator_ba"`
        (`gen_F`), `"discriminator_a"` (`disc_X`) and `"discriminator_b"` (`disc_Y`); others keep their name. A network
        that is alone in its file is called `"network"`.

    Raises:
        ValueError: if it is no such file, is cut short or damaged, or was normalized otherwise.
        OSError: if it cannot be opened.

    Example:
        >>> networks = read_addons_weights("generator.h5")  # doctest: +SKIP
        >>> networks["network"]["conv2d"]["kernel"].shape  # doctest: +SKIP
        (7, 7, 3, 64)
    """
    try:
        found = _read(os.path.expanduser(path))
        if not any(found.values()):
            refuse("weights", "none", SAVE_AGAIN)
        known = {part_name(name): layers for name, layers in found.items()}
        return known if len(known) == len(found) else found
    except Unreadable as error:
        kinds = "an .h5 file or TensorFlow checkpoint of a CycleGAN saved by tf.keras"
        raise ValueError(f"`path` must be {kinds}. Received: {os.fspath(path)!r}. {error}") from None


def _read(path):
    prefix = re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path)
    try:
        if os.path.exists(f"{prefix}.index"):
            return _read_checkpoint(prefix)
        with open(path, "rb") as file:
            start = file.read(8)
        if start != _HDF5:
            _refuse_kind(start)
        with h5py.File(path, "r") as file:
            return _read_hdf5(file, os.path.getsize(path))
    except (Unreadable, FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except _DAMAGED as error:
        refuse("a whole file", shown(str(error).split("\n")[0]))


def _refuse_kind(start):
    advice = SAVE_AGAIN
    if start.startswith(b"PK"):
        advice = "This is a zip file: `keras.models.load_model` loads a .keras file, `read_checkpoint` one of PyTorch."
    refuse("an HDF5 file, or a checkpoint with its .index file", shown(start), advice)


def _read_checkpoint(prefix):
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
        name: {layer: {weight: _check_floats(reader.get_tensor(key), key) for weight, key in weights.items()}
               for layer, weights in layers.items()}
        for name, layers in networks.items()
    }  # fmt: skip


def _networks_of(nodes):
    """Keys of the weights, by network, layer and weight. The name nearest to the root names the network."""
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
    """Layers with weights in their order; the layers of an inner model stand in its place."""
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
                _check_not_other(attribute.full_name)
                yield child.local_name, attribute.checkpoint_key


def _read_hdf5(file, size):
    """The networks of an open file of `size` bytes: dict of names to dicts of layers to dicts of arrays."""
    group = file["model_weights"] if "model_weights" in file else file
    names = _names(group, "layer_names")
    if names is None:
        _refuse_unordered(group)
    described = "model_config" in file.attrs
    held = {name: _layers(group[name], name, size, described) for name in names}
    held = {name: layers for name, layers in held.items() if layers}
    alone = {name: weights for layers in held.values() for name, weights in layers.items()}
    if described:
        _check_normalizations(json.loads(file.attrs["model_config"]), alone)
    return held if held and all(part_name(name) in PARTS for name in held) else {ALONE: alone}


def _refuse_unordered(group):
    expected = "the attribute `layer_names`, the order of the layers"
    if "layers" in group or "_layer_checkpoint_dependencies" in group:
        refuse(expected, "a .weights.h5 file of Keras 3", f"{UNSURE} {_KERAS_3}")
    refuse(expected, shown(sorted(group)[:3]), SAVE_AGAIN)


def _names(group, attribute):
    """Names in an attribute. Keras splits many names into several numbered attributes."""
    parts = [name for name in group.attrs if re.fullmatch(rf"{attribute}\d*", name)]
    parts.sort(key=lambda name: int(name.removeprefix(attribute) or 0))
    names = [name for part in parts for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names] if parts else None


def _layers(group, name, size, described):
    """The layers in a group: one layer, or the layers of an inner model."""
    layers = {}
    for path in _names(group, "weight_names") or ():
        inner, _, weight = path.rpartition("/")
        layer = name if inner in ("", name) else f"{name}/{inner}"
        if not described:
            _check_not_other(layer)
        layers.setdefault(layer, {})[weight.split(":")[0]] = _array(group, path, size)
    return layers


def _array(group, path, size):
    dataset = group[path]
    if dataset.external or dataset.is_virtual or dataset.file != group.file or dataset.nbytes > size:
        refuse("weights that stand in the file", f"other data at {shown(path)}")
    return _check_floats(dataset[()], path)


def _check_normalizations(config, layers):
    """Raises `Unreadable` where the configuration of a whole model has another normalization."""
    scales = {name.rpartition("/")[2]: weights["gamma"] for name, weights in layers.items() if "gamma" in weights}
    for kind, settings in _normalizations(config):
        groups, epsilon = settings.get("groups"), settings.get("epsilon")
        # Groups of one channel are saved as -1 or, once the layer is built, as the number of channels.
        of_channels = groups in (-1, len(scales.get(settings.get("name"), ())))
        right = kind.endswith("InstanceNormalization") or (kind == "GroupNormalization" and of_channels)
        if not right or epsilon != _EPSILON:
            found = shown(f"{kind}(groups={groups}, epsilon={epsilon})")
            refuse("instance normalization with an epsilon of 1e-3", found, UNSURE)


def _normalizations(config):
    """Class and settings of each normalization in the configuration of a model."""
    values = [config]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            kind, settings = value.get("class_name"), value.get("config")
            if isinstance(kind, str) and kind.endswith("Normalization") and isinstance(settings, dict):
                yield kind, settings
            values += value.values()
        elif isinstance(value, list):
            values += value


def part_name(name):
    """This package's name of a network that a file calls `name`; an unknown name stays."""
    plain = name.lower().replace("_", "")
    return next((part for part, names in PARTS.items() if plain in names), name)


def _check_floats(array, name):
    """Raises `Unreadable` unless an array holds floats."""
    if array.dtype.kind != "f":
        refuse(f"floats at {shown(name)}", shown(array.dtype.name), SAVE_AGAIN)
    return array


def _check_not_other(name):
    """Raises `Unreadable` where a name shows another normalization: Keras names a layer after its kind."""
    if _OTHER_NORMALIZATION.search(name):
        refuse("instance normalization", shown(name), UNSURE)
