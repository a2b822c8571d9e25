"""The supervisor starts, restarts and stops node processes."""

import asyncio
import sys
from collections.abc import Sequence

import pytest

from elihu.cli import supervisor as module
from elihu.cli.signals import StopSignals
from elihu.cli.supervisor import Supervisor, command_of
from tests.cli.shell import BOUND, Shell


class StatusRecorder:
    """Records the status lines of a supervisor whose processes are Python scripts.

    A test calls ``signals.received()`` in place of a real signal.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.signals = StopSignals("", lambda: None, stop_now_notice="")
        self.signals.enabled = True
        self._changed = asyncio.Event()

    def supervisor(self, script: str, processes: int = 1) -> Supervisor:
        """A supervisor of processes that run ``script``, where the socket is ``link``."""

        def command(supervised: str) -> Sequence[str]:
            number, _, descriptor = supervised.partition(":")
            start = (
                "import os, signal, socket, sys, time; "
                f"link = socket.socket(fileno={descriptor}); number = {number}; "
            )
            return [sys.executable, "-I", "-S", "-c", start + script]

        return Supervisor(command, processes, grace=0.0, print_status=self._print_status)

    async def until(self, text: str, number: int = 1) -> None:
        async with asyncio.timeout(BOUND):
            while sum(text in line for line in self.lines) < number:
                self._changed.clear()
                await self._changed.wait()

    def _print_status(self, line: str) -> None:
        self.lines.append(line)
        self._changed.set()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide all delays by 100."""
    for name in (
        "FIRST_DELAY",
        "LONGEST_DELAY",
        "STOP_MARGIN",
        "READ_AFTER_EXIT",
        "STOP_NOW_TIMEOUT",
    ):
        monkeypatch.setattr(module, name, getattr(module, name) / 100)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            ["python3", "-m", "elihu", "start", "--processes", "4"],
            ["-m", "elihu", "start", "--supervised=1:7"],
        ),
        (
            [
                "python3",
                "/venv/bin/elihu",
                "--app",
                "a:b",
                "up",
                "--processes=2",
                "--queues",
                "a=1",
            ],
            ["/venv/bin/elihu", "--app", "a:b", "up", "--supervised=1:7", "--queues", "a=1"],
        ),
        (
            ["python3", "-X", "utf8", "elihu", "start", "--processes"],
            ["-X", "utf8", "elihu", "start", "--supervised=1:7"],
        ),
    ],
)
def test_command_line_of_a_node_process(given: list[str], expected: list[str]) -> None:
    assert command_of(given, "1:7") == [sys.executable, *expected]


async def test_restart_delay_grows_after_quick_exits(pauses: None) -> None:
    recorder = StatusRecorder()
    running = asyncio.create_task(recorder.supervisor("sys.exit(3)").run(recorder.signals))
    await recorder.until("exited with status 3; restarting in", 3)
    recorder.signals.received()
    assert await running == 0
    assert [line.rpartition(" in ")[2] for line in recorder.lines if "restarting" in line][:3] == [
        "0.005 s",
        "0.01 s",
        "0.02 s",
    ]


async def test_stable_process_restarts_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STABLE_AFTER", 0.0)
    recorder = StatusRecorder()
    running = asyncio.create_task(
        recorder.supervisor("os.kill(os.getpid(), signal.SIGKILL)").run(recorder.signals)
    )
    await recorder.until("was killed by SIGKILL; restarting", 2)
    recorder.signals.received()
    assert await running == 0
    assert not any(" in " in line for line in recorder.lines)


async def test_command_that_fails_to_start_is_retried(pauses: None) -> None:
    recorder = StatusRecorder()
    running = asyncio.create_task(
        Supervisor(lambda _: ["/nonesuch"], 1, grace=0.0, print_status=recorder._print_status).run(
            recorder.signals
        )
    )
    await recorder.until("1 failed to start: No such file or directory; restarting in", 2)
    recorder.signals.received()
    assert await running == 0


async def test_supervisor_gives_up_if_no_process_can_start(pauses: None) -> None:
    recorder = StatusRecorder()
    async with asyncio.timeout(BOUND):
        assert (
            await recorder.supervisor("link.send(b'c'); sys.exit(1)", 3).run(recorder.signals) == 1
        )
    assert recorder.lines[-1] == "no process could start"


async def test_supervisor_keeps_trying_once_one_was_ready(pauses: None) -> None:
    recorder = StatusRecorder()
    running = asyncio.create_task(
        recorder.supervisor("link.send(b'rc'); sys.exit(1)", 2).run(recorder.signals)
    )
    await recorder.until("restarting", 8)
    recorder.signals.received()
    assert await running == 0


async def test_process_that_does_not_stop_is_killed(pauses: None) -> None:
    recorder = StatusRecorder()
    running = asyncio.create_task(
        recorder.supervisor("link.send(b'r'); time.sleep(600)", 2).run(recorder.signals)
    )
    await recorder.until("2 started")
    recorder.signals.received()
    async with asyncio.timeout(BOUND):
        assert await running == 1
    assert sum("did not stop in time, killing it" in line for line in recorder.lines) == 2


async def test_both_signals_are_forwarded() -> None:
    recorder = StatusRecorder()
    running = asyncio.create_task(
        recorder.supervisor("link.recv(2, socket.MSG_WAITALL) == b'sn' or time.sleep(600)").run(
            recorder.signals
        )
    )
    await recorder.until("1 started")
    recorder.signals.received()
    recorder.signals.request_stop_now()
    async with asyncio.timeout(BOUND):
        assert await running == 0


def test_invalid_numbers_of_processes(bare: Shell) -> None:
    bare.environ["ELIHU_APP"] = "shop:app"
    for number in ("0", "-1", "1001", "two", "1.5"):
        assert "Invalid value for '--processes'" in bare.refused(
            "start", "--processes", number, status=2
        )
    assert "--supervised: expected NUMBER:DESCRIPTOR from a supervisor, got 'x'" in bare.refused(
        "start", "--supervised", "x", status=2
    )
    assert "--supervised" not in bare("start", "--help")
