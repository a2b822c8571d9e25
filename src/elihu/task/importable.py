"""The names under which another interpreter can import a function's module."""

import sys
from pathlib import Path
from types import FunctionType

from elihu.errors import InvalidTask


def module_of(fn: FunctionType) -> str:
    """The module's name as others import it, for the program itself that of its file."""
    if fn.__module__ != "__main__":
        return fn.__module__
    file = getattr(sys.modules["__main__"], "__file__", None)
    return importable_name("__main__") or (Path(file).stem if file else "__main__")


def importable_name(module: str) -> str | None:
    """The name under which a fresh interpreter imports this module. The program itself
    has the name of its file. None if no import finds it (a prompt, ``-c``, standard
    input, a module object without a file).
    """
    found = sys.modules.get(module)
    spec, file = getattr(found, "__spec__", None), getattr(found, "__file__", None)
    if spec is not None:
        return str(spec.name)
    if module == "__main__":
        return Path(file).stem if file and Path(file).suffix == ".py" else None
    return module if file else None


def check_importable(what: str, fn: FunctionType) -> None:
    """Raise ``InvalidTask`` if no fresh interpreter can import the module of ``fn``."""
    if importable_name(fn.__module__) is None:
        got = (
            "the program itself, which is not an importable file"
            if fn.__module__ == "__main__"
            else repr(fn.__module__)
        )
        raise InvalidTask(
            f'{what}: run_in="process": expected a function of a module that a fresh interpreter '
            f"can import, got one of {got}"
        )
