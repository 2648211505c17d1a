"""A server of SavedModels with TensorFlow Serving's REST and gRPC interfaces; names are imported when used."""

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
