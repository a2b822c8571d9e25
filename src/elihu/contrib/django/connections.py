"""Django's connections: whose transaction a job joins, and what is closed around tasks."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import SyncToAsync
from django.conf import settings
from django.db import connections, reset_queries
from django.db.backends.signals import connection_created
from django.db.transaction import atomic

from elihu import Context
from elihu.contrib.django.test_database import in_test

logger = logging.getLogger("elihu")


@contextmanager
def in_transaction(alias: str) -> Iterator[Any]:
    """The connection of an alias inside a transaction: the open one, else a short one."""
    connection = connections[alias]
    if connection.in_atomic_block or not connection.get_autocommit():
        yield connection
    else:
        with atomic(using=alias):
            yield connection


def open_elsewhere(alias: str | None) -> str | None:
    """The alias of another database with an open ``atomic``, where that of the jobs has
    none. None: nothing has to be committed first.
    """
    if alias is not None and _in_atomic(connections[alias]):
        return None
    for connection in connections.all(initialized_only=True):
        if connection.alias != alias and _in_atomic(connection):
            return str(connection.alias)
    return None


def is_in_transaction(alias: str) -> bool:
    """Whether the connection of this thread is inside a transaction, that of a test too."""
    connection = connections[alias]
    return bool(connection.in_atomic_block) or (
        connection.connection is not None and not connection.get_autocommit()
    )


def _in_atomic(connection: Any) -> bool:
    """Whether an ``atomic`` is open that is not that of a ``TestCase``."""
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


@contextmanager
def fresh_connections(_ctx: Context) -> Iterator[None]:
    """Close broken and old connections around a task's function, as around a request: in
    its own thread, or in the thread in which asynchronous code uses the ORM. Where Django
    has no settings yet it has no connection.
    """
    if not settings.configured:
        yield
    elif in_loop():
        _shared.enter()
        try:
            yield
        finally:
            _shared.leave()
    else:
        of_test = _begin()
        try:
            yield
        finally:
            _close_old(of_test)


def in_loop() -> bool:
    """Whether this code runs inside an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _SharedThread:
    """The one thread of the process in which ``sync_to_async`` and the ORM's asynchronous
    methods run. What is submitted here runs before what the task submits later.

    Nothing is submitted while that thread has made no connection. Connections that are
    only old are closed while no task runs: another task may read from one, page by page.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._thread: int | None = None
        self._connected: set[int] = set()
        connection_created.connect(self._note)

    def enter(self) -> None:
        """A task begins."""
        with self._lock:
            self._running += 1
            alone = self._running == 1
        self._submit(_begin if alone else _renew)

    def leave(self) -> None:
        """A task has ended."""
        with self._lock:
            self._running -= 1
            alone = self._running == 0
        self._submit(_close_old if alone else _close_broken)

    def _submit(self, work: Callable[[], object]) -> None:
        if self._thread is None or self._thread in self._connected:
            SyncToAsync.single_thread_executor.submit(self._run, work)

    def _run(self, work: Callable[[], object]) -> None:
        self._thread = threading.get_ident()
        try:
            work()
        except Exception:
            logger.exception("connections of Django could not be closed")

    def _note(self, **_signal: Any) -> None:
        self._connected.add(threading.get_ident())


_shared = _SharedThread()


def _begin() -> frozenset[str]:
    """Prepare the connections for a task, except those that are inside a transaction
    already: of a test, which runs the task in its own thread. Returns their aliases.
    """
    reset_queries()
    every = connections.all(initialized_only=True)
    of_test = frozenset(each.alias for each in every if each.in_atomic_block)
    _close_old(of_test)
    _check_health(of_test)
    return of_test


def _check_health(but: frozenset[str] = frozenset()) -> None:
    """Let Django check each kept connection before its next use, whatever
    ``CONN_HEALTH_CHECKS`` says: a lost connection would cost the job an attempt.
    """
    for connection in connections.all(initialized_only=True):
        if connection.alias not in but:
            connection.health_check_enabled = True
            connection.health_check_done = False


def _close_old(but: frozenset[str] = frozenset()) -> None:
    """What ``close_old_connections`` does at the end of a request, with exceptions. In
    tests every connection is closed: one that is left would keep the database of the
    test from being removed.
    """
    for connection in connections.all(initialized_only=True):
        if connection.alias in but:
            continue
        if in_test():
            connection.close()
        else:
            connection.close_if_unusable_or_obsolete()


def _renew() -> None:
    _close_broken()
    _check_health()


def _close_broken() -> None:
    for connection in connections.all(initialized_only=True):
        if connection.errors_occurred and not connection.in_atomic_block:
            if connection.is_usable():
                connection.errors_occurred = False
            else:
                connection.close()
