"""The processes of a command that live, and signals to all of them."""

import os
import signal

from elihu.processes.proc import ProcessStat, descendants, has_proc


class Remains:
    """What lives of the command, a child of this process that leads a group."""

    def __init__(self, command: int) -> None:
        self._command = command

    def living(self) -> list[ProcessStat]:
        """Its living processes, none where the system has no ``/proc``."""
        return descendants(os.getpid())

    def terminate(self) -> None:
        """Send SIGTERM to each, and let those continue that are stopped."""
        found = self.living()
        if not has_proc():
            _signal_group(self._command, signal.SIGTERM)
            _signal_group(self._command, signal.SIGCONT)
        for number in (signal.SIGTERM, signal.SIGCONT):
            for each in found:
                _send(each.pid, number)

    def kill(self) -> None:
        """Send SIGKILL to each, by groups first: no fork escapes a signal to its
        group.
        """
        found = self.living()
        own = os.getpgrp()
        groups = {each.group for each in found} if has_proc() else {self._command}
        for group in groups - {own, 0}:
            _signal_group(group, signal.SIGKILL)
        for each in found:
            _send(each.pid, signal.SIGKILL)

    def group_lives(self) -> bool:
        """Whether its group has a process where the system has no ``/proc``: there,
        nobody adopts what it leaves behind.
        """
        return not has_proc() and _signal_group(self._command, 0)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except OSError:
        return False
    return True


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return
