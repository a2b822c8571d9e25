"""``elihu jobs kill`` and ``stop`` with a node in another process."""

import signal

import pytest

from tests.cli.shell import Shell

pytestmark = pytest.mark.sqlite_first

WORKS = """
import asyncio
from elihu import Context, Elihu

app = Elihu(kill_grace=0.1, grace=0.1, heartbeat=0.2)


@app.task(name="endless", max_attempts=1)
async def endless() -> None:
    print("endless begins", flush=True)
    await asyncio.Event().wait()


@app.task(name="told")
async def told(*, ctx: Context) -> None:
    print("told begins", flush=True)
    await ctx.wait_cancelled()
    print("told ends", flush=True)


@app.task(name="stubborn", max_attempts=1, timeout=0.1)
async def stubborn() -> None:
    print("stubborn begins", flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("stubborn goes on", flush=True)
"""


@pytest.fixture
def works(shell: Shell) -> Shell:
    (shell.folder / "works.py").write_text(WORKS)
    shell.environ["ELIHU_APP"] = "works:app"
    shell("migrate")
    return shell


def test_kill_and_stop_from_another_process(works: Shell) -> None:
    node = works.begin("start")
    works("enqueue", "endless")
    node.wait_for("endless begins")
    assert works("jobs", "kill", "1") == "killing 1 running job\n"
    works("enqueue", "told")
    node.wait_for("told begins")
    assert works("jobs", "stop", "2") == "job 2 stopped and available again\n"
    node.wait_for("told ends")
    if node.seen.count("told begins\n") < 2:
        node.wait_for("told begins")
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    job = works.json("jobs", "show", "1")
    assert (job["state"], job["reason"]) == ("discarded", "killed")
    assert [run["outcome"] for run in works.json("jobs", "runs", "1")] == ["killed"]
    assert [run["outcome"] for run in works.json("jobs", "runs", "2")] == ["stopped", "returned"]


def test_abandoned_attempt_does_not_delay_the_stop(works: Shell) -> None:
    node = works.begin("start")
    works("enqueue", "stubborn")
    node.wait_for("stubborn goes on")
    works("enqueue", "endless")
    node.wait_for("endless begins")
    works("jobs", "kill", "2")
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    assert "attempt 1 is abandoned" in node.errors
    assert "destroyed" not in node.errors
    assert works.json("jobs", "show", "1")["reason"] == "timeout: ran longer than 0.1 s"


def test_refused_kill_and_stop(works: Shell) -> None:
    assert "expected ids or a filter" in works.refused("jobs", "kill", status=2)
    assert works.refused("jobs", "kill", "1", status=1) == "elihu: no job killed: job 1 not found\n"
    assert works.refused("jobs", "stop", "1", status=1) == "elihu: job 1 not found\n"
    works("enqueue", "endless", "--timeout", "1m", "--expires", "90")
    assert (
        works.refused("jobs", "kill", "1", status=1)
        == "elihu: no job killed: job 1 is available, kill does not apply\n"
    )
    assert "got job 1, which is available" in works.refused("jobs", "stop", "1", status=1)
    assert works("jobs", "kill", "--queue", "default") == "killing 0 running jobs\n"
    assert works.json("jobs", "kill", "--queue", "default") == {"killing": 0}
    for flag in ("--timeout", "--expires"):
        assert f"{flag}: expected at least a millisecond" in works.refused(
            "enqueue", "endless", flag, "0", status=2
        )
