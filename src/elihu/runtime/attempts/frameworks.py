"""What a framework of this process cleans around each task's function, though the app was
made without the framework's own package.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from elihu.runtime.attempts.surroundings import Around

_AROUNDS: Final = {"django.db": ("elihu.contrib.django.connections", "fresh_connections")}
"""The context manager of each framework, by the module that a process which uses it has
imported.
"""
_loaded: Final[dict[str, Around]] = {}


def with_frameworks(arounds: Sequence[Around]) -> Sequence[Around]:
    """``arounds`` inside those of the frameworks that this process has imported. The
    frameworks are never imported here.
    """
    for module in _AROUNDS:
        if module in sys.modules:
            around = _loaded.get(module) or _load(module)
            if around not in arounds:
                arounds = (around, *arounds)
    return arounds


def _load(module: str) -> Around:
    package, name = _AROUNDS[module]
    around: Around = getattr(import_module(package), name)
    _loaded[module] = around
    return around
