"""The command scheduler: shell commands that people keep, run by schedules in several
environments, and watch. It is an application of the public names of ``elihu``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elihu.commands.host import Host as Host
    from elihu.commands.scheduler import CommandScheduler as CommandScheduler

_MODULE_OF = {"CommandScheduler": "scheduler", "Host": "host"}

__all__ = ["CommandScheduler", "Host"]


def __getattr__(name: str) -> Any:
    """Import a name at its first use: the supervisor of a run, which is a module of this
    package, needs none of them and must start fast.
    """
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
