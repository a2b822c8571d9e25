"""The comparison with other queues: Elihu and plain SQL through the protocol that the peers'
programs follow, and what needs no contestant. The peers need the network, and are not run here.
"""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.bounds import ROWS
from bench.compare.__main__ import main
from bench.compare.bounds import BOUNDS
from bench.compare.comparison import Comparison
from bench.compare.contestants import BOUND, CONTESTANTS, ELIHU, PEERS, PLAIN_SQL
from bench.compare.environments import Unavailable, find_python
from bench.compare.measure import Figures, drain, insert
from bench.compare.processes import Failed, Side, program
from bench.compare.programs import own_tables, protocol
from bench.compare.programs.protocol import new_tally
from bench.compare.servers import Sqlite, redis_server
from bench.compare.subjects import DEFAULT, SUBJECTS, cases

OWN = dict.fromkeys((ELIHU, PLAIN_SQL), sys.executable)


async def test_elihu_executes_each_job_once(tmp_path: Path) -> None:
    figures = await drain(Side(ELIHU, Sqlite(tmp_path)), jobs=40, slots=10)
    assert figures["jobs/s"] > 0


async def test_plain_sql_stores_the_jobs_of_all_callers(tmp_path: Path) -> None:
    figures = await insert(Side(PLAIN_SQL, Sqlite(tmp_path)), jobs=12, callers=3)
    assert figures["jobs/s"] > 0


async def test_a_measurement_that_fails_is_named_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def measured(side: Side) -> Figures:
        if side.contestant is ELIHU:
            raise Failed("no table")
        return {"jobs/s": 1.0}

    case = replace(cases("bulk")[1], measure=measured)
    monkeypatch.setitem(SUBJECTS, "bulk", lambda _count: [case])
    comparison = Comparison(rounds=2, most_jobs=None)
    await comparison.measure(["bulk"], {"sqlite": Sqlite(tmp_path)}, OWN)
    assert [(figure.of, figure.round) for figure in comparison.figures] == [
        ("limit", 1),
        ("limit", 2),
    ]
    assert comparison.failed
    assert comparison.described().left_out == [
        f"bulk (sqlite), round {number}, elihu: no table" for number in (1, 2)
    ]


async def test_elihu_is_measured_beside_its_bounds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ["100,000 due jobs staged", "drain beside 1,000,000 finished jobs"]
    some = [each for each in cases("bounds", 12) if each.engine == "sqlite"]
    some = [each for each in some if each.subject in names]
    monkeypatch.setitem(SUBJECTS, "bounds", lambda _count: some)
    comparison = Comparison(rounds=1, most_jobs=12)
    sides = {ELIHU: sys.executable, BOUND: sys.executable}
    await comparison.measure(["bounds"], {"sqlite": Sqlite(tmp_path)}, sides)
    assert not comparison.failed
    assert [(figure.subject, figure.of) for figure in comparison.figures] == [
        (name, of) for name in names for of in ("elihu", "bound")
    ]


def test_each_bound_is_measured() -> None:
    assert {each.name for each in BOUNDS} == {each.subject for each in cases("bounds")}
    assert len(ROWS) + 2 == len(BOUNDS)


async def test_jobs_that_are_not_stored_are_an_error(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bench.db"
    await own_tables.install(url)
    with pytest.raises(RuntimeError, match="expected 1, got 0"):
        await protocol.expect(own_tables, url, 1)


async def test_a_program_that_fails_is_named_with_its_last_words() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no table')"]
    async with program(command) as running:
        with pytest.raises(Failed, match="no table"):
            await running.line()


async def test_the_end_of_a_measurement_ends_all_its_processes() -> None:
    sleep = "import time; time.sleep(600)"
    start = f"""import subprocess, sys
print(subprocess.Popen([sys.executable, '-c', {sleep!r}]).pid, flush=True)
{sleep}"""
    async with program([sys.executable, "-c", start]) as running:
        pids = [running.pid, int(await running.line())]
    async with asyncio.timeout(30):
        while any(alive(pid) for pid in pids):  # noqa: ASYNC110 (another process ends)
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Neither ended nor a zombie whose new parent has not looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_tally_counts_in_all_processes() -> None:
    with new_tally() as tally:
        tally.add(2)
        child = os.fork()
        if not child:
            tally.add(3)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert tally.started() == 5
        assert tally.seconds() > 0


def test_a_python_that_does_not_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, name, text in (
        ("a", "python3.13", "exit 127"),
        ("b", "python3.12", f'exec "{sys.executable}" "$@"'),
    ):
        path = tmp_path / folder / name
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/a:{tmp_path}/b:/bin:/usr/bin")
    found = find_python()
    assert found.path == f"{tmp_path}/b/python3.12"
    assert found.version == sys.version_info[:3]
    with pytest.raises(Unavailable, match="does not run"):
        find_python(f"{tmp_path}/a/python3.13")


async def test_without_redis_its_peers_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="redis-server"):
        async with redis_server(tmp_path):
            pass


@pytest.mark.parametrize("peer", PEERS, ids=lambda each: str(each.name))
def test_a_peer_is_pinned_and_has_a_program(peer) -> None:
    assert all("==" in requirement for requirement in peer.requirements)
    assert peer.requirements[0].startswith(peer.name)
    folder = Path(protocol.__file__).parent
    text = (folder / f"{peer.name}.py").read_text()
    assert all(f"def {name}(" in text for name in ("install", "bulk", "sender", "pending", "work"))
    assert "elihu" not in text


def test_the_label_says_how_many_jobs_stand_beside() -> None:
    assert [case.setting for case in cases("large", 12)] == [
        "beside 12 finished jobs",
        "beside 12 scheduled jobs",
    ]


def test_each_default_case_has_elihu() -> None:
    for subject in DEFAULT:
        for case in cases(subject):
            assert case.takes_part(CONTESTANTS["elihu"])


@pytest.mark.parametrize("arguments", [["dig"], ["drain", "--rounds", "0"], ["--peers", "dbos"]])
def test_wrong_use(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
