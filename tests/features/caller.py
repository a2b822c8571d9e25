"""One face for the connections and sessions that ``conn=`` takes."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from elihu import Elihu, Enqueued, Job


class Caller(ABC):
    """One connection of the caller's, in a transaction that begins with its first
    statement.
    """

    engine: ClassVar[str]
    conn: Any
    """What ``conn=`` is given."""

    @abstractmethod
    async def open(self, url: str) -> None: ...
    @abstractmethod
    async def close(self) -> None: ...
    @abstractmethod
    async def execute(self, sql: str) -> list[tuple[Any, ...]]: ...
    @abstractmethod
    async def commit(self) -> None: ...
    @abstractmethod
    async def rollback(self) -> None: ...
    @abstractmethod
    async def enqueue(self, task: Any, *args: Any, **options: Any) -> Job:
        """Enqueue with ``conn`` and these options of ``using``."""

    @abstractmethod
    async def enqueue_many(self, app: Elihu, jobs: Any, **options: Any) -> Enqueued: ...

    async def number(self, sql: str) -> int:
        ((value,),) = await self.execute(sql)
        return int(value)


def with_driver(url: str, driver: str) -> str:
    return url.replace("://", f"+{driver}://", 1)
