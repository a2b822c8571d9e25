"""Keeps a child that imports the user's modules from doing what these do at their
import: a script without an ``if __name__ == "__main__":`` would enqueue and run nodes
once more in each child.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from elihu.errors import ProcessError

_importing = False


@contextmanager
def importing() -> Iterator[None]:
    """While it is open, this process imports for a process task."""
    global _importing
    _importing = True
    try:
        yield
    finally:
        _importing = False


def check_not_importing() -> None:
    """Raise ``ProcessError`` where this process imports for a process task."""
    if _importing:
        raise ProcessError(
            "expected a module that can be imported without effects, since the child of a process "
            "task imports it, "
            'got one that uses its app at once: put that under if __name__ == "__main__":'
        )
