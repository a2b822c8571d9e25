"""A trigger in the database that records each change of a job's state or claim, and the
reading of all that the database holds in the end.
"""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from elihu.engines.postgres.url import driver_url
from oracle.evidence import Change, Evidence, StoredJob, StoredRun

SQLITE: Final = "sqlite:///"

_POSTGRES: Final = """
CREATE TABLE elihu.oracle_change (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id bigint NOT NULL,
  before text, after text NOT NULL, old_claim integer NOT NULL, claim integer NOT NULL,
  node uuid, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE elihu.oracle_beside (key text PRIMARY KEY);
CREATE TABLE elihu.oracle_record (
  key text PRIMARY KEY, seconds float8 NOT NULL, fails boolean NOT NULL, acts integer NOT NULL);
CREATE TABLE elihu.oracle_effect (id bigint NOT NULL, claim integer NOT NULL, key text NOT NULL);
CREATE FUNCTION elihu.oracle_record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO elihu.oracle_change (id, after, old_claim, claim, node)
    VALUES (NEW.id, NEW.state, 0, NEW.claim, NEW.node);
  ELSIF OLD.state <> NEW.state OR OLD.claim <> NEW.claim THEN
    INSERT INTO elihu.oracle_change (id, before, after, old_claim, claim, node)
    VALUES (NEW.id, OLD.state, NEW.state, OLD.claim, NEW.claim, NEW.node);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER oracle_record AFTER INSERT OR UPDATE ON elihu.job
  FOR EACH ROW EXECUTE FUNCTION elihu.oracle_record();
"""

_NOW: Final = "CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0"
_SQLITE: Final = f"""
CREATE TABLE oracle_change (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER NOT NULL,
  before TEXT, after TEXT NOT NULL, old_claim INTEGER NOT NULL, claim INTEGER NOT NULL,
  node TEXT, at REAL NOT NULL);
CREATE TABLE oracle_beside (key TEXT PRIMARY KEY) STRICT;
CREATE TABLE oracle_record (
  key TEXT PRIMARY KEY, seconds REAL NOT NULL, fails INTEGER NOT NULL, acts INTEGER NOT NULL
) STRICT;
CREATE TABLE oracle_effect (id INTEGER NOT NULL, claim INTEGER NOT NULL, key TEXT NOT NULL) STRICT;
CREATE TRIGGER oracle_insert AFTER INSERT ON job BEGIN
  INSERT INTO oracle_change (id, after, old_claim, claim, node, at)
  VALUES (NEW.id, NEW.state, 0, NEW.claim, NEW.node, {_NOW});
END;
CREATE TRIGGER oracle_update AFTER UPDATE ON job
  WHEN OLD.state <> NEW.state OR OLD.claim <> NEW.claim BEGIN
  INSERT INTO oracle_change (id, before, after, old_claim, claim, node, at)
  VALUES (NEW.id, OLD.state, NEW.state, OLD.claim, NEW.claim, NEW.node, {_NOW});
END;
"""

_JOBS: Final = "SELECT id, args, state, claim, reason FROM {}job ORDER BY id"
_RUNS: Final = "SELECT job_id, claim, outcome, CAST(node AS TEXT) FROM {}run"
_BESIDE: Final = "SELECT key FROM {}oracle_beside"
_EFFECTS: Final = "SELECT id, claim, key FROM {}oracle_effect"
_TICKS: Final = "SELECT job_id, cron, {} FROM {}cron_tick"
_CHANGES: Final = """
SELECT id, before, after, old_claim, claim, CAST(node AS TEXT), {}
FROM {}oracle_change ORDER BY seq"""


def tick_key(cron: str, at: float) -> str:
    """The key of a tick's job: all jobs of one entry have the same arguments."""
    return f"{cron} at {datetime.fromtimestamp(at, UTC):%d. %H:%M}"


class Database:
    """The database of one experiment, without the faults: each call makes a direct
    connection.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith(SQLITE)

    @property
    def path(self) -> Path:
        """The file of an SQLite database."""
        return Path(self.url.removeprefix(SQLITE))

    def url_of(self, user: str) -> str:
        """The URL with this user of PostgreSQL."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{user}@{host}"))

    async def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        """The rows of a statement, in which ``{elihu}`` is the schema."""
        text = sql.replace("{elihu}", "" if self.is_sqlite else "elihu.")
        if self.is_sqlite:
            with closing(
                sqlite3.connect(self.path, timeout=20, isolation_level=None)
            ) as connection:
                return connection.execute(text).fetchall()
        connection = await asyncpg.connect(driver_url(self.url), timeout=20)
        try:
            return [tuple(row) for row in await connection.fetch(text)]
        finally:
            await connection.close(timeout=5)

    async def change(self, script: str) -> None:
        """Execute statements, in which ``{elihu}`` is the schema."""
        text = script.replace("{elihu}", "" if self.is_sqlite else "elihu.")
        if self.is_sqlite:
            with closing(
                sqlite3.connect(self.path, timeout=20, isolation_level=None)
            ) as connection:
                connection.executescript(text)
            return
        connection = await asyncpg.connect(driver_url(self.url), timeout=20)
        try:
            await connection.execute(text)
        finally:
            await connection.close(timeout=5)

    async def record(self) -> None:
        """Begin to record."""
        await self.change(_SQLITE if self.is_sqlite else _POSTGRES)

    async def hurry(self) -> None:
        """Make retries due at once: how long they wait is not the question here."""
        now = "(julianday('now') - 2440587.5) * 86400.0" if self.is_sqlite else "now()"
        await self.change(
            f"UPDATE {{elihu}}job SET scheduled_at = {now} WHERE state = 'retryable' AND "
            f"scheduled_at > {now}"
        )

    async def start_cron_entry(self, name: str, last_tick: float) -> None:
        """Resume a paused entry whose last tick was at this moment."""
        at = str(last_tick) if self.is_sqlite else f"to_timestamp({last_tick})"
        await self.change(
            f"UPDATE {{elihu}}cron SET paused = false, last_tick = {at} WHERE name = '{name}'"
        )

    async def ticks(self) -> int:
        """The number of ticks that were fired."""
        return int((await self.rows("SELECT count(*) FROM {elihu}cron_tick"))[0][0])

    async def unfinished(self) -> int:
        """The number of jobs that are not finished."""
        found = await self.rows(
            "SELECT count(*) FROM {elihu}job WHERE state NOT IN ('completed', 'discarded', "
            "'cancelled')"
        )
        return int(found[0][0])

    async def read(self, evidence: Evidence) -> None:
        """Add what the tables hold."""
        schema, at = ("", "at") if self.is_sqlite else ("elihu.", "extract(epoch FROM at)::float8")
        ticks = {
            id_: tick_key(cron, tick)
            for id_, cron, tick in await self.rows(_TICKS.format(at, schema))
        }
        evidence.jobs += [
            StoredJob(id_, ticks.get(id_) or _key_of(args), state, claim, reason)
            for id_, args, state, claim, reason in await self.rows(_JOBS.format(schema))
        ]
        evidence.runs += [StoredRun(*row) for row in await self.rows(_RUNS.format(schema))]
        evidence.effects += [
            (id_, claim, key) for id_, claim, key in await self.rows(_EFFECTS.format(schema))
        ]
        evidence.beside |= {key for (key,) in await self.rows(_BESIDE.format(schema))}
        evidence.changes += [Change(*row) for row in await self.rows(_CHANGES.format(at, schema))]


def _key_of(args: str) -> str:
    """The key in a job's arguments; that of a record is a list."""
    key = json.loads(args).get("key", "?")
    return str(key[0] if isinstance(key, list) else key)
