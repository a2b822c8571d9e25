"""Tools for testing applications that use Elihu. The pytest plugin is
``elihu.testing.plugin``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elihu.testing.app import AppUnderTest as AppUnderTest
    from elihu.testing.calls import HelperNotAwaited as HelperNotAwaited
    from elihu.testing.clock import FakeClock as FakeClock
    from elihu.testing.drained import Drained as Drained

_MODULES = {
    "AppUnderTest": "app",
    "Drained": "drained",
    "FakeClock": "clock",
    "HelperNotAwaited": "calls",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    """Import a name at its first use: pytest starts without the rest of Elihu."""
    if name not in _MODULES:
        raise AttributeError(f"module 'elihu.testing' has no attribute {name!r}")
    value = getattr(import_module(f"elihu.testing.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
