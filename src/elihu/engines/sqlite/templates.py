"""Templates."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from elihu.engines.protocol.templates import Front, Place
from elihu.engines.rows import schema_of
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import dump, moment, nearest
from elihu.engines.sqlite.session import Session
from elihu.template import NewTemplate, Template

_ADD: Final = statement("add_template")
_CHANGE: Final = statement("change_template")
_REMOVE: Final = statement("remove_template")
_GET: Final = statement("template")
_FIND: Final = statement("find_templates")
_SCHEMAS: Final = statement("schemas")
_FRONT: Final = statement("front")


def add_template(session: Session, new: NewTemplate, revision: str) -> Template | None:
    return _written(session, _ADD, asdict(new) | {"revision": revision})


def change_template(
    session: Session, new: NewTemplate, revision: str, known: str
) -> Template | None:
    return _written(session, _CHANGE, asdict(new) | {"revision": revision, "known": known})


def remove_template(session: Session, code: str, known: str | None) -> bool:
    with session.write():
        return session.row(_REMOVE, {"code": code, "known": known}) is not None


def template(session: Session, code: str) -> Template | None:
    return _template(session.row(_GET, {"code": code}))


def find_templates(
    session: Session, active: bool | None, after: Place | None, limit: int
) -> list[Template]:
    order, code = after or (None, None)
    asked = {"active": active, "after_order": order, "after_code": code, "limit": limit}
    return [_stored(row) for row in session.rows(_FIND, asked)]


def schemas(session: Session, codes: Sequence[str]) -> dict[str, str]:
    return dict(session.rows(_SCHEMAS, {"codes": dump(list(codes))}))


def front(session: Session, queue: str) -> Front:
    now, first = session.row(_FRONT, {"queue": queue})
    return Front(moment(now), moment(now if first is None else min(now, nearest(first - 1e-6))))


def _written(session: Session, sql: str, values: dict[str, Any]) -> Template | None:
    with session.write():
        return _template(session.row(sql, values))


def _template(row: Sequence[Any] | None) -> Template | None:
    return None if row is None else _stored(row)


def _stored(row: Sequence[Any]) -> Template:
    """The template in a row of template.sql."""
    (
        code,
        name,
        task,
        queue,
        schema,
        timeout,
        attempts,
        active,
        order,
        inserted_at,
        updated_at,
        revision,
        synced,
    ) = row
    return Template(
        code=code,
        name=name,
        task=task,
        queue=queue,
        schema=schema_of(schema),
        default_timeout=timeout,
        default_max_attempts=attempts,
        active=bool(active),
        display_order=order,
        inserted_at=moment(inserted_at),
        updated_at=moment(updated_at),
        revision=revision,
        synced=synced,
    )
