"""Small line charts as SVG in the text of a page. They take their colors from the page's style sheet."""

import html
import math

WIDTH, HEIGHT = 320, 150
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 22
_MOST_POINTS = 400


def line_chart(series, x_label):
    """A chart of one or more lines.

    Args:
        series: dict of a label to a list of `(x, y)`; what is not finite is left out.
        x_label: str, what x is.

    Returns:
        str, an `svg` element; empty without two points.
    """
    series = {label: _thinned([p for p in points if all(map(math.isfinite, p))]) for label, points in series.items()}
    points = [point for line in series.values() for point in line]
    if len({x for x, _ in points}) < 2:
        return ""
    (x_low, x_high), (y_low, y_high) = (_range(values) for values in zip(*points, strict=True))
    scale = _scale(x_low, x_high, y_low, y_high)
    text = f"{', '.join(series)} by {x_label}, from {y_low:.3g} to {y_high:.3g}"
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(text)}">']
    parts += [_rule(scale, value, x_low, x_high) for value in (y_low, (y_low + y_high) / 2, y_high)]
    parts += [_line(scale, points, number) for number, points in enumerate(series.values(), start=1)]
    bottom = HEIGHT - 6
    parts.append(f'<text x="{LEFT}" y="{bottom}">{x_low:,.0f}</text>')
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{bottom}" text-anchor="end">{html.escape(x_label)} {x_high:,.0f}</text>'
    )
    return "".join([*parts, "</svg>"])


def legend(labels):
    """The names of the lines of a chart, in the order of its series."""
    items = (
        f'<span class="key line-{number}">{html.escape(label)}</span>' for number, label in enumerate(labels, start=1)
    )
    return f'<span class="legend">{"".join(items)}</span>'


def _range(values):
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _scale(x_low, x_high, y_low, y_high):
    def place(x, y):
        across = (x - x_low) / (x_high - x_low)
        up = (y - y_low) / (y_high - y_low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    return place


def _rule(scale, value, x_low, x_high):
    (x1, y), (x2, _) = scale(x_low, value), scale(x_high, value)
    return (
        f'<line x1="{x1:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{value:.3g}</text>'
    )


def _line(scale, points, number):
    if not points:
        return ""
    places = [scale(x, y) for x, y in points]
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    x, y = places[-1]
    line = f'<polyline class="line-{number}" points="{text}"/>'
    return f'{line}<circle class="line-{number}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>'


def _thinned(points):
    """Fewer points of long runs, the last one kept: a chart has no more pixels."""
    step = -(-len(points) // _MOST_POINTS) or 1
    return points[::-step][::-1]
