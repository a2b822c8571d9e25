"""Elihu in a Django project: add ``"elihu.contrib.django"`` to ``INSTALLED_APPS``.

``app`` is the project's one app, made at its first use from ``settings.ELIHU`` and
``DATABASES``. ``Backend`` is a backend for ``TASKS``, and ``task`` is Django's decorator
with task options.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from elihu.contrib.django.backend import Backend as Backend
    from elihu.contrib.django.backend import task as task
    from elihu.contrib.django.project import ProjectApp

    app: ProjectApp

__all__ = ["Backend", "app", "task"]

_MODULES: Final = {"app": "project", "Backend": "backend", "task": "backend"}


def __getattr__(name: str) -> Any:
    """Make a public name at its first use: Django imports this package before its
    settings and models can be used.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    project = import_module(f"{__name__}.project")
    if name != "app":
        project.check_installed()
    module = import_module(f"{__name__}.{_MODULES[name]}")
    value = module.project_app() if name == "app" else getattr(module, name)
    globals()[name] = value
    return value
