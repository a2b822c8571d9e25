"""Turns a fork of the supervisor into the command."""

import fcntl
import marshal
import os
import signal

from elihu.commands.runner import limits
from elihu.commands.runner.cgroup import Cgroup
from elihu.commands.runner.order import Order
from elihu.processes.prctl import signal_at_parent_death

UMASK = 0o077


def start(order: Order, out: int, err: int, failure: int, cgroup: Cgroup) -> int:
    """Fork the command and return its process. ``out`` and ``err`` get its output. Into
    ``failure``, which the command closes when it starts, goes why it does not. Raises
    ``OSError``.
    """
    supervisor = os.getpid()
    if pid := os.fork():
        return pid
    try:
        signal_at_parent_death(signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(127)
        _become(order, out, err, failure, cgroup)
    finally:
        os._exit(127)


def failure_of(what: str, number: int | None) -> bytes:
    """What is written into ``failure``."""
    return marshal.dumps((what, number))


def failure_in(data: bytes) -> str:
    """Why the command did not start, from what was written into ``failure``."""
    what, number = marshal.loads(data)
    return f"{what}: {os.strerror(number)}" if number else str(what)


def _become(order: Order, out: int, err: int, failure: int, cgroup: Cgroup) -> None:
    what = "process"
    try:
        os.setsid()
        for number in range(1, signal.NSIG):
            if number not in {signal.SIGKILL, signal.SIGSTOP}:
                _restore(number)
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(UMASK)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        what = "cgroup"
        cgroup.enter()
        what = f"working directory {order.working_directory!r}"
        if order.working_directory is not None:
            os.chdir(order.working_directory)
        what = "limits"
        limits.apply(order)
        program = order.arguments[0]
        what = program if "/" in program else f"program {program!r}"
        if "/" in program:
            os.execve(program, order.arguments, order.environment)
        os.execvpe(program, order.arguments, order.environment)
    except OSError as error:
        os.write(failure, failure_of(what, error.errno))
    except Exception as error:
        os.write(failure, failure_of(f"{what}: {error}", None))


def _restore(number: int) -> None:
    try:
        signal.signal(number, signal.SIG_DFL)
    except (OSError, ValueError):
        return


def set_nonblocking(descriptor: int) -> None:
    """Let reads and writes return at once."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_NONBLOCK)
