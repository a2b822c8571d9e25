"""The turn of an action at SQLite's one write lock."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from elihu.triggers.records.calls import Calls
from elihu.triggers.records.keys import RecordKey
from elihu.write_turns import line_at

_files: Final[WeakKeyDictionary[Engine, Path]] = WeakKeyDictionary()
"""The file of each engine of SQLite."""


@contextmanager
def turn(session: Session, key: RecordKey, call: Calls) -> Iterator[None]:
    """Hold the turn of this process at the SQLite file of the records. Does nothing for
    other databases.
    """
    engine = session.get_bind(key.mapper).engine
    if engine.dialect.name != "sqlite":
        yield
        return
    if engine not in _files:
        _files[engine] = Path(str(engine.url.database)).resolve()
    line = line_at(_files[engine])
    own = line.enter()
    try:
        if not own.done():
            if call.asynchronous:
                call(asyncio.wait, [asyncio.wrap_future(own)])
            else:
                own.result()
        yield
    finally:
        line.leave(own)
