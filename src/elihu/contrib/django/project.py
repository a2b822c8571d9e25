"""The project's one app: an ``Elihu`` whose jobs are in a database of Django's."""

from collections.abc import AsyncIterable, Coroutine, Iterable
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any, Final, TypeVar

import django
from asgiref.sync import sync_to_async
from django.apps import apps
from django.core import mail
from django.core.signals import setting_changed
from django.db import DEFAULT_DB_ALIAS, transaction

from elihu import Config, ConfigError, Elihu, Enqueued, InvalidOption, Job, NewJob
from elihu.contrib.django.connections import (
    fresh_connections,
    in_loop,
    in_transaction,
    is_in_transaction,
    open_elsewhere,
)
from elihu.contrib.django.pending import fill, finished, pending_job
from elihu.contrib.django.settings import (
    MEMORY,
    ProjectSettings,
    database_name,
    database_url,
    read_settings,
)
from elihu.contrib.django.test_database import give_to_children, take_back, take_from_parent

T = TypeVar("T")

NAME: Final = "elihu.contrib.django:app"
CHUNK: Final = 5_000
_CHOOSE: Final[Any] = object()
"""No ``conn`` was given; None means one of the app's own."""


class ProjectApp(Elihu):
    """The app of a Django project.

    A synchronous enqueue uses Django's connection: it joins an open ``atomic``, or has a
    short one of its own. Where another database has an open ``atomic``, and that of the
    jobs has none, the job is stored when that one commits. ``conn=None``, and the
    setting ``join_transactions`` as False, use a connection of the app. With wrong
    settings tasks can be declared, and every other use raises ``ConfigError``.
    """

    def __init__(self) -> None:
        self._refusal: str | None = None
        self._follows = True
        self._config: Config
        self.project_settings = ProjectSettings(DEFAULT_DB_ALIAS, True, {})
        self._database = ""
        try:
            take_from_parent()
            url, keywords = self._read()
            super().__init__(url, **keywords)
            self._use_memory(url)
        except ConfigError as error:
            super().__init__(config=Config())
            self._refusal = str(error)
        self._first_database = self._database
        self.around(fresh_connections)
        setting_changed.connect(self._reload)

    @property
    def database(self) -> str:
        """The alias of the database of the jobs."""
        return self.project_settings.database

    @property
    def config(self) -> Config:
        """The settings as they apply. The database is the one that Django uses now: in
        tests that of the test. Raises ``ConfigError``.
        """
        if self._refusal is not None:
            raise ConfigError(self._refusal)
        if self._follows and (name := database_name(self.database)) != self._database:
            self._database = name
            self._config = replace(self._config, database_url=database_url(self.database))
            if not self.in_test_database:
                take_back()
        if self._follows and self.in_test_database:
            give_to_children()
        return self._config

    @config.setter
    def config(self, config: Config) -> None:
        self._config = config

    @property
    def refusal(self) -> str | None:
        """Why the settings cannot be used, None where they can."""
        return self._refusal

    @property
    def in_test_database(self) -> bool:
        """Whether Django's test runner has put its own database in the place of the
        project's. It also gives the module ``mail`` an ``outbox``.
        """
        return hasattr(mail, "outbox") and database_name(self.database) != self._first_database

    def override(self, **flags: Any) -> None:
        super().override(**flags)
        self._follows = self._follows and flags.get("database_url") is None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            return super().run(coroutine)
        finally:
            self._leave_test_database()

    def enqueue(self, new: NewJob, *, conn: Any = _CHOOSE, notify: bool = True) -> Job:
        if conn is not _CHOOSE:
            return self._own(new, conn=conn, notify=notify)
        if not self.project_settings.join_transactions or in_loop():
            return self._own(new, conn=None)
        if other := open_elsewhere(self._alias):
            return self._at_commit(other, new, notify=notify)
        if self._alias is None:
            return self._own(new, conn=None)
        with in_transaction(self._alias) as connection:
            return super().enqueue(new, conn=connection, notify=notify)

    async def aenqueue(self, new: NewJob, *, conn: Any = _CHOOSE, notify: bool = True) -> Job:
        if conn is not _CHOOSE:
            return await super().aenqueue(new, conn=conn, notify=notify)
        if self.project_settings.join_transactions and await sync_to_async(self._waits_or_joins)():
            return await sync_to_async(self.enqueue)(new, notify=notify)
        return await super().aenqueue(new, conn=None)

    def enqueue_many(
        self,
        jobs: Iterable[NewJob] | AsyncIterable[NewJob],
        *,
        ids: bool = False,
        conn: Any = _CHOOSE,
        notify: bool = True,
    ) -> Coroutine[Any, Any, Enqueued]:
        if conn is not _CHOOSE:
            return super().enqueue_many(jobs, ids=ids, conn=conn, notify=notify)
        if not self.project_settings.join_transactions or isinstance(jobs, AsyncIterable):
            return super().enqueue_many(jobs, ids=ids, conn=None)
        if in_loop():
            return self._enqueue_many_in_loop(jobs, ids, notify)
        return _given(self._enqueue_many_here(jobs, ids, notify))

    def _read(self) -> tuple[str | None, dict[str, Any]]:
        """The URL, None for a database in memory, and the keywords of ``Elihu``."""
        self.project_settings = read_settings()
        self._database = database_name(self.database)
        url = database_url(self.database)
        return None if url == MEMORY else url, {"app": NAME, **self.project_settings.keywords}

    def _use_memory(self, url: str | None) -> None:
        if url is None:
            self._config = replace(self._config, database_url=MEMORY)

    def _reload(self, *, setting: str, **_signal: Any) -> None:
        """Read the settings again: a test has changed them."""
        if setting != "ELIHU":
            return
        self._refusal = None
        try:
            url, keywords = self._read()
            self._config = Elihu(url, **keywords).config
            self._use_memory(url)
        except ConfigError as error:
            self._refusal = str(error)

    @property
    def _alias(self) -> str | None:
        """The alias of the jobs; None where a flag names another database than it."""
        return self.database if self._follows and self._refusal is None else None

    def _waits_or_joins(self) -> bool:
        """Whether an asynchronous enqueue has to use Django's connection: in the
        transaction of a caller, and in tests, whose database has to be left.
        """
        alias = self._alias
        if alias is not None and (self.in_test_database or is_in_transaction(alias)):
            return True
        return open_elsewhere(alias) is not None

    def _own(self, new: NewJob, *, conn: Any, notify: bool = True) -> Job:
        try:
            return super().enqueue(new, conn=conn, notify=notify)
        finally:
            if conn is None:
                self._leave_test_database()

    def _at_commit(self, other: str, new: NewJob, *, notify: bool, job: Job | None = None) -> Job:
        """Store a job when the transaction of another database commits. The job that is
        returned has the id 0 until then.
        """
        if new.awaited:
            raise InvalidOption(
                f"submit(): expected no open transaction of the database {other!r}, got one: the "
                "job is stored at its commit, and cannot be waited for before"
            )
        pending = pending_job(new) if job is None else job

        def store() -> None:
            if again := open_elsewhere(self._alias):
                self._at_commit(again, new, notify=notify, job=pending)
            else:
                fill(pending, self.enqueue(new, notify=notify))

        transaction.on_commit(store, using=other)
        return pending

    async def _enqueue_many_in_loop(
        self, jobs: Iterable[NewJob], ids: bool, notify: bool
    ) -> Enqueued:
        if await sync_to_async(self._waits_or_joins)():
            return await sync_to_async(self._enqueue_many_here)(jobs, ids, notify)
        return await super().enqueue_many(jobs, ids=ids, conn=None)

    def _enqueue_many_here(self, jobs: Iterable[NewJob], ids: bool, notify: bool) -> Enqueued:
        done = Enqueued(ids=[] if ids else None)
        if other := open_elsewhere(self._alias):
            held = list(jobs)
            transaction.on_commit(lambda: self._store_many(held, done, notify), using=other)
        else:
            self._store_many(jobs, done, notify)
        return done

    def _store_many(self, jobs: Iterable[NewJob], done: Enqueued, notify: bool) -> None:
        """Store jobs in chunks, each in a transaction of its own where none is open."""
        every = iter(jobs)
        while chunk := list(islice(every, CHUNK)):
            more = self._store_chunk(chunk, done.ids is not None, notify)
            done.inserted += more.inserted
            done.conflicts += more.conflicts
            if done.ids is not None:
                done.ids += more.ids or []

    def _store_chunk(self, chunk: list[NewJob], ids: bool, notify: bool) -> Enqueued:
        if self._alias is None:
            return self.run(super().enqueue_many(chunk, ids=ids, conn=None))
        with in_transaction(self._alias) as connection:
            return finished(super().enqueue_many(chunk, ids=ids, conn=connection, notify=notify))

    def _leave_test_database(self) -> None:
        """Close the app's own connections: one that is left would keep the test runner
        from removing its database.
        """
        if self._refusal is None and self.in_test_database and not in_loop():
            super().run(self.aclose())


async def _given(done: Enqueued) -> Enqueued:
    return done


def project_app() -> ProjectApp:
    """The one app. Sets Django up where that was not begun. Raises ``ConfigError`` for a
    project without this application.
    """
    if not apps.loading:
        django.setup()  # imports the modules of tasks, which ask for the app
    return _only_app()


def check_installed() -> None:
    """Raise ``ConfigError`` for a project without this application."""
    if apps.apps_ready and not apps.is_installed("elihu.contrib.django"):
        raise ConfigError(
            'INSTALLED_APPS: expected "elihu.contrib.django" among them, got a project without it'
        )


@cache
def _only_app() -> ProjectApp:
    check_installed()
    return ProjectApp()
