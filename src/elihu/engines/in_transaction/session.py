"""The one door for a caller's connection: jobs are stored and completed in a transaction
that is the caller's.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol, cast

from elihu.config import Config
from elihu.engines.in_transaction.connections import Link, link_to
from elihu.engines.in_transaction.steps import Act, Answer, Completion, Steps, Stored, arun, run
from elihu.engines.select import engine_name, in_transaction
from elihu.errors import InvalidOption, WrongDatabase
from elihu.job import Job, NewJob

_NAMES: Final = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


class Verbs(Protocol):
    """What the module ``in_transaction`` of each engine has."""

    def insert(
        self, link: Link, config: Config, jobs: Sequence[NewJob], *, notify: bool
    ) -> Steps[list[Stored]]: ...

    def complete(
        self, link: Link, config: Config, completions: Sequence[Completion], *, known: bool
    ) -> Steps[list[Answer]]: ...

    def act_once(self, link: Link, config: Config, act: Act) -> Steps[set[bytes]]: ...

    def unfinished(self, link: Link, config: Config, after: int) -> Steps[list[Job]]: ...

    def forget_act(self, link: Link, config: Config, act: Act) -> Steps[None]: ...

    def set_occurrences(
        self, link: Link, config: Config, times: Mapping[int, datetime]
    ) -> Steps[None]: ...


class Session:
    """A caller's connection, for one app.

    ``insert`` and ``complete`` are for synchronous connections, ``ainsert`` and
    ``acomplete`` for asynchronous ones. After an error the caller's transaction is as it
    was before. They raise ``InvalidOption`` for a connection that cannot be used,
    ``WrongDatabase`` for one to another database, ``SchemaOutdated``, ``DataRefused``,
    and the driver's own errors.
    """

    def __init__(self, conn: object, link: Link, config: Config) -> None:
        self._conn = conn
        self._link = link
        self._config = config

    @property
    def asynchronous(self) -> bool:
        """Whether the connection is asynchronous."""
        return self._link.asynchronous

    def require_sync(self, verb: str, right: str) -> None:
        """Raise ``InvalidOption``, which names the ``right`` call, for an asynchronous
        connection.
        """
        if self.asynchronous:
            raise self._mismatch(f"a synchronous connection for {verb}", right)

    def require_async(self, verb: str, right: str) -> None:
        """Raise ``InvalidOption``, which names the ``right`` call, for a synchronous
        connection.
        """
        if not self.asynchronous:
            raise self._mismatch(f"an asynchronous connection for {verb}", right)

    def insert(self, jobs: Sequence[NewJob], *, notify: bool) -> list[Stored]:
        """Store jobs, in order. A job whose unique key is taken is answered with its
        holder. With ``notify`` the queues of due jobs are announced with the commit.
        Raises ``IdentifierTaken``.
        """
        self._link.open()
        verbs = self._verbs()
        return run(self._link, verbs.insert(self._link, self._config, jobs, notify=notify))

    async def ainsert(self, jobs: Sequence[NewJob], *, notify: bool) -> list[Stored]:
        """``insert`` on an asynchronous connection."""
        await self._link.open()
        verbs = self._verbs()
        return await arun(self._link, verbs.insert(self._link, self._config, jobs, notify=notify))

    def complete(self, completions: Sequence[Completion], *, known: bool = False) -> list[Answer]:
        """Complete attempts, each under its guard; one answer for each, in order.
        ``known`` says that the connection is one to the right database, inside a
        transaction that the caller gives up on an error.
        """
        self._link.open()
        steps = self._verbs().complete(self._link, self._config, completions, known=known)
        return run(self._link.inside() if known else self._link, steps)

    async def acomplete(self, completions: Sequence[Completion]) -> list[Answer]:
        """``complete`` on an asynchronous connection."""
        await self._link.open()
        steps = self._verbs().complete(self._link, self._config, completions, known=False)
        return await arun(self._link, steps)

    def act_once(self, act: Act) -> set[bytes]:
        """Write that a trigger acts on records; the digests that were written."""
        self._link.open()
        verbs = self._verbs()
        return run(self._link, verbs.act_once(self._link, self._config, act))

    async def aact_once(self, act: Act) -> set[bytes]:
        """``act_once`` on an asynchronous connection."""
        await self._link.open()
        return await arun(self._link, self._verbs().act_once(self._link, self._config, act))

    def unfinished(self, after: int = 0) -> list[Job]:
        """The jobs that have not ended, as the caller's transaction sees them, oldest
        first: at most 10,000 with ids above ``after``.
        """
        self._link.open()
        return run(self._link, self._verbs().unfinished(self._link, self._config, after))

    async def aunfinished(self, after: int = 0) -> list[Job]:
        """``unfinished`` on an asynchronous connection."""
        await self._link.open()
        return await arun(self._link, self._verbs().unfinished(self._link, self._config, after))

    def forget_act(self, act: Act) -> None:
        """Take back what ``act_once`` wrote in this transaction."""
        self._link.open()
        run(self._link, self._verbs().forget_act(self._link, self._config, act))

    def set_occurrences(self, times: Mapping[int, datetime]) -> None:
        """Set the occurrences of jobs, by id, that ``insert`` stored."""
        self._link.open()
        run(self._link, self._verbs().set_occurrences(self._link, self._config, times))

    async def aset_occurrences(self, times: Mapping[int, datetime]) -> None:
        """``set_occurrences`` on an asynchronous connection."""
        await self._link.open()
        await arun(self._link, self._verbs().set_occurrences(self._link, self._config, times))

    def _verbs(self) -> Verbs:
        here = engine_name(self._config)
        if self._link.engine != here:
            raise WrongDatabase(
                f"conn: expected a connection to {_NAMES[here]}, where the jobs of this app are, "
                f"got one to {_NAMES[self._link.engine]}"
            )
        return cast(Verbs, in_transaction(here))

    def _mismatch(self, expected: str, right: str) -> InvalidOption:
        got = type(self._conn).__name__
        return InvalidOption(f"conn: expected {expected}, got a {got}: write {right}")


def open_session(conn: object, config: Config) -> Session:
    """A session on a caller's connection. Raises ``InvalidOption`` for any other object."""
    return Session(conn, link_to(conn), config)
