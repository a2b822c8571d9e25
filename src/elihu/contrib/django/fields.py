"""Columns of the jobs' tables as Django reads them. The two databases store times, JSON
and lists in different types.
"""

import json
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import Field
from django.db.models.expressions import Col
from django.db.models.lookups import Exact


class Moment(Field):
    """A time. SQLite: seconds since the epoch."""

    description = "Time"

    def from_db_value(self, value: Any, _expression: Any, _connection: Any) -> datetime | None:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        found: datetime | None = value
        return found

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if isinstance(value, datetime) and connection.vendor == "sqlite":
            return value.timestamp()
        return value


class Json(Field):
    """A JSON value, or a list of texts. SQLite: text."""

    description = "JSON"

    def from_db_value(self, value: Any, _expression: Any, _connection: Any) -> Any:
        return json.loads(value) if isinstance(value, str | bytes) else value


class Text(Field):
    """A text, or an id. PostgreSQL: of any type that has a text form."""

    description = "Text"

    def from_db_value(self, value: Any, _expression: Any, _connection: Any) -> str | None:
        return None if value is None else str(value)


class RunId(Field):
    """The id of a run, ``JOB.CLAIM``. No column has it: it is made of two."""

    description = "Id of a run"

    def get_col(self, alias: str, output_field: Any = None) -> Col:
        return _Joined(alias, self, output_field or self)

    @property
    def cached_col(self) -> Col:
        return self.get_col(self.model._meta.db_table)


class _Joined(Col):
    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        job, claim = columns_of(self.alias, compiler, connection)
        return f"(CAST({job} AS text) || '.' || CAST({claim} AS text))", []


@RunId.register_lookup
class _RunIs(Exact):
    """One run, found by the primary key of its table."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        job, _, claim = str(self.rhs).partition(".")
        if not (job.isdecimal() and claim.isdecimal()):
            raise EmptyResultSet
        columns = columns_of(self.lhs.alias, compiler, connection)
        return f"({columns[0]} = %s AND {columns[1]} = %s)", [int(job), int(claim)]


def columns_of(alias: str, compiler: Any, connection: Any) -> tuple[str, str]:
    """The columns ``job_id`` and ``claim`` of a table in a query."""
    owner = compiler.quote_name_unless_alias(alias)
    job, claim = map(connection.ops.quote_name, ("job_id", "claim"))
    return f"{owner}.{job}", f"{owner}.{claim}"
