"""Columns of the jobs' tables as Django reads them. The two databases store times, JSON
and lists in different types.
"""

import json
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db.models import Field
from django.db.models.expressions import Col
from django.db.models.lookups import Exact
from django.utils import timezone


def aware(moment: datetime) -> datetime:
    """A time of Django's, with its zone: without ``USE_TZ`` they are naive."""
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def as_in_django(moment: datetime) -> datetime:
    """A time as Django gives times to a project: aware if ``USE_TZ`` is true, else naive
    in the zone ``TIME_ZONE``.
    """
    if settings.USE_TZ or timezone.is_naive(moment):
        return moment
    return timezone.make_naive(moment, timezone.get_default_timezone())


class Moment(Field):
    """A time. SQLite: seconds since the epoch."""

    description = "Time"

    def from_db_value(self, value: Any, _expression: Any, _connection: Any) -> datetime | None:
        if isinstance(value, int | float):
            return as_in_django(datetime.fromtimestamp(value, UTC))
        found: datetime | None = value
        return found

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if not isinstance(value, datetime):
            return value
        return aware(value).timestamp() if connection.vendor == "sqlite" else aware(value)


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
    def as_sql(self, compiler: Any, _connection: Any) -> tuple[str, list[Any]]:
        job, claim = _parts(self, compiler)
        return f"(CAST({job} AS text) || '.' || CAST({claim} AS text))", []


@RunId.register_lookup
class _RunIs(Exact):
    """One run, found by the primary key of its table."""

    def as_sql(self, compiler: Any, _connection: Any) -> tuple[str, list[Any]]:
        job, _, claim = str(self.rhs).partition(".")
        if not (job.isdecimal() and claim.isdecimal()):
            raise EmptyResultSet
        columns = _parts(self.lhs, compiler)
        return f"({columns[0]} = %s AND {columns[1]} = %s)", [int(job), int(claim)]


def _parts(column: Any, compiler: Any) -> tuple[str, str]:
    """The SQL of the two columns of which an id is made."""
    fields = column.target.model._meta
    job, claim = (
        compiler.compile(fields.get_field(name).get_col(column.alias))[0]
        for name in ("job", "claim")
    )
    return job, claim
