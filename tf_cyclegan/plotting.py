"""Figures for notebooks: the curves of a training, and images. matplotlib is imported to draw them."""

import numpy as np

from tf_cyclegan.data.images import image_grid, to_uint8

_COLUMNS = 8
_INCHES = 2  # of an image
_SIDES = ("a", "b", "ab", "ba")


def plot_history(history):
    """Draws the curves of a training, those of a kind together, as `cycle_a` and `cycle_b`.

    Args:
        history: `keras.callbacks.History`, as `fit` returns it, or its dict of names to lists of numbers, one an epoch.

    Returns:
        `matplotlib.figure.Figure`. A notebook shows it where it ends a cell; elsewhere it has `savefig`.

    Raises:
        ValueError: if `history` has no curve.

    Example:
        >>> plot_history(model.fit(dataset, epochs=20))  # doctest: +SKIP
    """
    curves = getattr(history, "history", history)
    if not isinstance(curves, dict) or not any(map(len, curves.values())):
        raise ValueError(f"`history` must be what `fit` returns, of one epoch at least. Received: {history!r:.80}")
    epochs = getattr(history, "epoch", None) or range(max(map(len, curves.values())))
    kinds = {}
    for name in curves:
        kinds.setdefault(kind_of(name), []).append(name)
    rows = -(-len(kinds) // 3)
    figure = _figure(12, 3 * rows)
    for place, (kind, names) in enumerate(kinds.items(), start=1):
        axes = figure.add_subplot(rows, 3, place, title=kind.replace("_", " "), xlabel="epoch")
        for name in names:
            axes.plot([epoch + 1 for epoch in epochs][-len(curves[name]) :], curves[name], ".-", label=name)
        if len(names) > 1:
            axes.legend()
    return figure


def kind_of(name):
    """`cycle` of `cycle_a`, `gradient_penalty` of `gradient_penalty_b`."""
    kind, _, suffix = name.rpartition("_")
    return kind if suffix in _SIDES else name


def show(images):
    """Shows images beside each other.

    Args:
        images: array or tensor `(batch, height, width, channels)` or `(height, width, channels)` of 1 or 3 channels,
            uint8, or float in [-1, 1]; or a list of them, each of which gets a row.

    Returns:
        `matplotlib.figure.Figure`. A notebook shows it where it ends a cell; elsewhere it has `savefig`.

    Raises:
        ValueError: if there is no image, or one is of another shape or dtype.

    Example:
        >>> show([photos, model.translate(photos)])  # doctest: +SKIP
    """
    if isinstance(images, (list, tuple)):
        rows = [_pixels(batch) for batch in images]
    else:
        batch = _pixels(images)
        rows = [batch[start : start + _COLUMNS] for start in range(0, len(batch), _COLUMNS)]
    if not any(map(len, rows)):
        raise ValueError("`images` must hold at least one image. Received: none")
    figure = _figure(_INCHES * max(map(len, rows)), _INCHES * len(rows))
    axes = figure.add_subplot()
    axes.imshow(image_grid(rows), cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()
    return figure


def _pixels(images):
    array = np.asarray(images)
    array = array[None] if array.ndim == 3 else array
    is_float = array.dtype.kind == "f" or array.dtype.name == "bfloat16"
    if array.ndim != 4 or array.shape[3] not in (1, 3) or not (is_float or array.dtype == np.uint8):
        raise ValueError(
            "`images` must be uint8, or float in [-1, 1], of shape (batch, height, width, 1 or 3 channels). "
            f"Received: shape={array.shape}, dtype={array.dtype}"
        )
    return to_uint8(array) if is_float else array


def _figure(width, height):
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(width, height), layout="constrained")
    pyplot.close(figure)  # or a notebook would show it a second time
    return figure
