"""Writes this node's roll-ups, as often as its heartbeat."""

from typing import ClassVar

from elihu.errors import ElihuError
from elihu.runtime.service import Service, Tick, logger


class RollUpWriter(Service):
    """Each tick writes the minutes that have changed. ``stop`` writes the last ones."""

    name: ClassVar = "rollups"

    async def tick(self) -> Tick:
        return Tick(self.scope.config.heartbeat, {"rows": await self._write()})

    async def stop(self) -> None:
        await super().stop()
        try:
            await self._write()
        except ElihuError as error:
            logger.warning("the figures of the last seconds could not be written: %s", error)

    async def _write(self) -> int:
        counts = self.scope.counts
        if not (rows := counts.take()):
            return 0
        try:
            await self.scope.engine.write_rollups(counts.writer, rows)
        except BaseException:
            counts.put_back(rows)
            raise
        return len(rows)
