"""Small line charts as SVG pictures for a page, for light paper and for dark. matplotlib is imported to draw them."""

import base64
import io
import itertools
import math

_POINTS = 72  # an inch has as many, and they are the pixels of an SVG file
_WIDTH, _HEIGHT = 320, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 10, 22
_MOST_POINTS = 400
# Of words, of rules and of the lines, as in the page's style sheet.
_LIGHT = ("#5c6370", "#dde0e6", ("#2f5fe0", "#c2680b", "#1d7a45"))
_DARK = ("#9aa2af", "#2b3038", ("#8aa8ff", "#f0a35e", "#6fcf97"))


def line_chart(title, series, x_label):
    """A chart of one or more lines.

    Args:
        title: str.
        series: dict of a label to a list of `(x, y)`; what is not finite is left out.
        x_label: str, what x is.

    Returns:
        Dict of `title`, `labels`, `text`, which says what is to be seen, and `light` and `dark`, addresses that hold
        the pictures; None without two points.
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

    # Words stay words, and equal lines make equal files.
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
    """Three rules with their values, and the ends of x."""
    values = (y_range[0], sum(y_range) / 2, y_range[1])
    axes.set_yticks(values, [f"{value:.3g}" for value in values])
    left, right = axes.set_xticks(x_range, [f"{x_range[0]:,.0f}", f"{x_label} {x_range[1]:,.0f}"])
    left.label1.set_horizontalalignment("left")
    right.label1.set_horizontalalignment("right")
    axes.tick_params(length=0, pad=6, labelcolor=ink)
    axes.grid(axis="y", color=rule, linewidth=1, clip_on=False)
    axes.spines[:].set_visible(False)


def _thinned(points):
    """Fewer points of long runs, the last one kept: a chart has no more pixels."""
    step = -(-len(points) // _MOST_POINTS) or 1
    return points[::-step][::-1]
