"""Networks in HDF5 files, of weights or whole models."""

import json
import re

from tf_cyclegan.addons.parts import ALONE, PARTS, part_name
from tf_cyclegan.addons.refusal import SAVE_AGAIN, UNSURE, check_floats, check_not_other, refuse, shown

_EPSILON = 1e-3
_KERAS_3 = "Keras 3's own example has GroupNormalization(groups=1), which is not instance normalization."


def read_hdf5(file, size):
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
    """Names in an attribute, which Keras splits into numbered ones where they are many."""
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
            check_not_other(layer)
        layers.setdefault(layer, {})[weight.split(":")[0]] = _array(group, path, size)
    return layers


def _array(group, path, size):
    dataset = group[path]
    if dataset.external or dataset.is_virtual or dataset.file != group.file or dataset.nbytes > size:
        refuse("weights that stand in the file", f"other data at {shown(path)}")
    return check_floats(dataset[()], path)


def _check_normalizations(config, layers):
    """A whole model tells how each layer normalizes."""
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
