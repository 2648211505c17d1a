"""Exported models behind TensorFlow Serving's REST interface. Nothing is imported before it is asked for."""

from tf_cyclegan.settings.imports import exports

_MODULES = {
    "Client": "client",
    "Engine": "engine",
    "Limits": "limits",
    "Repository": "repository",
    "ServingError": "errors",
    "create_app": "rest.app",
    "run_serve": "server",
}
__all__, __getattr__, __dir__ = exports(__name__, _MODULES)
