"""How a command ends is in its end, and nothing of it is left."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from elihu import InvalidOption
from elihu.commands.runner import CommandRun, RunEnd, start
from tests.commands.runner.support import GRACE, Run, ended, until

SLEEPS = "sleep 60"


def facts(end: RunEnd) -> tuple[Any, ...]:
    return end.status, end.reason, end.exit_code, end.signal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", ("succeeded", None, 0, None)),
        ("exit 3", ("failed", "exit status 3", 3, None)),
        ("nosuchprogram", ("failed", "exit status 127, command not found", 127, None)),
        ("/etc/passwd", ("failed", "exit status 126, not executable", 126, None)),
        ("kill -SEGV $$", ("failed", "ended by SIGSEGV", None, signal.SIGSEGV)),
        ("sh -c 'kill $$'; exit $?", ("failed", "exit status 143, as after SIGTERM", 143, None)),
    ],
)
async def test_exit(text: str, expected: tuple[Any, ...]) -> None:
    end, _ = await ended(text)
    assert facts(end) == expected


async def test_a_full_disk() -> None:
    end, sink = await ended("cat /etc/passwd > /dev/full")
    assert facts(end) == ("failed", "exit status 1", 1, None)
    assert b"No space left on device" in sink.err


async def test_a_missing_working_directory() -> None:
    end, _ = await ended("true", working_directory="/nowhere/at all")
    reason = "working directory '/nowhere/at all': No such file or directory"
    assert facts(end) == ("failed", reason, None, None)


async def test_a_working_directory(tmp_path: Path) -> None:
    _, sink = await ended("pwd", working_directory=str(tmp_path))
    assert sink.out.decode() == f"{tmp_path}\n"


async def test_a_missing_shell() -> None:
    end, _ = await ended("true", shell="/bin/nosuchshell")
    assert facts(end) == ("failed", "/bin/nosuchshell: No such file or directory", None, None)


async def test_a_missing_program() -> None:
    end, _ = await ended("nosuchprogram --help", mode="argv")
    assert facts(end) == (
        "failed",
        "program 'nosuchprogram': No such file or directory",
        None,
        None,
    )


async def test_a_value_that_no_environment_holds() -> None:
    end, _ = await ended("true", variables={"NAME": "a\0b"})
    assert (end.status, end.exit_code) == ("failed", None)
    assert end.reason
    assert "null byte" in end.reason


async def test_arguments_are_not_seen_by_a_shell() -> None:
    text = "printf '%s|' $NAME \"${NAME} b\" '$NAME' $HOME *"
    _, sink = await ended(text, mode="argv", variables={"NAME": "a; b"})
    assert sink.out == b"a; b|a; b b|a; b|$HOME|*|"


async def test_a_command_that_cannot_be_split() -> None:
    with pytest.raises(InvalidOption, match="no closing quotation"):
        await Run("echo 'a", mode="argv").end()


async def test_the_shell_expands_variables() -> None:
    _, sink = await ended('printf "%s" "$NAME"', variables={"NAME": '$(id); "'})
    assert sink.out == b'$(id); "'


async def test_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("SECRET_OF_THE_NODE", "x")
    monkeypatch.setenv("PYTHONPATH", "/x")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/x")
    monkeypatch.setenv("ELIHU_NODE_NAME", "x")
    end, sink = await ended(
        "umask; cat; ls -l /proc/self/fd | wc -l; env",
        variables={"A": "b"},
        pass_environment=["SSH_AUTH_SOCK", "UNKNOWN"],
    )
    umask, descriptors, *environment = sink.out.decode().split("\n")
    assert end.status == "succeeded"
    assert umask == "0077"
    # The total, three standard streams and the folder that ls reads.
    assert int(descriptors) == 5
    names = {line.partition("=")[0] for line in environment if line}
    assert {"A", "PATH", "LC_TIME", "SSH_AUTH_SOCK"} <= names
    assert not names & {"SECRET_OF_THE_NODE", "PYTHONPATH", "UNKNOWN"}
    assert [name for name in names if name.startswith("ELIHU_")] == ["ELIHU_STARTED_BY"]


async def test_signals_are_as_a_program_expects() -> None:
    _, sink = await ended("grep -E 'SigBlk|SigIgn' /proc/self/status; yes | head -n 1")
    assert [line.split()[1] for line in sink.out.decode().splitlines()[:2]] == ["0" * 16] * 2


async def test_timeout() -> None:
    end, _ = await ended(SLEEPS, timeout=0.2)
    assert facts(end) == ("timed_out", "timeout of 0.2 s", None, signal.SIGTERM)
    assert 0.2 <= end.duration < 10


async def test_an_ignored_sigterm() -> None:
    end, sink = await ended(
        "trap '' TERM; echo ready; while true; do sleep 0.05; done", timeout=0.5
    )
    assert facts(end) == ("timed_out", "timeout of 0.5 s", None, signal.SIGKILL)
    assert end.duration >= 0.5 + GRACE
    assert sink.out == b"ready\n"


async def test_a_command_cleans_up_in_its_grace() -> None:
    text = "trap 'sleep 0.1; echo bye; exit 9' TERM; echo ready; sleep 60 & wait"
    end, sink = await ended(text, timeout=0.5, kill_grace=20.0)
    assert facts(end) == ("timed_out", "timeout of 0.5 s", 9, None)
    assert sink.out == b"ready\nbye\n"


async def test_a_command_that_stops_itself() -> None:
    end, _ = await ended("kill -STOP $$; echo continued", timeout=0.4)
    reason = "timeout of 0.4 s; it was stopped by SIGSTOP"
    assert (end.status, end.reason) == ("timed_out", reason)


async def test_a_command_that_closes_its_streams_runs_to_its_end(tmp_path: Path) -> None:
    end, sink = await ended(f"echo a; exec >&- 2>&-; sleep 0.2; : > {tmp_path}/done; exit 4")
    assert facts(end) == ("failed", "exit status 4", 4, None)
    assert sink.out == b"a\n"
    assert (tmp_path / "done").exists()


DOUBLE_FORK = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
os.wait()
"""
IGNORES = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(60)"

LEFT_BEHIND = {
    "background": "sleep 60 &",
    "nohup": "nohup sleep 60 &",
    "setsid": "setsid sleep 60 &",
    "double fork": f"{sys.executable} -c '{DOUBLE_FORK}'",
    "many": "for i in 1 2 3 4 5 6 7 8 9; do (sleep 60 & sleep 60) & done",
    "ignores": f"setsid {sys.executable} -c '{IGNORES}' & sleep 0.3",
    "stopped": "sleep 60 & kill -STOP $!",
}


@pytest.mark.parametrize("cgroup", [True, False], ids=["cgroup", "no cgroup"])
@pytest.mark.parametrize("kind", LEFT_BEHIND)
async def test_what_a_finished_command_leaves_is_ended(kind: str, cgroup: bool) -> None:
    end, _ = await ended(f"{LEFT_BEHIND[kind]}\necho done", cgroup=cgroup)
    assert (end.status, end.exit_code) == ("succeeded", 0)
    assert end.reason
    assert "in the background" in end.reason
    assert end.duration < 10


@pytest.mark.parametrize("kind", LEFT_BEHIND)
async def test_a_timeout_ends_the_whole_tree(kind: str) -> None:
    end, _ = await ended(f"{LEFT_BEHIND[kind]}\nsleep 60", timeout=0.6)
    assert end.status == "timed_out"


FLOOD = """
import os
for _ in range(20):
    if os.fork() == 0:
        break
while True:
    if os.fork():
        os._exit(0)
    {}
"""


@pytest.mark.parametrize("cgroup", [True, False], ids=["cgroup", "no cgroup"])
@pytest.mark.parametrize("session", ["pass", "os.setsid()"])
async def test_a_flood_of_processes_is_ended(cgroup: bool, session: str) -> None:
    end, _ = await ended(
        f"{sys.executable} -c '{FLOOD.format(session)}'; sleep 60", timeout=0.6, cgroup=cgroup
    )
    assert end.status == "timed_out"


async def test_what_is_left_in_the_background_can_be_kept() -> None:
    run = Run("sleep 60 > /dev/null 2>&1 &", keep_background=True)
    end = await run.end()
    (left,) = run.left
    os.kill(left, signal.SIGKILL)
    assert facts(end) == ("succeeded", None, 0, None)


async def test_a_timeout_ends_what_could_be_kept() -> None:
    end, _ = await ended("sleep 60 & sleep 60", keep_background=True, timeout=0.3)
    assert end.status == "timed_out"


@pytest.mark.parametrize("cgroup", [True, False], ids=["cgroup", "no cgroup"])
async def test_a_killed_supervisor(cgroup: bool) -> None:
    text = f"setsid {sys.executable} -c '{IGNORES}' & sleep 0.3; kill -KILL $PPID; sleep 60"
    end, _ = await ended(text, cgroup=cgroup)
    assert end.status == "failed"
    assert end.reason
    assert "supervisor was ended by SIGKILL" in end.reason
    assert end.duration > 0


async def test_what_cannot_be_ended_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    begins = "from elihu.commands.runner.supervisor import main"
    helpless = """
from elihu.commands.runner import remains, supervisor
remains.Remains.kill = lambda self: None
supervisor.UNKILLABLE = 0.1
"""
    assert begins in start._BOOT
    monkeypatch.setattr(start, "_BOOT", start._BOOT.replace(begins, f"{helpless}{begins}"))
    monkeypatch.setattr(sys.modules[CommandRun.__module__], "EXIT_BOUND", 0.1)
    run = Run("trap '' TERM; while :; do sleep 0.05; done", timeout=0.3, cgroup=False)
    try:
        end = await run.end()
        assert (end.status, end.exit_code, end.signal) == ("timed_out", None, None)
        assert end.reason
        assert "of its processes did not end when they were killed" in end.reason
        assert end.duration >= 0.3 + GRACE
    finally:
        for pid in run.left:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: run.left == [])
        await run.gone()


async def test_a_terminated_supervisor() -> None:
    end, _ = await ended("kill -TERM $PPID; sleep 60")
    assert (end.status, end.reason) == ("killed", "its supervisor was terminated")
