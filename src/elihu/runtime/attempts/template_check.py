"""Checks the context of a job against its template's schema, as that is now."""

import asyncio
import json
from typing import Final

from elihu.engines.protocol import ClaimedJob, Engine
from elihu.errors import DatabaseError, InvalidContext, TemplateError, UnknownTemplate
from elihu.json_schema import compiled
from elihu.outcome import Failed, Returned

UNREAD_DELAY: Final = 5.0
"""Seconds for which a job is put back whose schema could not be read."""


class TemplateCheck:
    """Reads schemas and checks by them.

    Each check reads anew, since the schema may have changed a moment ago; jobs that
    start at the same time share a query, and a schema that is still the same is not
    compiled again. Jobs without a template cost nothing.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: list[tuple[str, asyncio.Future[str | None]]] = []
        self._reader: asyncio.Task[None] | None = None

    async def refusal(self, claim: ClaimedJob) -> Failed | Returned | None:
        """How the attempt ends without being made; None where its context fits."""
        assert claim.template is not None
        try:
            schema = await self._read(claim.template)
            if schema is None:
                raise UnknownTemplate(claim.template)
            if problems := compiled(schema).problems(json.loads(claim.args), len(claim.args)):
                raise InvalidContext(claim.template, problems)
        except TemplateError as error:
            return Failed(error, retry=False)
        except DatabaseError as error:
            return Returned(
                f"the schema of template {claim.template!r} could not be read: {error}",
                UNREAD_DELAY,
            )
        return None

    async def _read(self, code: str) -> str | None:
        """The schema as it is after this call began."""
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((code, answer))
        if self._reader is None:
            self._reader = asyncio.create_task(self._read_all(), name="elihu-schemas")
        return await answer

    async def _read_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    found = await self._engine.schemas(sorted({code for code, _ in batch}))
                except Exception as error:
                    for _, answer in batch:
                        if not answer.done():
                            answer.set_exception(error)
                else:
                    for code, answer in batch:
                        if not answer.done():
                            answer.set_result(found.get(code))
        finally:
            self._reader = None
