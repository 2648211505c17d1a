"""Curves and images for notebooks, and curves for the report, drawn with matplotlib."""

import base64
import io
import itertools
import math

import numpy as np

from tf_cyclegan.data.images import image_grid, to_uint8

_COLUMNS = 8
_INCHES = 2  # the height and width of an image
_SIDES = ("a", "b", "ab", "ba")
_POINTS = 72  # an inch has 72 points, the pixels of an SVG file
# The size and the margins of a chart in the report, in points.
_WIDTH, _HEIGHT = 320, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 10, 22
_MOST_POINTS = 400
# The colors of words, of rules and of the lines, as in the report's style sheet.
_LIGHT = ("#5c6370", "#dde0e6", ("#2f5fe0", "#c2680b", "#1d7a45"))
_DARK = ("#9aa2af", "#2b3038", ("#8aa8ff", "#f0a35e", "#6fcf97"))


def plot_history(history):
    """Draws the curves of a training; curves of a kind, as `cycle_a` and `cycle_b`, share a plot.

    Args:
        history: `keras.callbacks.History`, as `fit` returns it, or its dict of names to lists of numbers, one for each
            epoch.

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
    """Shows images next to each other.

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


# ---- charts of the report ----


def line_chart(title, series, x_label):
    """A chart of one or more lines.

    Args:
        title: str.
        series: dict of a label to a list of `(x, y)`; points that are not finite are left out.
        x_label: str, the name of x.

    Returns:
        Dict of `title`, `labels`, `text`, which describes the chart, and `light` and `dark`, `data:` addresses of
        pictures; None if there are not two points.
    """
    lines = [_thinned([p for p in points if all(map(math.isfinite, p))]) for points in series.values()]
    points = [point for line in lines for point in line]
    if len({x for x, _ in points}) < 2:
        return None
    x_range, y_range = (_range(values) for values in zip(*points, strict=True))
    text = f"{', '.join(series)} by {x_label}, from {y_range[0]:.3g} to {y_range[1]:.3g}"
    light, dark = (_drawn(lines, x_range, y_range, x_label, *colors) for colors in (_LIGHT, _DARK))
    return {"title": title, "labels": list(series), "text": text, "light": light, "dark": dark}


def _range(values):
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _drawn(lines, x_range, y_range, x_label, ink, rule, colors):
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Texts stay texts, and equal lines make equal files.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "tf_cyclegan", "font.size": 10}):
        figure = Figure(figsize=(_WIDTH / _POINTS, _HEIGHT / _POINTS))
        size = (_WIDTH - _LEFT - _RIGHT) / _WIDTH, (_HEIGHT - _TOP - _BOTTOM) / _HEIGHT
        axes = figure.add_axes((_LEFT / _WIDTH, _BOTTOM / _HEIGHT, *size), xlim=x_range, ylim=y_range)
        _rule(axes, x_range, y_range, x_label, ink, rule)
        for line, color in zip(lines, itertools.cycle(colors), strict=False):
            if line:
                axes.plot(*zip(*line, strict=True), color=color, linewidth=1.75, clip_on=False)
                axes.plot(*line[-1], "o", color=color, markersize=4, clip_on=False)
        file = io.BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"


def _rule(axes, x_range, y_range, x_label, ink, rule):
    """Draws three rules with their values, and the ends of x."""
    values = (y_range[0], sum(y_range) / 2, y_range[1])
    axes.set_yticks(values, [f"{value:.3g}" for value in values])
    left, right = axes.set_xticks(x_range, [f"{x_range[0]:,.0f}", f"{x_label} {x_range[1]:,.0f}"])
    left.label1.set_horizontalalignment("left")
    right.label1.set_horizontalalignment("right")
    axes.tick_params(length=0, pad=6, labelcolor=ink)
    axes.grid(axis="y", color=rule, linewidth=1, clip_on=False)
    axes.spines[:].set_visible(False)


def _thinned(points):
    """At most 400 points, the last of them kept: a chart has no more pixels."""
    step = -(-len(points) // _MOST_POINTS) or 1
    return points[::-step][::-1]
