"""The process between a node and one command. It starts the command, passes its output
on, and ends only when nothing of the command is left, whatever happens to the node.

running ── the command ends, or has to ──> asked (SIGTERM) ── kill_grace ──> killed (SIGKILL,
   │                                         │                      repeated until none is left)
   └── it ends with nothing left behind ─────┴──> ended

It adopts every process that the command leaves behind, so that changes of session and
double forks do not hide one. The modules that it imports use the standard library alone,
and of that only what loads fast.
"""

import fcntl
import os
import select
import signal
import time

from elihu.commands.runner import child, limits
from elihu.commands.runner.cgroup import Cgroup
from elihu.commands.runner.order import Order
from elihu.commands.runner.output import STREAMS, Output
from elihu.commands.runner.protocol import Frames, frame
from elihu.commands.runner.remains import Remains
from elihu.processes.prctl import adopt_orphans, signal_at_parent_death

READ = 2**20
"""The most bytes of one read, and the size that the pipes get where they may."""
PARENT_LOOK = 1.0
"""Seconds between two looks at the node where the kernel does not signal its end."""
KILL_AGAIN = 0.02
"""Seconds between two rounds of SIGKILL."""
UNKILLABLE = 10.0
"""Seconds after the first SIGKILL after which the end is reported although something is
left. The rounds continue.
"""

RUNNING, ASKED, KILLED, ENDED = range(4)


def main(control: int) -> None:
    """Run the command that comes over the socket ``control``."""
    os.set_inheritable(control, False)
    frames = Frames()
    messages: list[tuple[object, ...]] = []
    while not messages:
        data = os.read(control, READ)
        if not data:
            return
        messages = frames.feed(data)
    (_, fields), *rest = messages
    assert isinstance(fields, dict)
    Supervisor(control, frames, Order(**fields)).run(rest)


class Supervisor:
    """Supervises one command."""

    def __init__(self, control: int, frames: Frames, order: Order) -> None:
        self._control: int | None = control
        self._frames = frames
        self._order = order
        self._output = Output(order.output_limit, order.secrets)
        self._limits = limits.Limits(order)
        self._outgoing = bytearray()
        self._state = RUNNING
        self._status: str | None = None
        self._reason: str | None = None
        self._exit: int | None = None
        self._failure = b""
        self._stopped_by: int | None = None
        self._background = 0
        self._end_sent = False
        self._streams: dict[int, str] = {}
        self._next_kill = 0.0
        self._kill_began = 0.0
        self._next_look = 0.0
        self._command = 0
        self._poller = select.poll()

    def run(self, messages: list[tuple[object, ...]]) -> None:
        """Run the command to its end and report it. ``messages`` are those of the node
        that have come already.
        """
        signal_at_parent_death(signal.SIGUSR1)
        adopt_orphans()
        wake_up = self._receive_signals()
        self._cgroup = Cgroup(self._order.mark if self._order.cgroup else None)
        self._began = time.monotonic()
        self._ended_at = self._began
        self._deadline = self._began + self._order.timeout
        self._start()
        for message in messages:
            self._receive(message)
        assert self._control is not None
        child.set_nonblocking(self._control)
        while not (self._state == ENDED and not self._outgoing):
            self._register_control()
            for descriptor, _ in self._poller.poll(self._wait()):
                if descriptor == wake_up:
                    os.read(wake_up, 4_096)
                elif descriptor == self._control:
                    self._exchange()
                elif descriptor == self._failure_pipe:
                    self._read_failure()
                elif descriptor in self._streams:
                    self._read(descriptor)
            self._step(time.monotonic())

    def _receive(self, message: tuple[object, ...]) -> None:
        """Take a message of the node."""
        if message[0] == "stop":
            _, reason, grace = message
            assert isinstance(grace, float)
            self._end_early("killed", str(reason), min(grace, self._order.kill_grace))

    # the command

    def _start(self) -> None:
        out, err, failure = os.pipe(), os.pipe(), os.pipe()
        for descriptor, stream in ((out[0], STREAMS[0]), (err[0], STREAMS[1])):
            self._streams[descriptor] = stream
            _widen(descriptor)
        self._failure_pipe: int | None = failure[0]
        for descriptor in (*self._streams, failure[0]):
            child.set_nonblocking(descriptor)
            self._poller.register(descriptor, select.POLLIN)
        try:
            self._command = child.start(self._order, out[1], err[1], failure[1], self._cgroup)
        except OSError as error:
            self._failure, self._exit = child.failure_of("process", error.errno), 127
        for descriptor in (out[1], err[1], failure[1]):
            os.close(descriptor)

    def _read_failure(self) -> None:
        assert self._failure_pipe is not None
        if data := os.read(self._failure_pipe, 4_096):
            self._failure += data
            return
        self._poller.unregister(self._failure_pipe)
        os.close(self._failure_pipe)
        self._failure_pipe = None
        if not self._failure:
            self._send("started", self._command)

    def _read(self, descriptor: int) -> bool:
        """Read once; returns whether there may be more."""
        try:
            data = os.read(descriptor, READ)
        except BlockingIOError:
            return False
        if data:
            self._output.feed(self._streams[descriptor], data, time.monotonic())
            return True
        self._close_stream(descriptor)
        return False

    def _close_stream(self, descriptor: int) -> None:
        del self._streams[descriptor]
        self._poller.unregister(descriptor)
        os.close(descriptor)

    def _reap(self) -> bool:
        """Collect ended processes; returns whether one is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid != self._command:
                continue
            if os.WIFSTOPPED(status):
                self._stopped_by = os.WSTOPSIG(status)
            elif os.WIFCONTINUED(status):
                self._stopped_by = None
            else:
                self._exit = os.waitstatus_to_exitcode(status)
                self._ended_at = time.monotonic()

    # its end

    def _step(self, now: float) -> None:
        if os.getppid() != self._order.node:
            self._lose_node()
        if self._state == ENDED:
            return
        if not self._end_sent and self._output.due(now):
            self._send_output(*self._output.take(now))
        left = self._reap() or self._remains.group_lives()
        if self._exit is not None and (not left or self._leaves_background()):
            self._finish()
            return
        if self._state == RUNNING:
            self._check(now)
        if self._state == ASKED and now >= self._deadline:
            self._state, self._kill_began, self._next_kill = KILLED, now, now
        if self._state == KILLED and now >= self._next_kill:
            self._cgroup.kill()
            self._remains.kill()
            self._next_kill = now + KILL_AGAIN
            if now - self._kill_began > UNKILLABLE and not self._end_sent:
                self._ended_at = now if self._exit is None else self._ended_at
                number = len(self._remains.living())
                self._send_end(f"{number:,} of its processes did not end when they were killed")

    def _check(self, now: float) -> None:
        """End the command where it must end, and what it left behind."""
        if self._exit is not None:
            self._background = len(self._remains.living())
            self._ask()
        elif now >= self._deadline:
            self._end_early("timed_out", f"timeout of {self._order.timeout:g} s{self._stopped()}")
        elif self._limits.watched and now >= self._next_look:
            self._next_look = now + limits.LOOK
            if excess := self._limits.excess():
                self._end_early("failed", excess)

    def _leaves_background(self) -> bool:
        return self._order.keep_background and self._state == RUNNING

    def _end_early(self, status: str, reason: str, grace: float | None = None) -> None:
        """End the command before it ends itself; the first cause is kept. A shorter
        ``grace`` than the one that runs takes its place.
        """
        if self._status is None and self._exit is None:
            self._status, self._reason = status, reason
        if self._state == RUNNING:
            self._ask()
        if self._state == ASKED and grace is not None:
            self._deadline = min(self._deadline, time.monotonic() + grace)

    def _ask(self) -> None:
        self._state = ASKED
        self._deadline = time.monotonic() + self._order.kill_grace
        self._remains.terminate()

    @property
    def _remains(self) -> Remains:
        return Remains(self._command)

    def _finish(self) -> None:
        for descriptor in list(self._streams):
            size = 0
            while size < READ * 2 and self._read(descriptor):
                size += READ // 16
        if self._failure_pipe is not None:
            self._read_failure()
        if not self._end_sent:
            self._send_end(None)
        self._cgroup.remove()
        self._state = ENDED

    def _send_end(self, left: str | None) -> None:
        self._end_sent = True
        self._send_output(*self._output.close())
        status, reason = self._verdict()
        reason = "; ".join(filter(None, (reason, left))) or None
        self._send(
            "end",
            {
                "status": status,
                "reason": reason,
                "exit_code": self._exit if not self._failure and _is_code(self._exit) else None,
                "signal": -self._exit if self._exit and not _is_code(self._exit) else None,
                "peak_memory": limits.peak_memory(),
                "cpu_time": limits.cpu_time(),
                "dropped_bytes": self._output.dropped,
                "duration": self._ended_at - self._began,
            },
        )

    def _verdict(self) -> tuple[str, str | None]:
        if self._failure:
            return "failed", child.failure_in(self._failure)
        if self._status is not None:
            return self._status, self._reason
        if self._exit == 0:
            number = self._background
            processes = "process" if number == 1 else "processes"
            return (
                "succeeded",
                f"ended {number:,} {processes} in the background" if number else None,
            )
        return "failed", describe_exit(self._exit or 0)

    def _stopped(self) -> str:
        if self._stopped_by is None:
            return ""
        return f"; it was stopped by {_signal_name(self._stopped_by)}"

    # the node

    def _exchange(self) -> None:
        assert self._control is not None
        try:
            if self._outgoing:
                del self._outgoing[: os.write(self._control, self._outgoing[:READ])]
            data = os.read(self._control, READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        for message in self._frames.feed(data):
            self._receive(message)
        if not data:
            self._lose_node()

    def _lose_node(self) -> None:
        """The node has ended. A process that it forked may hold the socket open."""
        if self._control is not None:
            self._poller.unregister(self._control)
            self._control = None
        self._outgoing.clear()
        self._end_early("killed", "its node ended")

    def _send_output(
        self, discard: tuple[int, int] | None, chunks: list[tuple[int, str, bytes]]
    ) -> None:
        if discard is not None:
            self._send("discard", *discard)
        if chunks:
            self._send("chunks", chunks)

    def _send(self, *message: object) -> None:
        if self._control is not None:
            self._outgoing += frame(*message)

    def _register_control(self) -> None:
        if self._control is not None:
            writes = select.POLLOUT if self._outgoing else 0
            self._poller.register(self._control, select.POLLIN | writes)

    def _wait(self) -> float:
        """Milliseconds until something is due."""
        now = time.monotonic()
        due = [now + PARENT_LOOK]
        if (flush := self._output.flush_at) is not None and not self._end_sent:
            due.append(flush)
        if self._state in {RUNNING, ASKED}:
            due.append(self._deadline)
        if self._state == RUNNING and self._limits.watched:
            due.append(self._next_look)
        if self._state == KILLED:
            due.append(self._next_kill)
        return max(0.0, (min(due) - now) * 1_000)

    def _receive_signals(self) -> int:
        """Let signals end the wait of the loop; SIGTERM ends the command too."""
        wake_up, written = os.pipe()
        for descriptor in (wake_up, written):
            child.set_nonblocking(descriptor)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        signal.signal(signal.SIGUSR1, _ignore)
        signal.signal(
            signal.SIGTERM, lambda *_: self._end_early("killed", "its supervisor was terminated")
        )
        self._poller.register(wake_up, select.POLLIN)
        return wake_up


def describe_exit(code: int) -> str:
    """An exit status, or minus a signal, as text."""
    if code < 0:
        return f"ended by {_signal_name(-code)}"
    hint = {126: ", not executable", 127: ", command not found"}.get(code, "")
    if code > 128 and not hint and (name := _signal_name(code - 128)).startswith("SIG"):
        hint = f", as after {name}"
    return f"exit status {code}{hint}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _is_code(status: int | None) -> bool:
    return status is not None and status >= 0


def _ignore(*_: object) -> None:
    """Only wake the loop up."""


def _widen(pipe: int) -> None:
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, READ)
        except OSError:
            return
