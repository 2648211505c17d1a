"""Packages whose public names are imported when they are asked for."""

import importlib


def exports(package, modules):
    """What such a package has in the place of imports: `__all__, __getattr__, __dir__ = exports(__name__, {...})`.

    Args:
        package: str, its name.
        modules: dict of public names to the modules of the package that hold them.

    Returns:
        Triple of the names, and the package's `__getattr__` and `__dir__`.
    """
    names = list(modules)

    def get(name):
        if name in modules:
            return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    # What was imported in the meantime stands in the package beside its public names.
    return names, get, lambda: sorted({*vars(importlib.import_module(package)), *names})
