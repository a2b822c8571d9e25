"""SQLite's one write lock, where user code of this node holds it in a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from elihu.errors import InvalidOption

_held: Final[ContextVar[Path | None]] = ContextVar("elihu.write_lock", default=None)


@contextmanager
def holding(path: Path | None) -> Iterator[None]:
    """The code inside holds the write lock of this file, or of none where it is None."""
    token = _held.set(path)
    try:
        yield
    finally:
        _held.reset(token)


def hold(path: Path | None) -> None:
    """From here to the end of the innermost ``holding`` the code holds the lock."""
    _held.set(path)


def check_free(
    database_url: str,
    expected: str = "enqueue: expected using(conn=session) inside an action",
) -> None:
    """Raise ``InvalidOption`` where this code itself holds the write lock that a write
    needs, so that it would wait for itself.
    """
    held = _held.get()
    if held is None or not database_url.startswith("sqlite:///"):
        return
    if Path(database_url.removeprefix("sqlite:///")).resolve() == held:
        raise InvalidOption(
            f"{expected}, got a call in an action that holds SQLite's write lock: it would wait "
            "for its own transaction"
        )
