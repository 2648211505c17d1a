"""How good a trained model is: scores, diagnostics in plain words, and a report. Nothing is imported before it is asked
for."""

import importlib

_PUBLIC = {
    "Evaluator": "scores",
    "Gallery": "gallery",
    "Instruments": "instruments",
    "METRICS": "catalog",
    "diagnose": "diagnostics",
    "evaluate_model": "scores",
    "flat_scores": "scores",
    "open_instruments": "instruments",
    "open_segmenter": "segmenters",
    "read_palette": "palettes",
    "report_page": "report",
    "run_evaluate": "command",
}
__all__ = list(_PUBLIC)


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
