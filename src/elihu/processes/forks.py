"""What a process that a task forks must not share with the node.

asyncio receives signals through a socket that a forked child inherits: a signal to the
child would be taken for one to the node, and would not end the child.
"""

import asyncio
import os
import signal
from contextlib import suppress
from typing import Any, Final

SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCHLD,
)

_own_handlers: set[Any] = set()
_guarded = False
_forks = 0


def guard_forks() -> None:
    """From now on, a child that this process forks has the default handlers of signals
    in place of those of event loops.
    """
    global _guarded
    if not _guarded:
        _guarded = True
        os.register_at_fork(after_in_child=_restore_defaults)


def generation() -> int:
    """How many forks led to this process, in the lines of this module's import."""
    return _forks


def end_forked_child(node: int) -> None:
    """End this process where it is a forked child of the process whose ``generation``
    was ``node``, and has returned from the task's code: it must not continue as a
    second node. Every job passes here, and asking for the process id is a system call.
    """
    if _forks != node:
        os._exit(1)


def handle(number: signal.Signals, handler: Any) -> None:
    """Set a handler of signals that forked children do not inherit."""
    guard_forks()
    _own_handlers.add(handler)
    signal.signal(number, handler)


def _count() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count)


def _restore_defaults() -> None:
    with suppress(ValueError, OSError):
        signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        with suppress(ValueError, OSError, TypeError):
            if _is_of_node(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)


def _is_of_node(handler: Any) -> bool:
    """Whether an event loop, ``asyncio.run`` or ``handle`` has set it."""
    if not callable(handler):
        return False
    if handler in _own_handlers or getattr(handler, "__module__", "") == "asyncio.unix_events":
        return True
    called = getattr(handler, "func", handler)
    owner = getattr(called, "__self__", None)
    return isinstance(owner, asyncio.Runner | asyncio.AbstractEventLoop)
