"""The multi-node engine."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from elihu.engines.postgres.channel import channel_of, payload_of
from elihu.engines.postgres.connections import Connection, transact
from elihu.engines.postgres.crons import Crons
from elihu.engines.postgres.errors import is_of_identifiers
from elihu.engines.postgres.filters import prunable
from elihu.engines.postgres.insert import (
    columns,
    plainly_stored,
    replaced_columns,
    scalars,
    stored,
    unique_columns,
)
from elihu.engines.postgres.migrations import VERSION, migrate, outdated, stored_version, too_new
from elihu.engines.postgres.notifier import PostgresNotifier
from elihu.engines.postgres.queues import Queues
from elihu.engines.postgres.rows import claim_of, end_of, job_of
from elihu.engines.postgres.templates import Templates
from elihu.engines.protocol import (
    Ack,
    AckStatus,
    Exchange,
    Expired,
    HeartbeatReply,
    Inserted,
    NodeRow,
    Peer,
    Position,
    PruneRule,
    Rescued,
)
from elihu.engines.protocol.signals import Signal
from elihu.engines.protocol.waits import AwaitedJob, JobEnd, LateResult, Wait
from elihu.engines.replacing import replacements
from elihu.errors import (
    DatabaseUnavailable,
    DataRefused,
    IdentifierTaken,
    SchemaOutdated,
    SchemaTooNew,
)
from elihu.failpoints import ACTIVE, reach
from elihu.job import Intent, JobState, NewJob, RunOutcome

_UNDER_WAY: Final = 0.0005
"""Seconds after which a statement has left this process, as a rule, and its answer is
not back.
"""
_INSERT_ROUNDS: Final = 10
_FRONT: Final = Position(-1, datetime.fromtimestamp(0, UTC), 0)
_INTENTS: Final = [intent.value for intent in Intent]


class PostgresEngine(Crons, Queues, Templates):
    """``Engine`` on PostgreSQL 14 or later."""

    # schema

    async def schema_version(self) -> int:
        """The version of the tables in the database; 0 where there are none."""

        async def work(connection: Connection) -> int:
            return await stored_version(connection, self._config.schema)

        return await self._call("schema_version", work)

    async def migrate(self) -> list[int]:
        """Bring the tables up to date; return the versions applied. Raises
        ``SchemaTooNew``.
        """

        async def work(connection: Connection) -> list[int]:
            return await migrate(connection, self._config.schema)

        return await self._call("migrate", work, bounded=False)

    async def check_schema(self) -> None:
        """Raise ``SchemaOutdated`` or ``SchemaTooNew`` unless the tables fit."""
        version = await self.schema_version()
        if version < VERSION:
            raise SchemaOutdated(outdated(self._config.schema, version))
        if version > VERSION:
            raise SchemaTooNew(too_new(self._config.schema, version))

    async def installation(self) -> str:
        """The id that these tables were given when they were made."""
        return str(await self._fetch_value("installation", self._sql["installation"]))

    # the hot path

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Store all jobs in one transaction, in order; one ``Inserted`` for each.
        Raises ``IdentifierTaken``.
        """
        if not jobs:
            return []
        identifiers = [job.identifier for job in jobs if job.identifier is not None]
        if not identifiers:
            return await self._insert(jobs)
        for _ in range(_INSERT_ROUNDS):
            try:
                return await self._insert(jobs)
            except DataRefused as error:
                if not is_of_identifiers(error):
                    raise
                refusal = error
            for row in await self._fetch("insert", self._sql["identifiers"], identifiers):
                raise IdentifierTaken(row["identifier"], holder=row["id"], state=row["state"])
            if len(set(identifiers)) < len(identifiers):
                raise refusal
        raise DatabaseUnavailable(
            f"insert: expected identifiers to stay as they are, got {_INSERT_ROUNDS} changes in a "
            "row"
        )

    async def _insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        if len(jobs) == 1 and jobs[0].unique_key is None:
            return plainly_stored(
                await self._fetch("insert", self._sql["insert_one"], *scalars(jobs[0]))
            )
        if all(job.unique_key is None for job in jobs):
            return plainly_stored(await self._fetch("insert", self._sql["insert"], *columns(jobs)))

        async def work(connection: Connection) -> list[Inserted]:
            return await self._insert_unique(connection, jobs)

        async def in_transaction(connection: Connection) -> list[Inserted]:
            return await transact(connection, work)

        return await self._call("insert", work if len(jobs) == 1 else in_transaction)

    async def exchange(
        self,
        node: str,
        queue: str,
        free: int,
        acks: Sequence[Ack],
        *,
        after: Position | None = None,
        exclude: Sequence[str] = (),
    ) -> Exchange:
        """Write ends and claim jobs in one round trip."""
        plain: list[Ack] = []
        other: list[Ack] = []
        for ack in acks:
            (plain if _is_plain(ack) else other).append(ack)
        if ACTIVE and acks:
            asyncio.get_running_loop().call_later(_UNDER_WAY, reach, "inside acknowledge")
        rows = await self._fetch(
            "exchange",
            self._sql["exchange"],
            node,
            queue,
            free,
            [ack.id for ack in plain],
            [ack.claim for ack in plain],
            [ack.value for ack in plain],
            [ack.id for ack in other],
            [ack.claim for ack in other],
            [ack.outcome.value for ack in other],
            [ack.state.value for ack in other],
            [ack.delay for ack in other],
            [ack.refund_attempt for ack in other],
            [ack.value for ack in other],
            [ack.reason for ack in other],
            [ack.error for ack in other],
            [ack.traceback for ack in other],
            [ack.log for ack in other],
            [ack.error_type for ack in other],
            *(after or _FRONT),
            list(exclude),
        )
        return _exchanged(rows)

    async def ack_statuses(
        self, node: str, acks: Sequence[Ack]
    ) -> dict[tuple[int, int], AckStatus]:
        """Why these acknowledgements did not come back, by (id, claim)."""
        if not acks:
            return {}
        rows = await self._fetch(
            "ack_statuses",
            self._sql["ack_statuses"],
            [ack.id for ack in acks],
            [ack.claim for ack in acks],
            [ack.outcome.value for ack in acks],
            node,
        )
        return {(row["id"], row["claim"]): AckStatus(row["verdict"]) for row in rows}

    async def notify(self, signals: Sequence[Signal]) -> None:
        """Send announcements to other processes."""
        if signals:
            payloads = list(dict.fromkeys(map(payload_of, signals)))
            await self._fetch(
                "notify", self._sql["notify"], channel_of(self._config.schema), payloads
            )

    # what services do

    async def stage(self, limit: int) -> dict[str, int]:
        """Make due jobs available; the number staged for each queue that has available
        jobs now.
        """
        return {
            row["queue"]: row["staged"]
            for row in await self._fetch("stage", self._sql["stage"], limit)
        }

    async def register_node(self, node: str, name: str, info: dict[str, object]) -> None:
        """Write a new node's row. Two that enlist at once do so one after the other, so
        that one is the first.
        """

        async def work(connection: Connection) -> None:
            await connection.execute(self._sql["register_node_lock"], self._config.schema)
            await connection.execute(
                self._sql["register_node"], node, name, json.dumps(info), self._config.dead_after
            )

        async def in_transaction(connection: Connection) -> None:
            await transact(connection, work)

        await self._call("register_node", in_transaction)

    async def update_node_info(self, node: str, info: dict[str, object]) -> None:
        """Write what the node says of itself now."""
        await self._fetch("update_node_info", self._sql["update_node_info"], node, json.dumps(info))

    async def deregister_node(self, node: str) -> None:
        """Remove the node's row."""
        await self._fetch("deregister_node", self._sql["deregister_node"], node)

    async def heartbeat(self, node: str) -> HeartbeatReply:
        """Raise the node's beat and look at everybody else."""
        row = await self._fetch_row("heartbeat", self._sql["heartbeat"], node)
        assert row is not None
        peers = [Peer(id_, beat, False) for id_, beat in zip(row["ids"], row["beats"], strict=True)]
        return HeartbeatReply(row["known"], peers, row["lease_ends_in"])

    async def peers(self, node: str) -> list[Peer]:
        """The other nodes, without beating."""
        return [
            Peer(row["id"], row["beat"], False)
            for row in await self._fetch("peers", self._sql["peers"], node)
        ]

    async def remove_dead_node(self, node: str, beat: int | None) -> bool:
        """Remove a dead node's row if its beat is still ``beat``; whether it was
        removed by this call.
        """
        return (
            await self._fetch_value("remove_dead_node", self._sql["remove_dead_node"], node, beat)
            is not None
        )

    async def remove_silent_nodes(self, silence: float) -> list[str]:
        """Remove the nodes that gave no sign of life for ``silence`` seconds by the
        database's clock; their ids.
        """
        return [
            row["id"]
            for row in await self._fetch(
                "remove_silent_nodes", self._sql["remove_silent_nodes"], silence
            )
        ]

    async def rescue(self, limit: int) -> list[Rescued]:
        """End at most ``limit`` attempts of nodes that are no more, all in one
        statement; where one row makes that fail, one by one.
        """
        try:
            return await self._rescue(limit, None)
        except DataRefused as error:
            refusal = error
        rescued: list[Rescued] = []
        for row in await self._fetch("rescue", self._sql["lost"], limit):
            try:
                rescued += await self._rescue(1, row["id"])
            except DataRefused as error:
                refusal = error
        if not rescued:
            raise refusal
        return rescued

    async def reconcile(
        self, node: str, held: Sequence[tuple[int, int]], older_than: float
    ) -> list[Rescued]:
        """Give back what executes in the node's name without its knowledge."""
        ids, claims = [id_ for id_, _ in held], [claim for _, claim in held]
        rows = await self._fetch("reconcile", self._sql["reconcile"], node, older_than, ids, claims)
        return [
            Rescued(row["id"], row["queue"], JobState(row["state"]), row["awaited"]) for row in rows
        ]

    async def lead(self, node: str, lease: float) -> bool:
        """Take or renew leadership for ``lease`` seconds; whether the node is the
        leader now.
        """
        return await self._fetch_value("lead", self._sql["lead"], node, lease) is not None

    async def resign(self, node: str) -> bool:
        """Give leadership up; whether the node had it."""
        return await self._fetch_value("resign", self._sql["resign"], node) is not None

    async def intents(self, node: str) -> list[tuple[int, int, Intent]]:
        """(id, claim, wish) of the node's executing jobs of which something was asked."""
        rows = await self._fetch("intents", self._sql["intents"], node, _INTENTS)
        return [(row["id"], row["claim"], Intent(row["intent"])) for row in rows]

    async def lost_claims(
        self, node: str, held: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Which of the claims held are no longer the node's own."""
        ids, claims = [id_ for id_, _ in held], [claim for _, claim in held]
        return [
            (row["id"], row["claim"])
            for row in await self._fetch("lost_claims", self._sql["lost_claims"], node, ids, claims)
        ]

    async def expire(self, limit: int) -> list[Expired]:
        """Cancel at most ``limit`` jobs that did not start in time."""
        return [
            Expired(row["id"], row["queue"], row["awaited"])
            for row in sorted(await self._fetch("expire", self._sql["expire"], limit))
        ]

    async def record_progress(self, node: str, progress: Sequence[tuple[int, int, str]]) -> None:
        """Store progress, (id, claim, JSON text) each, under the guard."""
        if progress:
            ids, claims, texts = (list(column) for column in zip(*progress, strict=True))
            await self._fetch("record_progress", self._sql["progress"], node, ids, claims, texts)

    async def prune(self, rule: PruneRule, limit: int) -> int:
        """Remove at most ``limit`` jobs that the rule covers, with their runs; how many
        went.
        """
        covered = prunable(rule, 3)
        return int(
            await self._fetch_value(
                "prune", self._sql.filtered("prune", covered), rule.age, limit, *covered.values
            )
        )

    # waiting for ends

    async def attach(self, ids: Sequence[int]) -> list[AwaitedJob]:
        """Mark as awaited; those that are gone, or that an open transaction holds, do
        not come back.
        """
        return [
            AwaitedJob(job_of(row), row["since"])
            for row in await self._fetch("attach", self._sql["attach"], list(ids))
        ]

    async def add_results(self, results: Sequence[LateResult]) -> None:
        """Add results to jobs that completed without one."""
        await self._fetch(
            "add_results",
            self._sql["add_results"],
            *([*column] for column in zip(*results, strict=True)),
        )

    async def ends(self, pending: Sequence[Wait], room: int) -> list[JobEnd]:
        """Those of ``pending`` that have come to something."""
        ids, since, only_job = (
            ([*column] for column in zip(*pending, strict=True)) if pending else ([], [], [])
        )
        return [
            end_of(row)
            for row in await self._fetch("ends", self._sql["ends"], ids, since, only_job, room)
        ]

    async def nodes(self) -> list[NodeRow]:
        """All nodes, oldest first."""
        rows = await self._fetch("nodes", self._sql["nodes"])
        return [
            NodeRow(
                row["id"],
                row["name"],
                row["started_at"],
                row["beat_at"],
                row["leader"],
                row["running"],
                json.loads(row["info"]),
            )
            for row in rows
        ]

    def notifier(self, *, eager: bool = False) -> PostgresNotifier:
        """A new, unstarted notifier on a connection of its own, to ``listen_url`` where
        there is one.
        """
        return PostgresNotifier(
            self, self._config.listen_url or self._config.database_url, self._config.schema
        )

    async def _rescue(self, limit: int, job_id: int | None) -> list[Rescued]:
        rows = await self._fetch("rescue", self._sql["rescue"], limit, job_id)
        return [
            Rescued(row["id"], row["queue"], JobState(row["state"]), row["awaited"])
            for row in sorted(rows)
        ]

    async def _insert_unique(
        self, connection: Connection, jobs: Sequence[NewJob]
    ) -> list[Inserted]:
        found: dict[int, Inserted] = {}
        waiting = list(range(len(jobs)))
        for _ in range(_INSERT_ROUNDS):
            sent = [jobs[place] for place in waiting]
            rows = await connection.fetch(
                self._sql["insert_unique"], *columns(sent), *unique_columns(sent)
            )
            answers = list(zip(waiting, rows, strict=True))
            found.update(
                {place: stored(row, row["ukey"]) for place, row in answers if row["id"] is not None}
            )
            if len(found) == len(jobs):
                break
            met = {place: row["ukey"] for place, row in answers if row["id"] is None}
            holders = await self._holders(
                connection, [(key, jobs[place]) for place, key in met.items()]
            )
            found.update({place: holders[key] for place, key in met.items() if key in holders})
            waiting = [place for place in waiting if place not in found]
            if not waiting:
                break
        else:
            raise DatabaseUnavailable(
                f"insert: expected unique keys to stay as they are, got {_INSERT_ROUNDS} changes "
                "in a row"
            )
        return [found[place] for place in range(len(jobs))]

    async def _holders(
        self, connection: Connection, met: Sequence[tuple[bytes, NewJob]]
    ) -> dict[bytes, Inserted]:
        """The jobs that hold the keys, changed as those who met them want it."""
        given = replacements(met)
        rows: list[Any] = []
        if given:
            rows += await connection.fetch(self._sql["replace"], *replaced_columns(given))
        if others := list({key for key, _ in met} - given.keys()):
            rows += await connection.fetch(self._sql["holders"], others)
        return {
            row["unique_key"]: stored(row, row["unique_key"], conflict=True, woken=row.get("woken"))
            for row in rows
        }


def _is_plain(ack: Ack) -> bool:
    return (
        ack.outcome is RunOutcome.COMPLETED
        and ack.state is JobState.COMPLETED
        and ack[4:6] == (None, 0)
        and ack[7:] == (None,) * 5
    )


def _exchanged(rows: Sequence[Any]) -> Exchange:
    acked: list[tuple[int, bool]] = []
    claims = []
    for row in rows:
        if row[0] is None:
            acked = [(id_, False) for id_ in row["acked"]] + [
                (id_, True) for id_ in row["acked_awaited"]
            ]
        else:
            claims.append(claim_of(row))
    claims.sort(key=lambda claim: (claim.priority, claim.scheduled_at, claim.id))
    return Exchange(acked, claims)
