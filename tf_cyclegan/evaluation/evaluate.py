"""The command `evaluate`: a trained model, its test data, scores, diagnostics and a report."""

import dataclasses
import json
from pathlib import Path

import keras
import tensorflow as tf

from tf_cyclegan import __version__
from tf_cyclegan.data.loading import open_data
from tf_cyclegan.evaluation.catalog import parse_metrics
from tf_cyclegan.evaluation.diagnostics import diagnose
from tf_cyclegan.evaluation.examples import Gallery, mean_images
from tf_cyclegan.evaluation.instruments import open_instruments
from tf_cyclegan.evaluation.label_maps import NOTE
from tf_cyclegan.evaluation.report import report_page
from tf_cyclegan.evaluation.scores import Evaluator
from tf_cyclegan.evaluation.tables import (
    described,
    finding_lines,
    finite,
    in_flags,
    left_out_by_reason,
    read_best,
    read_rows,
    segmenter_used,
    text_table,
)
from tf_cyclegan.files import check_writable, write_whole
from tf_cyclegan.models import MODELS, model_name
from tf_cyclegan.settings.checks import check_integer
from tf_cyclegan.settings.commands import EvaluateSettings
from tf_cyclegan.settings.data import View
from tf_cyclegan.settings.fields import flat, names_of
from tf_cyclegan.settings.train import train_settings
from tf_cyclegan.settings.user_errors import with_flags
from tf_cyclegan.weights import is_weights_folder
from tf_cyclegan.weights.known_ranges import Ranges, given_ranges, known_ranges
from tf_cyclegan.weights.run_files import read_config
from tf_cyclegan.weights.trained_models import load_trained

BEST = "best"
_NAMES = names_of(EvaluateSettings)


def run_evaluate(config, report):
    """Evaluates a model and writes `evaluation.json` and `report.html`.

    Args:
        config: `EvaluateSettings`.
        report: callable, takes lines of text.

    Returns:
        0.

    Raises:
        ValueError: if a setting is out of its range, the model or the data cannot be read, or a metric
            that the user named cannot be computed.
        OSError: if a file cannot be written.
    """
    metrics = _checked_metrics(config.metrics, config.seed, config.count)
    folder = run_folder(config.model)
    model, source = _load(config.model, config.checkpoint, report)
    output = Path(config.output or _default_output(config.model, config.checkpoint))
    check_writable(output, "output")
    settings = _settings(config, model, report)
    instruments = _instruments(config.instruments, metrics)
    # Emoji are pairs by their names, and their test split holds only pairs.
    paired = (config.paired and not settings.data.is_emoji) or MODELS[settings.model].paired
    view = View(config.split, model.size_multiple, paired, settings.of_model.labels)
    of_data = dataclasses.replace(settings.data, cache="none")
    data = open_data(of_data, view, augment=False).load()
    of_training = any(known_ranges(config.model)) and not any(flat(config.ranges).values())
    for note in data.range_notes(advise=not of_training):
        report(with_flags(note, _NAMES))
    evaluator = Evaluator(model, data, instruments, _directions(config.direction, model), config.count, config.seed)
    report(f"Evaluating {'; '.join([described({'data': evaluator.describe()}), *data.notes])}.")
    gallery = Gallery(model, evaluator.counts(), seed=config.seed)
    result = evaluator.evaluate(
        _baselines(evaluator, of_data, view._replace(paired=MODELS[settings.model].paired)), gallery
    )
    left_out = {name: with_flags(reason, _NAMES) for name, reason in result["left_out"].items()}
    result = {"model": _described(model, source), **result, "left_out": left_out, "versions": _versions()}

    logs, known = _logs(folder), settings.to_dict()
    findings = in_flags(diagnose(result, model=model, **logs))
    result["diagnostics"] = [dataclasses.asdict(finding) for finding in findings]
    title = (folder or config.model).resolve().name
    page = report_page(result, findings, gallery, logs["losses"], logs["metrics"], known, title)
    _write(output, result, page)
    _report(report, result, findings, logs["best"] if config.checkpoint != BEST else None, output)
    return 0


# ---- what is evaluated ----


def run_folder(path):
    """The run folder of a model, or None: the folder itself, or for a file in `checkpoints` the folder above."""
    path = Path(path)
    if path.is_dir():
        return path
    return path.parent.parent if path.parent.name == "checkpoints" else None


def _checked_metrics(metrics, seed, count):
    """The names of the metrics; checks all settings that need no model."""
    check_integer("seed", seed, 0)
    if count is not None:
        check_integer("count", count, 2)
    return parse_metrics(metrics)


def _instruments(settings, metrics):
    of_labels = {name: getattr(settings, name) for name in ("segmenter", "segmenter_range", "palette")}
    return open_instruments(metrics, settings.features, settings.resize, settings.perceptual_weights, **of_labels)


def _load(path, checkpoint, report):
    """The model, and the file that it was read from."""
    path = Path(path)
    if not path.is_dir():
        if checkpoint == BEST:
            raise ValueError(f"`checkpoint` best is of a run folder. Received: model={str(path)!r}, a file")
        return load_trained(path, report), path
    if checkpoint == BEST:
        best = path / "checkpoints" / "best.keras"
        if not best.is_file():
            raise ValueError(
                f"`checkpoint` best is kept by runs with --evaluate-every. Received: {str(path)!r}, which has none"
            )
        return load_trained(best, report), best
    model = load_trained(path, report)
    if is_weights_folder(path):
        return model, path
    return model, path / "checkpoints" / f"step_{int(model.step):08d}.keras"


def _settings(config, model, report):
    """The settings of the data: the settings of the run, where the command line does not replace them."""
    given = {name: value for name, value in flat(config.data).items() if value is not None}
    settings = read_config(config.model)
    if settings is None and not {"dataset", "data_a"} & given.keys():
        raise ValueError(
            "`dataset` must be given where a model has no settings of a run. "
            f"Received: model={str(config.model)!r} without"
        )
    if settings is None:
        ranges = known_ranges(config.model, config.ranges, report)
        settings = _settings_without_run(given, model)
    else:
        ranges = given_ranges(
            Ranges(settings.data.value_range, settings.data.value_range_b), config.ranges, report=report
        )
        if {"dataset", "data_a"} & given.keys():
            given = {"dataset": "", "data_a": None, "data_b": None} | given
    return settings.replaced(**given, value_range=ranges.a, value_range_b=ranges.b)


def _settings_without_run(given, model):
    known = {
        "model": model_name(model) or "cyclegan",
        "channels": model.channels["a"],
        "channels_b": model.channels["b"],
    }
    if model.takes_ids:
        of_maps = ("label_classes", "ignore_label", "instance_edges", "instance_features")
        known |= {name: getattr(model, name) for name in of_maps}
    height, width, _ = getattr(model, "image_shape", (None, None, 3))
    if height and width:
        known["image_size"] = f"{height}x{width}"
    return train_settings(**(known | given)).resolved()


def _directions(direction, model):
    if direction is None:
        return None
    if direction not in model.directions:
        raise ValueError(f"`direction` must be one of {model.directions}. Received: direction={direction!r}")
    return (direction,)


def _baselines(evaluator, data, view):
    """The mean training images, if the right answers are known."""
    if not evaluator.answers or not any("l1" in evaluator.metrics(direction) for direction in evaluator.directions):
        return {}
    return mean_images(open_data(data, view._replace(split="train"), augment=False).load())


# ---- what is said of it ----


def _described(model, source):
    return {
        "type": type(model).__name__,
        "checkpoint": source.name,
        "path": str(source),
        "step": int(model.step),
        "directions": list(model.directions),
    }


def _versions():
    return {"tf_cyclegan": __version__, "tensorflow": tf.__version__, "keras": keras.__version__}


def _logs(folder):
    if folder is None:
        return {"losses": [], "metrics": [], "best": None}
    return {
        "losses": read_rows(folder / "losses.csv"),
        "metrics": read_rows(folder / "metrics.csv"),
        "best": read_best(folder),
    }


def _default_output(path, checkpoint):
    path = Path(path)
    if not path.is_dir():
        return path.with_name(f"{path.stem}-evaluation")
    return path / ("evaluation-best" if checkpoint == BEST else "evaluation")


def _write(output, result, page):
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(finite(result), indent=2, allow_nan=False, ensure_ascii=False)
    write_whole(output / "evaluation.json", f"{text}\n".encode())
    write_whole(output / "report.html", page.encode())


def _report(report, result, findings, best, output):
    model = result["model"]
    step = f" at step {model['step']:,}" if model["step"] else ""
    lines = [f"{model['type']}{step}, {model['checkpoint']}", *text_table(result)]
    lines += [NOTE] if segmenter_used(result) else []
    lines += [f"Left out: {labels}: {reason}." for reason, labels in left_out_by_reason(result).items()]
    lines += finding_lines(findings)
    if best and best["step"] != model["step"]:
        lines.append(
            f"This is the last. The best by {best['score']}, {best['value']:.4g}, was at step {best['step']:,}: "
            "--checkpoint=best evaluates it."
        )
    report("\n".join([*lines, f"Wrote {output}/report.html and evaluation.json."]))
