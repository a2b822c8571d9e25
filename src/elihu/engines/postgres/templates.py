"""Job kinds in the database."""

import json
from collections.abc import Sequence

from elihu.engines.postgres.rows import Row
from elihu.engines.postgres.session import Calls
from elihu.engines.protocol.templates import Front, Place
from elihu.template import NewTemplate, Template


class Templates(Calls):
    """The verbs of templates."""

    async def add_template(self, new: NewTemplate, revision: str) -> Template | None:
        """Store a template; None where its code is taken."""
        return _template(
            await self._fetch_row(
                "add_template", self._sql["template_add"], *_values(new), revision
            )
        )

    async def change_template(self, new: NewTemplate, revision: str, known: str) -> Template | None:
        """Write all of a template; None where its revision is no longer ``known``."""
        return _template(
            await self._fetch_row(
                "change_template", self._sql["template_change"], *_values(new), revision, known
            )
        )

    async def remove_template(self, code: str) -> bool:
        """Remove a template; whether there was one."""
        return (
            await self._fetch_value("remove_template", self._sql["template_remove"], code)
            is not None
        )

    async def template(self, code: str) -> Template | None:
        """The template of that code."""
        return _template(await self._fetch_row("template", self._sql["template_get"], code))

    async def find_templates(
        self, active: bool | None, after: Place | None, limit: int
    ) -> list[Template]:
        """By display order, then code."""
        rows = await self._fetch(
            "find_templates", self._sql["template_find"], active, *(after or (None, None)), limit
        )
        return [_stored(row) for row in rows]

    async def schemas(self, codes: Sequence[str]) -> dict[str, str]:
        """code → JSON Schema of those templates that are there."""
        return {
            row["code"]: row["schema"]
            for row in await self._fetch("schemas", self._sql["template_schemas"], list(codes))
        }

    async def front(self, queue: str) -> Front:
        """Where the front of a queue is."""
        row = await self._fetch_row("front", self._sql["front"], queue)
        assert row is not None
        return Front(row["now"], row["before_all"])


def _values(new: NewTemplate) -> tuple[object, ...]:
    """$1 to $10 of template_add.sql."""
    return (
        new.code, new.name, new.task, new.queue, new.schema, new.default_timeout, new.default_max_attempts, new.active, new.display_order,
        new.synced,
    )  # fmt: skip


def _template(row: Row | None) -> Template | None:
    return None if row is None else _stored(row)


def _stored(row: Row) -> Template:
    return Template(**{**row, "schema": json.loads(row["schema"])})
