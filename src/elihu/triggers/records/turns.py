"""Turns at SQLite's one write lock. SQLite lets those who wait for it try again and
again, in no order, until their time is over; actions of one process wait in a line.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from sqlalchemy.orm import Session

from elihu.triggers.records.calls import Calls
from elihu.triggers.records.keys import RecordKey

_in_loops: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]]" = (
    WeakKeyDictionary()
)
_in_threads: dict[str, threading.Lock] = {}
_guard = threading.Lock()


@contextmanager
def turn(session: Session, key: RecordKey, call: Calls) -> Iterator[None]:
    """Hold the turn of this process at the SQLite file of the records. Does nothing for
    other databases.
    """
    engine = session.get_bind(key.mapper).engine
    if engine.dialect.name != "sqlite":
        yield
        return
    path = str(engine.url.database)
    if not call.asynchronous:
        with _guard:
            lock = _in_threads.setdefault(path, threading.Lock())
        with lock:
            yield
        return
    locks = _in_loops.setdefault(asyncio.get_running_loop(), {})
    waiting = locks.setdefault(path, asyncio.Lock())
    call(waiting.acquire)
    try:
        yield
    finally:
        waiting.release()
