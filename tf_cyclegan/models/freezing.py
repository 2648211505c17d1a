"""The frozen layers of a model, by paths that a saved and loaded model understands."""

import keras


def frozen_layers(model):
    """The paths of the outermost layers with `trainable=False`.

    Args:
        model: `keras.Model` that holds its networks as attributes.

    Returns:
        Sorted list of str such as `"generator_ab/stem_conv"`, an attribute and names of layers; `""` is the model.
    """
    return sorted(_frozen(model, ""))


def freeze(model, paths):
    """Freezes these layers with all layers inside them, and no others.

    Args:
        model: `keras.Model`.
        paths: list of str as `frozen_layers` returns them. Paths of layers that the model does not have are ignored.
    """
    for path in set(frozen_layers(model)) - set(paths):
        _set_trainable(model, path, True)
    for path in paths:
        _set_trainable(model, path, False)


def _frozen(layer, path):
    if not layer.trainable:
        return {path}
    children = _children(layer, is_model=not path)
    return {found for name, child in children.items() for found in _frozen(child, f"{path}/{name}".lstrip("/"))}


def _children(layer, is_model):
    if is_model:
        return {name: value for name, value in vars(layer).items() if isinstance(value, keras.Layer)}
    return {child.name: child for child in layer._flatten_layers(include_self=False, recursive=False)}


def _set_trainable(model, path, trainable):
    layer = model
    for name in path.split("/") if path else ():
        layer = _children(layer, is_model=layer is model).get(name)
        if layer is None:
            return
    layer.trainable = trainable
