"""Checks the context of a job against the present schema of its template."""

import asyncio
import json
from typing import Final

from elihu.engines.protocol import ClaimedJob, Engine
from elihu.errors import DatabaseError, InvalidContext, TemplateError, UnknownTemplate
from elihu.json_schema import compiled
from elihu.outcome import Failed, Returned

UNREAD_DELAY: Final = 5.0
"""Seconds for which a job is given back when its schema could not be read."""


class TemplateCheck:
    """Reads schemas and checks contexts.

    Each check reads the schema, which may have changed. Jobs that start at the same
    time share a query, and an unchanged schema is not compiled again. Jobs without a
    template cost nothing.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: list[tuple[str, asyncio.Future[str | None]]] = []
        self._reader: asyncio.Task[None] | None = None

    async def refusal(self, claim: ClaimedJob) -> Failed | Returned | None:
        """How the attempt ends without a run, None when its context fits."""
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
        self._start_reader()
        return await answer

    def _start_reader(self, ended: "asyncio.Task[None] | None" = None) -> None:
        """Read while attempts wait, also after a task of the user's has cancelled the
        reader.
        """
        if self._reader is ended:
            self._reader = None
        if self._waiting and self._reader is None:
            self._reader = asyncio.create_task(self._read_all(), name="elihu-schemas")
            self._reader.add_done_callback(self._start_reader)

    async def _read_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                found = await self._engine.schemas(sorted({code for code, _ in batch}))
            except asyncio.CancelledError:
                self._waiting[:0] = batch
                raise
            except Exception as error:
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for code, answer in batch:
                    if not answer.done():
                        answer.set_result(found.get(code))
