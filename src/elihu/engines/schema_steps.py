"""Migrations of both engines: files, their headers, and which code may use which tables.

A chain of migrations has versions of its own. The files of the chain ``core`` are in
``migrations/``, those of another one in ``migrations/CHAIN/``; its tables are made only
where somebody asks for them. A file ``NNNN_name.sql`` leads to version NNNN. Its first
lines may say:

``-- kind: transaction``
    The default: one transaction.
``-- kind: concurrently``
    Statements outside of a transaction, each executed again after a failure, so that each
    is idempotent. PostgreSQL only.
``-- kind: batches``
    One statement that changes a bounded number of rows and returns how many. It is executed
    until it returns 0, each time in a transaction. PostgreSQL only.
``-- readable_from: N``
    Code of version N or later can use the tables from now on. Without this line older code
    stays able to: the step only adds something.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast

from elihu.engines.protocol import CORE, ChainName
from elihu.errors import SchemaOutdated, SchemaTooNew

Kind = Literal["transaction", "concurrently", "batches"]

_KIND: Final = re.compile(r"^-- kind: (transaction|concurrently|batches)$", re.MULTILINE)
_READABLE_FROM: Final = re.compile(r"^-- readable_from: ([0-9]+)$", re.MULTILINE)


class Migration(NamedTuple):
    """One step forward. ``readable_from`` is None where older code can still use the
    tables.
    """

    version: int
    name: str
    sql: str
    kind: Kind = "transaction"
    readable_from: int | None = None
    chain: ChainName = CORE

    def stamp(self, table: str = "meta") -> str:
        """The SQL that records the step as done."""
        version_key, readable_key = meta_keys(self.chain)
        values = [(version_key, self.version)]
        if self.readable_from is not None:
            values.append((readable_key, self.readable_from))
        rows = ", ".join(f"('{key}', '{value}')" for key, value in values)
        return (
            f"INSERT INTO {table} (key, value) VALUES {rows}\n"
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value;\n"
        )


def meta_keys(chain: ChainName) -> tuple[str, str]:
    """The keys of the table ``meta`` that hold the chain's version, and the version of the
    code that the tables need.
    """
    if chain == CORE:
        return "schema_version", "readable_from"
    return f"{chain}_version", f"{chain}_readable_from"


def parse(name: str, sql: str, chain: ChainName = CORE) -> Migration:
    """The migration in a file."""
    kind = _KIND.search(sql)
    readable_from = _READABLE_FROM.search(sql)
    return Migration(
        version=int(name.partition("_")[0]),
        name=name,
        sql=sql.rstrip() + "\n\n",
        kind=cast(Kind, kind[1]) if kind else "transaction",
        readable_from=int(readable_from[1]) if readable_from else None,
        chain=chain,
    )


def load(engine: Path, chain: ChainName = CORE) -> tuple[Migration, ...]:
    """The migrations of one chain in an engine's folder, oldest first."""
    folder = engine.joinpath("migrations", *([] if chain == CORE else [chain]))
    return tuple(
        sorted(
            parse(file.name, file.read_text(encoding="utf-8"), chain)
            for file in folder.glob("*.sql")
        )
    )


def missing(steps: Sequence[Migration], version: int) -> list[Migration]:
    """The steps from tables of that version to those of this code."""
    return [step for step in steps if step.version > version]


def check_not_newer(where: str, version: int, readable_from: int | None, known: int) -> None:
    """Raise ``SchemaTooNew`` for tables that code of version ``known`` cannot use."""
    needed = version if readable_from is None else readable_from
    if version > known and needed > known:
        raise SchemaTooNew(
            f"{where}: expected tables that version {known} can use, got version {version}, which "
            f"needs {needed}: install the newer Elihu"
        )


def check_not_older(where: str, version: int, known: int, chain: ChainName = CORE) -> None:
    """Raise ``SchemaOutdated`` for tables that are absent or older than this code."""
    if version < known:
        got = f"version {version}" if version else "none"
        what = "tables" if chain == CORE else f"tables of {chain}"
        flag = "" if chain == CORE else f" --{chain}"
        raise SchemaOutdated(
            f'{where}: expected {what} of version {known}, got {got}: run "elihu migrate{flag}"'
        )
