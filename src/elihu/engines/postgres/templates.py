"""Job kinds in the database."""

from collections.abc import Sequence

from elihu.engines.postgres.rows import Row
from elihu.engines.postgres.session import Session
from elihu.engines.protocol.templates import Front, Place
from elihu.engines.rows import schema_of
from elihu.template import NewTemplate, Template


async def add_template(session: Session, new: NewTemplate, revision: str) -> Template | None:
    return _template(await session.fetch_row("add_template", *_values(new), revision, waits=True))


async def change_template(
    session: Session, new: NewTemplate, revision: str, known: str
) -> Template | None:
    return _template(
        await session.fetch_row("change_template", *_values(new), revision, known, waits=True)
    )


async def remove_template(session: Session, code: str, known: str | None) -> bool:
    return await session.fetch_value("remove_template", code, known, waits=True) is not None


async def template(session: Session, code: str) -> Template | None:
    return _template(await session.fetch_row("template", code))


async def find_templates(
    session: Session, active: bool | None, after: Place | None, limit: int
) -> list[Template]:
    rows = await session.fetch("find_templates", active, *(after or (None, None)), limit)
    return [_stored(row) for row in rows]


async def schemas(session: Session, codes: Sequence[str]) -> dict[str, str]:
    return {row["code"]: row["schema"] for row in await session.fetch("schemas", list(codes))}


async def front(session: Session, queue: str) -> Front:
    row = await session.fetch_row("front", queue)
    assert row is not None
    return Front(row["now"], row["before_all"])


def _values(new: NewTemplate) -> tuple[object, ...]:
    """$1 to $10 of add_template.sql."""
    return (
        new.code, new.name, new.task, new.queue, new.schema, new.default_timeout,
        new.default_max_attempts, new.active, new.display_order, new.synced,
    )  # fmt: skip


def _template(row: Row | None) -> Template | None:
    return None if row is None else _stored(row)


def _stored(row: Row) -> Template:
    return Template(**{**row, "schema": schema_of(row["schema"])})
