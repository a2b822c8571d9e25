"""The app that a test gets: one of its own, on a database of its own, with helpers."""

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Unpack

from elihu.api.draining import Draining, stage_and_expire
from elihu.app import Elihu
from elihu.config import changed_config, load_config
from elihu.engines.in_transaction import Session, open_session
from elihu.errors import InvalidOption
from elihu.event_loop import in_loop
from elihu.job import Job, JobState, NewJob
from elihu.runtime.queue.start_budget import StartBudget
from elihu.telemetry.events import JobStopped
from elihu.testing import triggered
from elihu.testing.calls import Call, Calls, in_both
from elihu.testing.clock import FakeClock
from elihu.testing.databases import DatabaseOfTest
from elihu.testing.drained import Drained
from elihu.testing.enqueued import AnyTask, WantedFields, none_of, one_of, wanted
from elihu.testing.inside import MOST, DrainInside, Key
from elihu.testing.performing import new_job, perform
from elihu.testing.stored import aunfinished_in, unfinished, unfinished_in
from elihu.triggers import Trigger

_OF_APP: Final = frozenset(
    {
        "actor_persister",
        "authorize",
        "clock",
        "debug_all_triggers",
        "default_actor",
        "lifespan",
        "sessions",
        "tenant_from_record",
        "tenants",
    }
)


class AppUnderTest(Elihu):
    """An app on a database of one test, with helpers.

    Its settings are those given and the defaults: neither the environment nor files are
    read. In synchronous code a helper returns its result; inside a running event loop it
    returns a coroutine to await, and one that is not awaited fails the test at its end.
    """

    __test__ = False

    def __init__(self, database: DatabaseOfTest, **settings: Any) -> None:
        own = {name: settings.pop(name) for name in _OF_APP if name in settings}
        keywords = {
            "synchronous": "normal",
            **settings,
            "database_url": database.url,
            "schema": database.schema,
        }
        config = load_config(keywords=keywords, read_files=False, read_environment=False)
        super().__init__(config=config, **own)
        self.clock: Final[FakeClock] = database.clock
        """The clock of the test's database: ``advance(seconds)``, ``move_to(datetime)``."""
        self.calls: Final = Calls()
        self._declared: Elihu = self
        self._before: Any = None
        self._draining = False
        self._performed: set[Key] = set()
        self._clients.portal().run(self.migrate())

    def run(self, coroutine: Any) -> Any:
        """``Elihu.run``. What a helper has returned in synchronous code passes through."""
        return super().run(coroutine) if isinstance(coroutine, Coroutine) else coroutine

    def take_over(self, app: Elihu) -> None:
        """Work with the app of the code under test: its tasks, middleware and lifespan
        are used, also by ``tick`` and ``running`` of this app, and until the test ends its
        calls use the test's database. Its other settings stay. Raises ``InvalidOption``
        for a second one.
        """
        if self._declared is not self or len(self._registry):
            raise InvalidOption(
                "take_over(): expected one app, and no task or app before it, got another one"
            )
        self._declared, self._before = app, app.config
        app._use(
            changed_config(
                app.config,
                {
                    name: getattr(self.config, name)
                    for name in ("database_url", "schema", "synchronous")
                },
            )
        )
        self._clients.drop()
        vars(self).update(vars(app))

    def close(self) -> None:
        """Close every connection, give an app that was taken over its settings back, and
        raise ``HelperNotAwaited`` if a helper's call was not awaited.
        """
        if self._declared is not self:
            self._declared._use(self._before)
        self._clients.drop()
        self.calls.check()

    # what was enqueued

    def all_enqueued(
        self, task: AnyTask | None = None, *, queue: str | None = None, conn: Any = None
    ) -> Any:
        """The unfinished jobs, oldest first: of one task, and of one queue, where given.
        With ``conn`` those that the caller's open transaction sees.
        """
        expected = wanted(task, {"queue": queue})
        return self._look(
            conn, "all_enqueued", lambda jobs: [job for job in jobs if expected.fits(job)]
        )

    def assert_enqueued(
        self,
        task: AnyTask | None = None,
        *,
        count: int | None = None,
        conn: Any = None,
        **fields: Unpack[WantedFields],
    ) -> Any:
        """The newest unfinished job that fits; ``count`` is how many must. With ``conn``
        jobs of the caller's open transaction count.

        ``fields`` are ``args queue priority tags meta state run_at``. ``args`` and
        ``meta`` name members that the job has at least, with the values that the task
        gets; ``tags`` are some of its tags. Raises ``AssertionError``, which shows how
        the nearest jobs differ.
        """
        return self._look(conn, "assert_enqueued", partial(one_of, wanted(task, fields), count))

    def refute_enqueued(
        self, task: AnyTask | None = None, *, conn: Any = None, **fields: Unpack[WantedFields]
    ) -> Any:
        """Raise ``AssertionError``, which shows them, if unfinished jobs fit. The
        parameters are those of ``assert_enqueued``.
        """
        return self._look(conn, "refute_enqueued", partial(none_of, wanted(task, fields)))

    # running jobs

    @in_both
    async def perform(self, what: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a task as a node does, without a stored job, and return its value:
        ``perform(task, 7)``, ``perform(task.using(…).build(7))`` or a stored ``Job``.

        Arguments and value make the way through JSON; middleware, ``around`` and the
        lifespan apply, time limits do not; a process task runs in this process. Outcomes
        such as ``Snooze`` are returned, whether the task returns or raises them; other
        exceptions are raised. Raises ``InvalidArguments``.
        """
        return await perform(self._declared, new_job(what, args, kwargs))

    def drain(self, *, queue: str | None = None, scheduled: bool = False, conn: Any = None) -> Any:
        """Run the jobs that are due, and those that they enqueue, on a node of this
        program until none is left; of one queue where given. With ``scheduled`` those
        that are due later run at once too. Returns the counts of ends.

        A failure is stored and logged as a node does. With ``conn`` the jobs that the
        caller's open transaction sees run, each once and as by ``perform``: their ends
        are counted and not stored. Raises ``RuntimeError`` after 10,000 attempts.
        """
        if conn is None:
            whole = self._drained(queue=queue, scheduled=scheduled)
            return self.calls.add(Call("drain", whole)) if in_loop() else self.run(whole)
        inside = DrainInside(
            app=self._declared,
            session=open_session(conn, self._declared.config),
            performed=self._performed,
            now=self.clock.now,
            queue=queue,
            scheduled=scheduled,
        )
        if in_loop():
            return self.calls.add(Call("drain", inside.arun()))
        inside.session.require_sync("drain() in a synchronous test", "the helper in an async test")
        return inside.run(self.run)

    @contextmanager
    def inline(self) -> Iterator[None]:
        """Run due jobs at once when they are enqueued, also of an app that was taken
        over: ``enqueue`` returns the job as it ended, and raises the error of an attempt
        that failed. ``submit`` leaves it to the relay.

        Jobs that a running task enqueues follow in the same call. A job for later, or in
        the transaction of a ``conn``, is only stored.
        """
        app = self._declared
        hooks = {
            "_store": partial(self._store_inline, app._store),
            "_enqueue_many": partial(self._enqueue_many_inline, app._enqueue_many),
        }
        vars(app).update(hooks)
        try:
            yield
        finally:
            for name in hooks:
                vars(app).pop(name, None)

    # triggers

    @in_both
    async def assert_triggered(
        self, trigger: Trigger | str, record: Any = None, *, count: int | None = None
    ) -> Job:
        """The newest stored job of the trigger, waiting or ended; of this record where
        given; ``count`` is how many there must be. Raises ``AssertionError``.
        """
        __tracebackhide__ = True
        return await triggered.assert_triggered(self._declared, trigger, record, count)

    @in_both
    async def refute_triggered(self, trigger: Trigger | str, record: Any = None) -> None:
        """Raise ``AssertionError`` if the trigger has a stored job; of this record where
        given.
        """
        __tracebackhide__ = True
        await triggered.refute_triggered(self._declared, trigger, record)

    @in_both
    async def assert_would_schedule(self, trigger: Trigger | str, record: Any) -> None:
        """Raise ``AssertionError`` unless a scan of the trigger would choose this stored
        record now. Nothing is stored.
        """
        __tracebackhide__ = True
        await triggered.assert_would_schedule(self._declared, trigger, record)

    @in_both
    async def refute_would_schedule(self, trigger: Trigger | str, record: Any) -> None:
        """Raise ``AssertionError`` if a scan of the trigger would choose this record."""
        __tracebackhide__ = True
        await triggered.refute_would_schedule(self._declared, trigger, record)

    # inside

    def _look(self, conn: Any, name: str, check: Callable[[list[Job]], Any]) -> Any:
        """What ``check`` makes of the unfinished jobs. A synchronous connection is used
        in the caller's thread.
        """
        __tracebackhide__ = True
        session = None if conn is None else open_session(conn, self._declared.config)
        if in_loop():
            return self.calls.add(Call(name, self._looked(session, check)))
        if session is None:
            return check(self.run(unfinished(self._declared)))
        session.require_sync(f"{name}() in a synchronous test", "the helper in an async test")
        return check(unfinished_in(session))

    async def _looked(self, session: Session | None, check: Callable[[list[Job]], Any]) -> Any:
        __tracebackhide__ = True
        if session is None:
            return check(await unfinished(self._declared))
        return check(
            await aunfinished_in(session) if session.asynchronous else unfinished_in(session)
        )

    async def _drained(self, *, queue: str | None, scheduled: bool) -> Drained:
        done = Drained()
        await self._drain(done.count, queue=queue, scheduled=scheduled)
        return done

    async def _drain(
        self,
        count: Callable[[JobStopped], None],
        *,
        queue: str | None = None,
        scheduled: bool = False,
    ) -> None:
        app, budget = self._declared, StartBudget(MOST)
        draining = Draining(jobs=app.jobs, bus=app._bus, running=app._runner.running)
        self._draining = True
        try:
            while queues := await self._with_work(queue, scheduled=scheduled):
                if queue is None:  # a task may wait for one that it submits to another queue
                    queues |= app._queue_names()
                done = await draining.run(queues, budget, count=count, scheduled=scheduled)
                if budget.left == 0:
                    raise RuntimeError(f"drain(): expected an end, got {MOST:,} attempts")
                if done:
                    return  # a paused queue
        finally:
            self._draining = False

    async def _with_work(self, queue: str | None, *, scheduled: bool) -> set[str]:
        """The queues with jobs that are due, or with jobs for later."""
        app = self._declared
        await stage_and_expire(await app._clients.client().ready(), app._bus, "")
        states = {JobState.AVAILABLE}
        if scheduled:
            states |= {JobState.SCHEDULED, JobState.RETRYABLE}
        return {
            name
            for name, counts in (await app.jobs.counts()).items()
            if queue in {None, name} and any(counts.get(state) for state in states)
        }

    async def _store_inline(self, store: Callable[[NewJob], Awaitable[Job]], new: NewJob) -> Job:
        job = await store(new)
        if self._draining or job.state is not JobState.AVAILABLE:
            return job
        errors: dict[int, BaseException] = {}
        await self._drain(partial(_keep_error, errors))
        if job.id in errors and not new.awaited:
            raise errors[job.id]
        return await self._declared.jobs.get(job.id)

    async def _enqueue_many_inline(self, store: Callable[..., Any], *args: Any) -> Any:
        done = await store(*args)
        if not self._draining:
            await self._drain(lambda _: None)
        return done


def _keep_error(errors: dict[int, BaseException], event: JobStopped) -> None:
    if event.error is not None:
        errors[event.job_id] = event.error
