"""Evaluation of trained models: scores, diagnostics in plain words, and a report."""

from tf_cyclegan.settings.imports import exports

_MODULES = {
    "Evaluator": "scores",
    "Gallery": "examples",
    "Instruments": "instruments",
    "METRICS": "catalog",
    "diagnose": "diagnostics",
    "evaluate_model": "scores",
    "flat_scores": "scores",
    "open_instruments": "instruments",
    "open_segmenter": "segmenters",
    "read_palette": "palettes",
    "report_page": "report",
    "run_evaluate": "evaluate",
}
__all__, __getattr__, __dir__ = exports(__name__, _MODULES)
