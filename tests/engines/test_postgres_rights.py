"""Rights of the role in the database: the documented ones are enough, and a missing one is
its own error.
"""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from elihu import Elihu, Unique
from elihu.engines.postgres.engine import PostgresEngine
from elihu.engines.protocol import Ack, LateResult, QueueOverride, Wait
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.errors import PermissionDenied
from elihu.job import JobChanges, JobFilter, JobState, NewJob, RunOutcome
from elihu.template import NewTemplate
from tests.engines.postgres_support import engine_on, psql

PAGE = Path(__file__).parents[2] / "docs" / "operate" / "nodes.md"
ANY = JobFilter(state=tuple(JobState))


def documented(role: str) -> str:
    """The GRANTs of the guide, for a role."""
    (found,) = re.findall(r"```sql\n(GRANT USAGE ON SCHEMA.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found).replace("worker", role)


async def worker_url(url: str, *rights: str) -> str:
    """The URL for a new role with these rights."""
    async with psql(url) as connection:
        await connection.execute("DROP ROLE IF EXISTS restricted")
        await connection.execute("; ".join(("CREATE ROLE restricted LOGIN", *rights)))
    return url.replace("postgres@", "restricted@")


async def drop(url: str) -> None:
    async with psql(url) as connection:
        await connection.execute("DROP OWNED BY restricted; DROP ROLE restricted")


async def test_the_documented_rights_are_enough_for_every_verb(postgres_url: str) -> None:
    async with engine_on(postgres_url):
        pass
    url = await worker_url(postgres_url, documented("restricted"))
    node = "00000000-0000-0000-0000-000000000001"
    async with engine_on(url, migrate=False) as engine:
        await engine.check_schema()
        assert await engine.migrate() == []
        await engine.insert([NewJob(task="a"), NewJob(task="b")])
        unique = NewJob(task="c", unique_key=b"k", unique_scope=0, replace=("args",))
        await engine.insert([unique])
        await engine.insert([unique, NewJob(task="d", identifier="i")])
        await engine.register_node(node, "n", {})
        (claim, *_) = (await engine.exchange(node, "default", 10, [])).claims
        ack = Ack(claim.id, claim.claim, RunOutcome.FAILED, JobState.RETRYABLE, 0.0, error="e")
        await engine.record_progress(node, [(claim.id, claim.claim, "{}")])
        await engine.exchange(node, "default", 0, [ack])
        calls: list[Callable[[], Awaitable[Any]]] = [
            engine.installation, engine.nodes, engine.crons, engine.counts,
            lambda: engine.queue_loads(1),
            engine.queue_overrides,
            lambda: engine.ack_statuses(node, [ack]),
            lambda: engine.notify([Signal(SignalKind.JOBS, "default")]),
            lambda: engine.attach([claim.id]),
            lambda: engine.ends([Wait(claim.id, 0, False)], 1_000),
            lambda: engine.add_results([LateResult(claim.id, claim.claim, "1", None, None)]),
            lambda: engine.stage(10), lambda: engine.expire(10), lambda: engine.rescue(10),
            lambda: engine.reconcile(node, [], 0), lambda: engine.intents(node),
            lambda: engine.lost_claims(node, [(1, 1)]), lambda: engine.heartbeat(node),
            lambda: engine.peers(node), lambda: engine.lead(node, 1), lambda: engine.resign(node),
            lambda: engine.update_node_info(node, {}),
            lambda: engine.set_queue(QueueOverride("q", paused=True)),
            lambda: engine.set_queue(QueueOverride("q", node=node, paused=True)),
            lambda: engine.create_cron("e", "{}", False),
            lambda: engine.change_cron("e", 0, "{}", paused=True, anew=True),
            lambda: engine.delete_cron("e", 1), lambda: engine.prune_ticks(0, 10),
            lambda: engine.front("default"), lambda: engine.find_templates(None, None, 10),
            lambda: engine.add_template(TEMPLATE, "r"),
            lambda: engine.change_template(TEMPLATE, "s", "r"),
            lambda: engine.template("t"), lambda: engine.remove_template("t"),
            lambda: engine.update(claim.id, JobChanges(priority=1)),
            lambda: engine.hold(ANY), lambda: engine.release(ANY), lambda: engine.kill(ANY),
            lambda: engine.cancel(ANY), lambda: engine.retry(JobFilter(ids=(claim.id,))),
            lambda: engine.find(ANY, None, 10), lambda: engine.runs(claim.id),
            lambda: engine.position(claim.id), lambda: engine.delete(ANY),
            lambda: engine.remove_silent_nodes(0), lambda: engine.deregister_node(node),
        ]  # fmt: skip
        for call in calls:
            await call()
    async with psql(url) as connection, Elihu(url) as app:

        @app.task(name="t", unique=Unique())
        async def t() -> None: ...

        assert await connection.fetchval("SELECT elihu.enqueue('t')")
        async with connection.transaction():
            await t.using(conn=connection).aenqueue()
    await drop(postgres_url)


TEMPLATE = NewTemplate(
    code="t", name="t", task="t", queue="default", schema="{}", default_timeout=1.0,
    default_max_attempts=1, active=True, display_order=0, synced=None,
)  # fmt: skip

CALLS: dict[str, Callable[[PostgresEngine], Awaitable[Any]]] = {
    "insert": lambda engine: engine.insert([NewJob(task="a")]),
    "unique": lambda engine: engine.insert([NewJob(task="a", unique_key=b"k", unique_scope=0)]),
    "cancel": lambda engine: engine.cancel(ANY),
    "heartbeat": lambda engine: engine.heartbeat("00000000-0000-0000-0000-000000000001"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("rights", [(), ("GRANT USAGE ON SCHEMA elihu TO restricted",)])
async def test_a_missing_right_is_its_own_error(
    postgres_url: str, name: str, rights: tuple[str, ...]
) -> None:
    async with engine_on(postgres_url):
        pass
    url = await worker_url(postgres_url, *rights)
    async with engine_on(url, migrate=False) as engine:
        with pytest.raises(PermissionDenied, match=r"permission denied.*grant the role"):
            await CALLS[name](engine)
    await drop(postgres_url)


async def test_a_role_that_reads_may_read(postgres_url: str) -> None:
    async with engine_on(postgres_url) as engine:
        await engine.insert([NewJob(task="a")])
    reads = (
        "GRANT USAGE ON SCHEMA elihu TO restricted",
        "GRANT SELECT ON ALL TABLES IN SCHEMA elihu TO restricted",
    )
    url = await worker_url(postgres_url, *reads)
    async with engine_on(url, migrate=False) as engine:
        assert len((await engine.find(ANY, None, 10)).items) == 1
        with pytest.raises(PermissionDenied):
            await engine.insert([NewJob(task="a")])
    await drop(postgres_url)


async def test_a_role_that_may_not_connect(postgres_url: str) -> None:
    url = postgres_url.replace("postgres@", "nobody_of_that_name@")
    with pytest.raises(PermissionDenied, match="does not exist"):
        async with engine_on(url, migrate=False):
            pass


async def test_a_caller_s_connection_without_rights_says_so(postgres_url: str) -> None:
    async with Elihu(postgres_url) as app:
        await app.migrate()

        @app.task(name="t")
        async def t() -> None: ...

        connection = await asyncpg.connect(await worker_url(postgres_url))
        with pytest.raises(PermissionDenied, match="permission denied"):
            async with connection.transaction():
                await t.using(conn=connection).aenqueue()
        await connection.close()
    await drop(postgres_url)
