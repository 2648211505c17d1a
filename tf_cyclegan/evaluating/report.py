"""The report: one HTML file that opens anywhere, with all its pictures inside and nothing to load or to run."""

import base64
import html
import importlib.resources
import io
import json
import string

from PIL import Image

from tf_cyclegan.evaluating.catalog import METRICS, number_text
from tf_cyclegan.evaluating.charts import legend, line_chart
from tf_cyclegan.evaluating.label_scores import NOTE
from tf_cyclegan.evaluating.published import SOURCE
from tf_cyclegan.evaluating.tables import (
    BASELINES,
    TITLES,
    class_cells,
    counts_text,
    described,
    left_out_by_reason,
    score_rows,
    segmenter_used,
)

_QUALITY = 82
# Of each group the first that there is.
_HEADLINES = (("fid", "frechet", "kid", "kernel"), ("l1", "cycle", "psnr", "ssim"))
_KINDS = {"best": "Best", "worst": "Worst", "random": "At random"}
_LEVELS = {"problem": "Problem", "caution": "Caution", "good": "Good"}
# Losses in the order in which they are shown; those of one kind share a chart.
_LOSS_TITLES = {
    "adversarial": "Generator against discriminator",
    "discriminator": "Discriminator",
    "cycle": "Cycle",
    "identity": "Identity",
}


def report_page(result, findings=(), gallery=None, losses=(), metrics=(), settings=None, title="model"):
    """The report of an evaluation.

    Args:
        result: dict of `evaluate_model`, with `model` and `versions` as `run_evaluate` adds them, or without.
        findings: list of `Finding`. Defaults to none.
        gallery: optional `Gallery`. Defaults to None.
        losses, metrics: rows of `losses.csv` and `metrics.csv`. Default to none.
        settings: optional dict of the run's settings. Defaults to None.
        title: str, what the model is called. Defaults to `"model"`.

    Returns:
        str, a whole HTML document.

    Example:
        >>> page = report_page(evaluate_model(model, data))  # doctest: +SKIP
    """
    page = importlib.resources.files("tf_cyclegan.evaluating") / "page"
    sections = [
        _headline(result),
        _diagnostics(findings),
        _scores(result),
        *(_pictures(direction, result, gallery) for direction in result["directions"]),
        _curves("Training", _loss_charts(losses)),
        _curves("Scores over time", _metric_charts(metrics)),
        _left_out(result),
        _configuration(settings),
    ]
    return string.Template((page / "report.html").read_text("utf-8")).substitute(
        style=(page / "report.css").read_text("utf-8"),
        title=_escaped(title),
        lede=_escaped(_lede(result)),
        sections="\n".join(section for section in sections if section),
        footer=_escaped(_footer(result)),
    )


def _lede(result):
    model = result.get("model", {})
    words = [model["type"]] if model else []
    words += [f"step {model['step']:,}"] if model.get("step") else []
    words += [model["checkpoint"]] if model.get("checkpoint") else []
    return f"{', '.join(words)}. {described(result)}." if words else f"{described(result)}."


def _footer(result):
    versions = [f"{name} {version}" for name, version in result.get("versions", {}).items()]
    return " · ".join([*versions, f"seed {result['data']['seed']}"])


# ---- figures ----


def _headline(result):
    """The one or two scores that say most, large."""
    found = {direction: found["scores"] for direction, found in result["directions"].items()}
    cards = []
    for names in _HEADLINES:
        name = next((name for name in names if any(name in scores for scores in found.values())), None)
        cards += [_card(TITLES[key], name, scores[name]) for key, scores in found.items() if name in scores]
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def _card(title, name, record):
    kind = METRICS[name]
    beside = f"{record.get('translated', record.get('images')):,} images, {kind.better} is better"
    trivial = {key: record[key] for key in BASELINES if key in record}
    if trivial:
        least = min(trivial, key=trivial.get)
        beside = f"of {BASELINES[least]} {number_text(trivial[least], name)}"
    return (
        f'<div class="card"><p class="name">{title}</p><p class="figure">{number_text(record["value"], name)}</p>'
        f'<p>{_escaped(record.get("name", kind.label))}</p><p class="muted">{beside}</p></div>'
    )


def _scores(result):
    titles = "".join(f"<th>{TITLES[direction]}</th>" for direction in result["directions"])
    rows = []
    for _, label, note, cells, main in score_rows(result):
        numbers = "".join(
            f"<td>{_escaped(value)} <small>{_escaped(deviation)}</small></td>" for value, deviation in cells
        )
        name = f'{_escaped(label)}<span class="muted"> {_escaped(note)}</span>' if note else _escaped(label)
        rows.append(f'<tr class="{"main" if main else "beside"}"><th>{name}</th>{numbers}</tr>')
    table = f"<table class='scores'><thead><tr><th></th>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    tables = "".join(_classes(direction, result) for direction in result["directions"])
    note = f'<p class="muted">{_escaped(NOTE)}</p>' if segmenter_used(result) else ""
    return _section("Scores", f"{table}{note}{tables}{_rules(result)}")


def _classes(direction, result):
    """Accuracy and IoU of each class, with those of the real photos beside them."""
    classes = result["directions"][direction].get("classes")
    if not classes:
        return ""
    pixels = max(1, sum(row["pixels"] for row in classes))
    rows = []
    for row in classes:
        (number, _), *cells = class_cells(row, pixels)
        numbers = "".join(f"<td>{value} <small>{beside}</small></td>" for value, beside in cells)
        rows.append(f"<tr><th>{number}</th>{numbers}</tr>")
    heads = "".join(f"<th>{head}</th>" for head in ("Class", "Pixels", "Accuracy", "IoU"))
    table = f"<table class='classes'><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f"<details><summary>By class, {TITLES[direction]}</summary>{table}</details>"


def _rules(result):
    """How each number was made, and of how many images."""
    items = []
    for metric, kind in METRICS.items():
        records = {key: found["scores"].get(metric) for key, found in result["directions"].items()}
        counts = [
            f"{TITLES[key]}: {counts_text(record)}" for key, record in records.items() if record and "value" in record
        ]
        if counts:
            label = next(record.get("name", kind.label) for record in records.values() if record)
            counts = ". ".join(dict.fromkeys(counts))
            items.append(f"<dt>{_escaped(label)}</dt><dd>{_escaped(kind.rule)} {_escaped(counts)}.</dd>")
    data = result["data"]
    reference = (
        f"Real images are those of {data['name']}, split {data['split']}; "
        "outputs are rounded to 8 bits for distances and classes."
    )
    if any(label.startswith("published") for _, label, *_ in score_rows(result)):
        reference += f" {SOURCE}"
    return (
        f"<details><summary>How they were made</summary><dl>{''.join(items)}</dl><p>{_escaped(reference)}</p></details>"
    )


def _diagnostics(findings):
    items = []
    for finding in findings:
        where = f"{TITLES[finding.direction]}: " if finding.direction else ""
        advice = f'<span class="muted">{_escaped(finding.advice)}</span>' if finding.advice else ""
        items.append(
            f'<li class="{finding.level}"><span class="sign">{_LEVELS[finding.level]}</span>'
            f"<p>{_escaped(where + finding.text)}. {advice}</p></li>"
        )
    return _section("Diagnostics", f'<ul class="findings">{"".join(items)}</ul>') if items else ""


def _left_out(result):
    if not result["left_out"]:
        return ""
    items = "".join(
        f"<dt>{_escaped(labels)}</dt><dd>{_escaped(reason)}.</dd>"
        for reason, labels in left_out_by_reason(result).items()
    )
    return _section("Left out", f"<dl>{items}</dl>")


def _configuration(settings):
    if not settings:
        return ""
    rows = "".join(
        f"<tr><th>{_escaped(name)}</th><td>{_escaped(_shown(value))}</td></tr>"
        for name, value in settings.items()
        if value is not None
    )
    return _section(
        "Settings of the run", f'<details><summary>Show all</summary><table class="settings">{rows}</table></details>'
    )


def _shown(value):
    return value if isinstance(value, str) else json.dumps(value)


# ---- pictures ----


def _pictures(direction, result, gallery):
    if gallery is None:
        return ""
    groups = []
    ranked_by = result["directions"][direction]["ranked_by"]
    for kind, entries in gallery.entries(direction).items():
        if entries:
            heading = f'{_KINDS[kind]} <span class="muted">by {_escaped(METRICS[ranked_by].label)}</span>'
            heading = heading if kind != "random" else _KINDS[kind]
            figures = "".join(_figure(entry, ranked_by) for entry in entries)
            groups.append(f'<h3>{heading}</h3><div class="grid">{figures}</div>')
    words = f'<p class="muted">{", ".join(_columns(gallery.entries(direction), result)).capitalize()}.</p>'
    return _section(f"Pictures, {TITLES[direction]}", words + "".join(groups)) if groups else ""


def _columns(entries, result):
    """What the pictures of a row are; models of one direction without right answers have no third."""
    third = "right answer" if result["data"]["answers_known"] else "translated back"
    shown = max((len(entry["images"]) for found in entries.values() for entry in found), default=0)
    return ["input", "translation", third][:shown]


def _figure(entry, ranked_by):
    alts = ("Input", "Translation", "Right answer or way back")
    pictures = "".join(
        f'<img src="{_data_uri(pixels)}" alt="{alt}" width="{pixels.shape[1]}" height="{pixels.shape[0]}">'
        for pixels, alt in zip(entry["images"], alts, strict=False)
    )
    score = "" if entry["score"] is None else f"<span>{number_text(entry['score'], ranked_by)}</span>"
    name = f'<span class="file">{_escaped(entry["name"])}</span>'
    return f'<figure><div class="row">{pictures}</div><figcaption>{name}{score}</figcaption></figure>'


def _data_uri(pixels):
    stream = io.BytesIO()
    small = pixels.shape[0] * pixels.shape[1] <= 64 * 64  # drawings of few pixels would show every block
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    image.save(stream, "WEBP", lossless=small, quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


# ---- curves ----


def _loss_charts(losses):
    """The losses of a kind together; `loss`, their sum, says nothing of a game."""
    kinds = {}
    for name in dict.fromkeys(name for row in losses for name in row):
        if name not in ("epoch", "loss"):
            kinds.setdefault(_kind_of(name), []).append(name)
    order = [kind for kind in _LOSS_TITLES if kind in kinds] + sorted(kinds.keys() - _LOSS_TITLES.keys())
    return [
        (_LOSS_TITLES.get(kind, kind.replace("_", " ").capitalize()), _series(losses, kinds[kind], "epoch", 1), "epoch")
        for kind in order
    ]


def _metric_charts(metrics):
    names = dict.fromkeys(name for row in metrics for name in row)
    kinds = {}
    for name in names:
        if _kind_of(name) in METRICS:
            kinds.setdefault(_kind_of(name), []).append(name)
    return [(METRICS[kind].label, _series(metrics, found, "step"), "step") for kind, found in kinds.items()]


def _kind_of(name):
    """`cycle` of `cycle_a`, `gradient_penalty` of `gradient_penalty_b`."""
    kind, _, suffix = name.rpartition("_")
    return kind if suffix in ("a", "b", "ab", "ba") else name


def _series(rows, names, x, first=0):
    labels = {"a": "A", "b": "B", **TITLES}
    return {
        labels.get(name.rpartition("_")[2], name): [
            (row[x] + first, row[name]) for row in rows if x in row and name in row
        ]
        for name in names
    }


def _curves(heading, charts):
    figures = []
    for title, series, x_label in charts:
        chart = line_chart(series, x_label)
        if chart:
            keys = legend(series) if len(series) > 1 else ""
            figures.append(f"<figure><figcaption>{_escaped(title)}{keys}</figcaption>{chart}</figure>")
    return _section(heading, f'<div class="charts">{"".join(figures)}</div>') if figures else ""


def _section(heading, content):
    return f"<section><h2>{_escaped(heading)}</h2>{content}</section>"


def _escaped(text):
    return html.escape(str(text))
