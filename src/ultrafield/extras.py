"""Packages of the optional extras, imported where they are needed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from .errors import BackendError


def require(module: str, extra: str) -> ModuleType:
    """Import a module of an optional extra.

    Args:
        module: Full name of the module.
        extra: Extra of the distribution `ultrafield` that installs it.

    Raises:
        BackendError: The package is not installed; the text says how to install it.
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # the package is there, something that it needs is not
        raise BackendError(f'{package} is not installed; run: pip install "ultrafield[{extra}]"') from None
