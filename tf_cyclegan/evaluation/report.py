"""The report of an evaluation: one HTML file that holds its pictures, and loads and runs nothing else."""

import base64
import io
import json

import jinja2
from PIL import Image

from tf_cyclegan.evaluation.catalog import BASELINES, METRICS, SOURCE, number_text
from tf_cyclegan.evaluation.label_maps import NOTE
from tf_cyclegan.evaluation.plotting import kind_of, line_chart
from tf_cyclegan.evaluation.tables import (
    TITLES,
    class_cells,
    counts_text,
    described,
    left_out_by_reason,
    score_rows,
    segmenter_used,
)

_QUALITY = 82  # of pictures
# The scores at the top of the report: of each group the first that exists.
_HEADLINES = (("fid", "frechet", "kid", "kernel"), ("l1", "cycle", "psnr", "ssim"))
_KINDS = {"best": "Best", "worst": "Worst", "random": "At random"}
# The titles of losses, in the order of their charts; losses of one kind share a chart.
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
        title: str, the name of the model. Defaults to `"model"`.

    Returns:
        str, a whole HTML document.

    Example:
        >>> page = report_page(evaluate_model(model, data))  # doctest: +SKIP
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tf_cyclegan.evaluation", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    curves = {"Training": _loss_charts(losses), "Scores over time": _metric_charts(metrics)}
    return environment.get_template("report.html").render(
        title=title,
        titles=TITLES,
        lede=_lede(result),
        cards=_cards(result),
        findings=findings,
        directions=list(result["directions"]),
        rows=score_rows(result),
        note=NOTE if segmenter_used(result) else "",
        classes=_classes(result),
        rules=_rules(result),
        reference=_reference(result),
        pictures=_pictures(result, gallery) if gallery else [],
        curves=[(heading, charts) for heading, charts in curves.items() if charts],
        left_out=left_out_by_reason(result),
        settings={name: _shown(value) for name, value in (settings or {}).items() if value is not None},
        footer=_footer(result),
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


def _cards(result):
    """The scores at the top, one or two for each direction."""
    found = {direction: found["scores"] for direction, found in result["directions"].items()}
    cards = []
    for names in _HEADLINES:
        name = next((name for name in names if any(name in scores for scores in found.values())), None)
        cards += [_card(TITLES[key], name, scores[name]) for key, scores in found.items() if name in scores]
    return cards


def _card(title, name, record):
    kind = METRICS[name]
    beside = f"{record.get('translated', record.get('images')):,} images, {kind.better} is better"
    trivial = {key: record[key] for key in BASELINES if key in record}
    if trivial:
        least = min(trivial, key=trivial.get)
        beside = f"of {BASELINES[least]} {number_text(trivial[least], name)}"
    label = record.get("name", kind.label)
    return {"title": title, "value": number_text(record["value"], name), "label": label, "beside": beside}


def _classes(result):
    """Tables of accuracy and IoU of each class, with their ceilings."""
    tables = []
    for direction, found in result["directions"].items():
        if classes := found.get("classes"):
            pixels = max(1, sum(row["pixels"] for row in classes))
            tables.append((TITLES[direction], [class_cells(row, pixels) for row in classes]))
    return tables


def _rules(result):
    """How each score was computed, and from how many images."""
    rules = []
    for metric, kind in METRICS.items():
        records = {key: found["scores"].get(metric) for key, found in result["directions"].items()}
        counts = [
            f"{TITLES[key]}: {counts_text(record)}" for key, record in records.items() if record and "value" in record
        ]
        if counts:
            label = next(record.get("name", kind.label) for record in records.values() if record)
            rules.append((label, f"{kind.rule} {'. '.join(dict.fromkeys(counts))}."))
    return rules


def _reference(result):
    data = result["data"]
    reference = (
        f"Real images are those of {data['name']}, split {data['split']}; "
        "outputs are rounded to 8 bits for distances and classes."
    )
    published = any(label.startswith("published") for _, label, *_ in score_rows(result))
    return f"{reference} {SOURCE}" if published else reference


def _shown(value):
    return value if isinstance(value, str) else json.dumps(value)


# ---- pictures ----


def _pictures(result, gallery):
    """For each direction that has pictures: its title, the names of the columns, and the groups of rows."""
    shown = []
    for direction, found in result["directions"].items():
        entries, metric = gallery.entries(direction), found["ranked_by"]
        groups = [_group(kind, rows, metric) for kind, rows in entries.items() if rows]
        if groups:
            shown.append((TITLES[direction], ", ".join(_columns(entries, result)).capitalize(), groups))
    return shown


def _group(kind, entries, metric):
    by = "" if kind == "random" else METRICS[metric].label
    return _KINDS[kind], by, [_figure(entry, metric) for entry in entries]


def _columns(entries, result):
    """The names of the columns; a model of one direction without right answers has no third column."""
    third = "right answer" if result["data"]["answers_known"] else "translated back"
    shown = max((len(entry["images"]) for found in entries.values() for entry in found), default=0)
    return ["input", "translation", third][:shown]


def _figure(entry, metric):
    alts = ("Input", "Translation", "Right answer or way back")
    images = [
        {"uri": _data_uri(pixels), "alt": alt, "width": pixels.shape[1], "height": pixels.shape[0]}
        for pixels, alt in zip(entry["images"], alts, strict=False)
    ]
    score = "" if entry["score"] is None else number_text(entry["score"], metric)
    return {"images": images, "name": entry["name"], "score": score}


def _data_uri(pixels):
    stream = io.BytesIO()
    small = pixels.shape[0] * pixels.shape[1] <= 64 * 64  # compression would show in drawings of few pixels
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    image.save(stream, "WEBP", lossless=small, quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


# ---- curves ----


def _loss_charts(losses):
    """Charts of the losses, one for each kind; `loss`, the sum, tells nothing of a game between networks."""
    kinds = {}
    for name in dict.fromkeys(name for row in losses for name in row):
        if name not in ("epoch", "loss"):
            kinds.setdefault(kind_of(name), []).append(name)
    order = [kind for kind in _LOSS_TITLES if kind in kinds] + sorted(kinds.keys() - _LOSS_TITLES.keys())
    titles = {kind: _LOSS_TITLES.get(kind, kind.replace("_", " ").capitalize()) for kind in order}
    charts = [line_chart(titles[kind], _series(losses, kinds[kind], "epoch", 1), "epoch") for kind in order]
    return [chart for chart in charts if chart]


def _metric_charts(metrics):
    names = dict.fromkeys(name for row in metrics for name in row)
    kinds = {}
    for name in names:
        if kind_of(name) in METRICS:
            kinds.setdefault(kind_of(name), []).append(name)
    charts = [line_chart(METRICS[kind].label, _series(metrics, found, "step"), "step") for kind, found in kinds.items()]
    return [chart for chart in charts if chart]


def _series(rows, names, x, first=0):
    labels = {"a": "A", "b": "B", **TITLES}
    return {
        labels.get(name.rpartition("_")[2], name): [
            (row[x] + first, row[name]) for row in rows if x in row and name in row
        ]
        for name in names
    }
