"""Exported models behind TensorFlow Serving's REST interface. Nothing is imported before it is asked for."""

import importlib

_PUBLIC = {
    "Client": "client",
    "Engine": "engine",
    "Limits": "limits",
    "Repository": "repository",
    "ServingError": "errors",
    "create_app": "server",
    "run_serve": "server",
}
__all__ = list(_PUBLIC)


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
