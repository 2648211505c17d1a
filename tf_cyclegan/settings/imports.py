"""Imports that wait: public names until their first use, and the classes of saved models until Keras is imported.

`--help` and a client of the server must not take the seconds that importing Keras and TensorFlow takes.
"""

import contextlib
import importlib
import os
import sys
import warnings

# The modules with the classes of saved models: Keras finds a class only if its module has been imported.
_MODULES = ("tf_cyclegan.models", "tf_cyclegan.training.schedules")


def exports(package, modules):
    """Public names that are imported at their first use: `__all__, __getattr__, __dir__ = exports(__name__, {...})`.

    Args:
        package: str, name of the package.
        modules: dict of the public names to their modules in the package.

    Returns:
        Triple of the package's `__all__`, `__getattr__` and `__dir__`.
    """
    names = list(modules)

    def get(name):
        if name in modules:
            return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    # The package also has the modules that have been imported meanwhile.
    return names, get, lambda: sorted({*vars(importlib.import_module(package)), *names})


def register_with_keras():
    """Imports the classes of saved models: now if Keras is imported already, else as soon as it is."""
    if "keras" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _IMPORTS)


def claim_keras():
    """Sets Keras up for a program of ours, against the user's settings: on TensorFlow, with channels last."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    _IMPORTS.claimed = True
    if "keras" in sys.modules:
        _set_defaults(sys.modules["keras"])


def check_backend(backend):
    """Raises `ImportError` unless Keras computes with TensorFlow."""
    if backend != "tensorflow":
        raise ImportError(_needs(f"the backend {backend!r}"))


def _needs(found):
    return (
        "tf_cyclegan needs Keras on TensorFlow: set KERAS_BACKEND=tensorflow, or the backend in ~/.keras/keras.json, "
        f"before Keras is imported. Found: {found}"
    )


def _register():
    backend = sys.modules["keras"].config.backend()
    if backend != "tensorflow":
        warnings.warn(_needs(f"the backend {backend!r}"), stacklevel=2)
        return
    for module in _MODULES:
        importlib.import_module(module)


def _set_defaults(keras):
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)


class _Imports:
    """A finder of modules that registers the classes once Keras and all modules of ours in progress are imported.

    A module of ours may be the first to import Keras, and the classes may need that module: they wait for its end.
    """

    def __init__(self):
        self.claimed = False
        self._depth = 0

    def find_spec(self, name, path=None, target=None):
        if name == "matplotlib" and self.claimed and self._depth:
            # Keras would import it, which takes 0.4 s; a program of ours draws without Keras.
            raise ModuleNotFoundError("matplotlib waits until a figure is drawn", name=name)
        if name != "keras" and not name.startswith("tf_cyclegan."):
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in others if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec

    def execute(self, loader, module):
        self._depth += 1
        try:
            loader.exec_module(module)
        except ImportError as error:
            if module.__name__ == "keras" and self._depth > 1:
                raise ImportError(_needs(error)) from error
            raise
        finally:
            self._depth -= 1
        if module.__name__ == "keras" and self.claimed:
            _set_defaults(module)
        if not self._depth and "keras" in sys.modules:
            with contextlib.suppress(ValueError):  # another thread was faster
                sys.meta_path.remove(self)
            _register()


class _Loader:
    """Stands for the loader of a module until `_Imports` has executed the module."""

    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        _IMPORTS.execute(self._loader, module)


_IMPORTS = _Imports()
