"""The command `evaluate`: a trained model, its test data, scores, diagnostics and a report."""

import dataclasses
import json
from pathlib import Path

import keras
import tensorflow as tf

from tf_cyclegan import __version__
from tf_cyclegan.checks import check_integer
from tf_cyclegan.commands import EvaluateConfig
from tf_cyclegan.config import TrainConfig
from tf_cyclegan.evaluating.catalog import parse_metrics
from tf_cyclegan.evaluating.diagnostics import diagnose
from tf_cyclegan.evaluating.examples import mean_images
from tf_cyclegan.evaluating.gallery import Gallery
from tf_cyclegan.evaluating.instruments import open_instruments
from tf_cyclegan.evaluating.label_scores import NOTE
from tf_cyclegan.evaluating.logs import finite, read_best, read_rows
from tf_cyclegan.evaluating.report import report_page
from tf_cyclegan.evaluating.scores import Evaluator
from tf_cyclegan.evaluating.tables import (
    described,
    finding_lines,
    in_flags,
    left_out_by_reason,
    segmenter_used,
    text_table,
)
from tf_cyclegan.files import check_writable, write_whole
from tf_cyclegan.known_ranges import Ranges, given_ranges, known_ranges
from tf_cyclegan.models import MODELS
from tf_cyclegan.run_data import open_data, read_config
from tf_cyclegan.trained import load_trained
from tf_cyclegan.user_errors import with_flags
from tf_cyclegan.weights import is_weights_folder

BEST = "best"
# Settings of the data that the command line can say otherwise than the run.
_OF_DATA = ("dataset", "data_a", "data_b", "data_dir", "image_size", "value_range", "value_range_b")


def run_evaluate(config, report):
    """Evaluates a model and writes `evaluation.json` and `report.html`.

    Args:
        config: `EvaluateConfig`.
        report: callable, takes lines of text.

    Returns:
        0.

    Raises:
        ValueError: if a setting is out of its range, the model or the data cannot be read, or a metric that was asked
            for cannot be had.
        OSError: if a file cannot be written.
    """
    metrics = _checked_metrics(config)
    folder = run_folder(config.model)
    model, source = _load(config, report)
    output = Path(config.output or _default_output(config))
    check_writable(output, "output")
    settings = _settings(config, model, report)
    instruments = _instruments(config, metrics)
    data = open_data(settings, model.size_multiple, config.split, False, "none", _are_pairs(config, settings)).load()
    of_training = any(known_ranges(config.model)) and not (config.value_range or config.value_range_b)
    for note in data.range_notes(advise=not of_training):
        report(with_flags(note, EvaluateConfig))
    evaluator = Evaluator(model, data, instruments, _directions(config, model), config.count, config.seed)
    report(f"Evaluating {'; '.join([described({'data': evaluator.describe()}), *data.notes])}.")
    gallery = Gallery(model, evaluator.counts(), seed=config.seed)
    result = evaluator.evaluate(_baselines(evaluator, settings, model), gallery)
    left_out = {name: with_flags(reason, EvaluateConfig) for name, reason in result["left_out"].items()}
    result = {"model": _described(model, source), **result, "left_out": left_out, "versions": _versions()}

    logs, known = _logs(folder), settings.to_dict()
    findings = in_flags(diagnose(result, model=model, **logs))
    result["diagnostics"] = [dataclasses.asdict(finding) for finding in findings]
    title = (folder or config.model).resolve().name
    page = report_page(result, findings, gallery, logs["losses"], logs["metrics"], known, title)
    _write(output, result, page)
    _report(report, result, findings, logs["best"], output, config)
    return 0


# ---- what is evaluated ----


def run_folder(path):
    """The run folder that a model is of, or None: the folder itself, or that of a file in its `checkpoints`."""
    path = Path(path)
    if path.is_dir():
        return path
    return path.parent.parent if path.parent.name == "checkpoints" else None


def _checked_metrics(config):
    """The names of the metrics, once all settings that need no model are checked."""
    check_integer("seed", config.seed, 0)
    if config.count is not None:
        check_integer("count", config.count, 2)
    return parse_metrics(config.metrics)


def _instruments(config, metrics):
    of_labels = {name: getattr(config, name) for name in ("segmenter", "segmenter_range", "palette")}
    return open_instruments(metrics, config.features, config.resize, config.perceptual_weights, **of_labels)


def _load(config, report):
    """The model, and the file that it is from."""
    path = Path(config.model)
    if not path.is_dir():
        if config.checkpoint == BEST:
            raise ValueError(f"`checkpoint` best is of a run folder. Received: model={str(path)!r}, a file")
        return load_trained(path, report), path
    if config.checkpoint == BEST:
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
    """The settings of the data: those of the run, with what the command line says otherwise."""
    given = {name: getattr(config, name) for name in _OF_DATA}
    given = {name: value for name, value in given.items() if value is not None}
    settings = read_config(config.model)
    if settings is None and not {"dataset", "data_a"} & given.keys():
        raise ValueError(
            "`dataset` must be given where a model has no settings of a run. "
            f"Received: model={str(config.model)!r} without"
        )
    if settings is None:
        ranges = known_ranges(config.model, config, report)
        return _settings_without_run(given | {"value_range": ranges.a, "value_range_b": ranges.b}, model)
    if {"dataset", "data_a"} & given.keys():
        given = {"dataset": "", "data_a": None, "data_b": None} | given
    ranges = given_ranges(Ranges(settings.value_range, settings.value_range_b), config, report=report)
    return dataclasses.replace(settings, **given | {"value_range": ranges.a, "value_range_b": ranges.b})


def _settings_without_run(given, model):
    names = {kind: name for name, kind in MODELS.items()}
    channels = getattr(model, "image_shape", (None, None, 3))[-1]
    known = {
        "model": names.get(type(model), "cyclegan"),
        "channels": channels,
        "channels_b": getattr(model, "channels_b", channels),
    }
    if model.takes_ids:
        of_maps = ("label_classes", "ignore_label", "instance_edges", "instance_features")
        known |= {name: getattr(model, name) for name in of_maps}
    height, width, _ = getattr(model, "image_shape", (None, None, 3))
    if height and width:
        known["image_size"] = f"{height}x{width}"
    return TrainConfig(**(known | given)).resolved()


def _directions(config, model):
    if config.direction is None:
        return None
    if config.direction not in model.directions:
        raise ValueError(f"`direction` must be one of {model.directions}. Received: direction={config.direction!r}")
    return (config.direction,)


def _baselines(evaluator, settings, model):
    """The mean training images, where there is something to compare them with."""
    if not evaluator.answers or not any("l1" in evaluator.metrics(direction) for direction in evaluator.directions):
        return {}
    return mean_images(open_data(settings, model.size_multiple, "train", augment=False, cache="none").load())


def _are_pairs(config, settings):
    # Emoji belong together by their names, and their test split holds no others.
    return config.paired and not settings.is_emoji


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


def _default_output(config):
    path = Path(config.model)
    if not path.is_dir():
        return path.with_name(f"{path.stem}-evaluation")
    return path / ("evaluation-best" if config.checkpoint == BEST else "evaluation")


def _write(output, result, page):
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(finite(result), indent=2, allow_nan=False, ensure_ascii=False)
    write_whole(output / "evaluation.json", f"{text}\n".encode())
    write_whole(output / "report.html", page.encode())


def _report(report, result, findings, best, output, config):
    model = result["model"]
    step = f" at step {model['step']:,}" if model["step"] else ""
    lines = [f"{model['type']}{step}, {model['checkpoint']}", *text_table(result)]
    lines += [NOTE] if segmenter_used(result) else []
    lines += [f"Left out: {labels}: {reason}." for reason, labels in left_out_by_reason(result).items()]
    lines += finding_lines(findings)
    if best and config.checkpoint != BEST and best["step"] != model["step"]:
        lines.append(
            f"This is the last. The best by {best['score']}, {best['value']:.4g}, was at step {best['step']:,}: "
            "--checkpoint=best evaluates it."
        )
    report("\n".join([*lines, f"Wrote {output}/report.html and evaluation.json."]))
