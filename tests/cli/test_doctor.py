"""``elihu doctor`` on a healthy cluster and on broken ones: each is named, with what to
do.
"""

import sqlite3
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from elihu import Elihu
from elihu.cli.diagnosis import CHECKS, Finding, diagnose
from elihu.commands.models import Variable
from elihu.engines.protocol import Engine
from elihu.engines.sqlite import diagnosis as sqlite_diagnosis
from elihu.orm.sessions import Sessions, now
from elihu.testing import AppUnderTest
from elihu.testing.postgres import PostgresServer
from tests.cli.shell import Shell

ON_SQLITE = pytest.mark.parametrize("elihu_database_url", ["sqlite"], indirect=True)


@pytest.fixture(params=["sqlite", "postgres"])
def elihu_database_url(request: pytest.FixtureRequest) -> str:
    """Each test runs once on each engine."""
    if request.param == "postgres":
        return str(request.getfixturevalue("shared_postgres_url"))
    return f"sqlite:///{request.getfixturevalue('tmp_path')}/elihu.db"


@pytest.fixture
async def engine(elihu_app: AppUnderTest) -> AsyncIterator[Engine]:
    """The engine that ``node`` registers nodes with."""
    yield await elihu_app._clients.client().ready()
    await elihu_app.aclose()


async def node(engine: Engine, *, leads: bool = True, **info: object) -> str:
    """Register a node, as one that runs."""
    name = str(uuid.uuid4())
    given = {"queues": {"default": 2}, "tasks": ["note"], "pid": 1, "host": "here", **info}
    await engine.register_node(name, "here", given)
    if leads:
        assert await engine.lead(name, 60.0)
    return name


async def found(app: Elihu, name: str, state: str) -> Finding:
    """The finding of a check, which has this state; every other check is well."""
    findings = {finding.check: finding for finding in await diagnose(app)}
    finding = findings.pop(name)
    assert finding.state == state, finding
    assert {each.state for each in findings.values()} <= {"ok", "skipped"}, findings
    if state != "ok":
        assert finding.advice
    return finding


async def test_a_healthy_cluster(elihu_app: AppUnderTest) -> None:
    @elihu_app.task(name="note")
    async def note() -> None: ...

    async with elihu_app.running():
        await note.using(delay="1h").aenqueue()
        findings = await diagnose(elihu_app)
    assert [finding.check for finding in findings] == ["database", "tables", *CHECKS]
    assert {finding.state for finding in findings} <= {"ok", "skipped"}, findings
    skipped = [finding.check for finding in findings if finding.state == "skipped"]
    sqlite = elihu_app.config.database_url.startswith("sqlite")
    assert skipped == (["connections"] if sqlite else []) + ["secrets"]


async def test_no_leader(elihu_app: AppUnderTest, engine: Engine) -> None:
    await node(engine, leads=False)
    assert "none leads" in (await found(elihu_app, "leader", "failed")).text


async def test_no_node(elihu_app: AppUnderTest, engine: Engine) -> None:
    assert "elihu start" in str((await found(elihu_app, "leader", "warning")).advice)


async def test_a_dead_node_that_no_other_removes(elihu_app: AppUnderTest, engine: Engine) -> None:
    dead = await node(engine)
    await elihu_app.aclose()
    if engine.name == "postgres":
        with psycopg.connect(elihu_app.config.database_url) as connection:
            connection.execute(
                f"UPDATE \"{elihu_app.config.schema}\".node SET beat_at = now() - interval '1 hour'"
            )
    findings = {each.check: each for each in await diagnose(elihu_app)}
    assert (findings["leader"].state, findings["nodes"].state) == ("warning", "failed")
    assert f"here ({dead[:8]})" in findings["nodes"].text
    assert "no node runs" in findings["leader"].text
    assert await elihu_app.nodes.list() == []
    assert [queue.nodes for queue in await elihu_app.queues.list()] == [()]


@pytest.mark.parametrize(("seconds", "state"), [(600, "failed"), (2, "warning")])
@ON_SQLITE
async def test_a_clock_that_is_off(
    elihu_app: AppUnderTest, engine: Engine, seconds: float, state: str
) -> None:
    elihu_app.clock.advance(seconds)
    await node(engine)
    finding = await found(elihu_app, "clock", state)
    assert "ahead of this machine's" in finding.text
    assert "NTP" in str(finding.advice)


async def test_swallowed_notifications(
    shared_postgres_url: str, postgres_server: PostgresServer, request: pytest.FixtureRequest
) -> None:
    """The listening connection leads to another database, as behind a pooler it might."""
    elsewhere = postgres_server.url
    app = Elihu(shared_postgres_url, schema="swallowed", listen_url=elsewhere)
    await app.migrate()
    await node(await app._clients.client().ready())
    finding = await found(app, "notifications", "failed")
    assert "listen_url" in str(finding.advice)
    await app.aclose()


async def test_an_old_schema(elihu_app: AppUnderTest) -> None:
    schema = elihu_app.config.schema
    await elihu_app.aclose()
    old = "UPDATE {}meta SET value = '1' WHERE key = 'schema_version'"
    if elihu_app.config.database_url.startswith("sqlite"):
        with sqlite3.connect(elihu_app.config.database_url.removeprefix("sqlite:///")) as opened:
            opened.execute(old.format(""))
        opened.close()
    else:
        with psycopg.connect(elihu_app.config.database_url) as connection:
            connection.execute(old.format(f'"{schema}".'))
    findings = await diagnose(elihu_app)
    assert [(each.check, each.state) for each in findings[:2]] == [
        ("database", "ok"),
        ("tables", "failed"),
    ]
    assert "elihu migrate" in str(findings[1].advice)
    assert {each.state for each in findings[2:]} == {"skipped"}


@ON_SQLITE
async def test_abandoned_threads(elihu_app: AppUnderTest, engine: Engine) -> None:
    await node(engine, abandoned=8)
    finding = await found(elihu_app, "abandoned", "failed")
    assert "here: 8" in finding.text
    assert "time limits" in str(finding.advice)
    await engine.deregister_node((await engine.nodes())[0].id)
    await node(engine, abandoned=1)
    await found(elihu_app, "abandoned", "warning")


@pytest.mark.parametrize(
    ("served", "paused", "text"),
    [
        ({"default": 2}, False, "beside 2 free slots (restart its nodes)"),
        ({"mail": 2}, False, "no node serves it (elihu start --queues default=10"),
        ({"default": 0}, False, "all slots are taken"),
        ({"default": 2}, True, "it is paused (elihu queues resume default)"),
    ],
    ids=["stuck", "unserved", "full", "paused"],
)
@ON_SQLITE
async def test_a_stuck_queue(
    elihu_app: AppUnderTest, engine: Engine, served: dict[str, int], paused: bool, text: str
) -> None:
    @elihu_app.task(name="note")
    async def note() -> None: ...

    if paused:
        await elihu_app.queues.pause("default")
    await note.aenqueue()
    elihu_app.clock.advance(600)
    await node(engine, queues=served)
    findings = {finding.check: finding for finding in await diagnose(elihu_app)}
    assert findings["queues"].state == "failed"
    assert text in findings["queues"].text
    assert "default: 1 jobs wait up to 600 s" in findings["queues"].text


async def test_unknown_tasks(elihu_app: AppUnderTest, engine: Engine) -> None:
    @elihu_app.task(name="gone")
    async def gone() -> None: ...

    await gone.aenqueue()
    await node(engine)
    other = Elihu(elihu_app.config.database_url, schema=elihu_app.config.schema)
    finding = await found(other, "tasks", "failed")
    assert "gone (1 jobs)" in finding.text
    assert "aliases" in str(finding.advice)
    await other.aclose()


async def test_full_connections(new_postgres_url: str) -> None:
    """The database has a limit of its own, below that of the server."""
    app = Elihu(new_postgres_url)
    await app.migrate()
    await node(await app._clients.client().ready())
    with psycopg.connect(new_postgres_url, autocommit=True) as connection:
        name = new_postgres_url.rpartition("/")[2]
        connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 2")
        finding = await found(app, "connections", "failed")
    assert finding.text.endswith("of 2 are in use")
    assert "max_connections" in str(finding.advice)
    await app.aclose()


@ON_SQLITE
async def test_a_network_file_system(
    elihu_app: AppUnderTest, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(elihu_app.config.database_url.removeprefix("sqlite:///"))
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {path.parent} nfs4 rw 0 0\nbroken\n")
    monkeypatch.setattr(sqlite_diagnosis, "MOUNTS", mounts)
    await node(engine)
    finding = await found(elihu_app, "storage", "failed")
    assert "(nfs4)" in finding.text
    assert "local disk" in str(finding.advice)


async def test_a_missing_key(elihu_app: AppUnderTest, engine: Engine) -> None:
    await elihu_app.migrate("commands")
    await node(engine)
    assert "none is stored" in (await found(elihu_app, "secrets", "ok")).text
    sessions = Sessions(elihu_app)
    async with sessions.begin() as session:
        moment = await now(session)
        session.add(Variable(name="TOKEN", secret="1.key.x", created_at=moment, updated_at=moment))
    await sessions.aclose()
    finding = await found(elihu_app, "secrets", "failed")
    assert "ELIHU_SECRET_KEY" in str(finding.advice)


async def test_a_database_that_does_not_answer() -> None:
    app = Elihu("postgresql://127.0.0.1:1/nothing", call_timeout=1)
    findings = await diagnose(app)
    assert [(each.check, each.state) for each in findings[:2]] == [
        ("database", "failed"),
        ("tables", "skipped"),
    ]
    await app.aclose()


def test_the_command_and_its_exit_status(bare: Shell) -> None:
    bare.environ["ELIHU_DATABASE_URL"] = f"sqlite:///{bare.folder}/x.db"
    absent = bare.run("doctor")
    assert (absent.returncode, absent.stderr.count("elihu migrate")) == (1, 1)
    bare("migrate")
    done = bare.run("doctor")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].split() == ["check", "state", "found"]
    assert 'elihu: leader: start one with "elihu start"' in done.stderr
    report: Any = bare.json("doctor")
    assert report["healthy"] is True
    assert report["checks"][0]["check"] == "database"
    assert bare.run("doctor", "--strict").returncode == 1
