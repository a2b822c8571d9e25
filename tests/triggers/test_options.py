"""Options of triggers that change what is read, logged and passed."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from elihu import Context, Elihu, JobState
from elihu.system_queues import DISPATCH_QUEUE
from elihu.triggers.run import current_trigger
from tests.support import QUICK
from tests.triggers.models import Invoice
from tests.triggers.store import Store
from tests.triggers.test_run import act, declared

pytestmark = pytest.mark.sqlite_first


def fail(invoice: Invoice, session: Any, ctx: Any) -> None:
    raise ValueError("broken")


def lines(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [record.levelname for record in caplog.records if text in record.getMessage()]


@pytest.mark.parametrize(
    ("options", "levels"),
    [
        ({}, ["WARNING", "ERROR"]),
        ({"log_errors": False}, ["ERROR"]),
        ({"log_final_error": False}, ["WARNING"]),
        ({"log_errors": False, "log_final_error": False}, []),
    ],
    ids=str,
)
async def test_what_is_logged_of_errors(
    app: Elihu,
    store: Store,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    levels: list[str],
) -> None:
    trigger = declared(app, store, fail, max_attempts=2, backoff=0, **options)
    store.add(Invoice())
    await app.schedule_and_run_triggers(trigger, drain=True, with_scheduled=True)
    assert lines(caplog, "ValueError: broken") == levels


@pytest.mark.parametrize("is_logged", [True, False])
async def test_an_error_that_on_error_handled_is_logged_unless(
    app: Elihu, store: Store, caplog: pytest.LogCaptureFixture, is_logged: bool
) -> None:
    def on_error(invoice: Invoice, error: Exception) -> None:
        invoice.note = "handled"

    trigger = declared(app, store, fail, on_error=on_error, log_final_error=is_logged)
    store.add(Invoice())
    await app.schedule_and_run_triggers(trigger, drain=True)
    assert lines(caplog, "ValueError: broken") == ["ERROR"] * is_logged


async def test_a_record_that_no_longer_matches_is_no_error(
    app: Elihu, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    trigger = declared(app, store)
    (invoice,) = store.add(Invoice(processed=True))
    await trigger.arun(invoice)
    with caplog.at_level(logging.WARNING):
        counts = await app.schedule_and_run_triggers(trigger, drain=True)
    assert (counts.cancelled, lines(caplog, "no longer")) == (1, [])


async def test_debug_logs_each_step(
    app: Elihu, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    trigger = declared(app, store, debug=True)
    store.add(Invoice())
    await app.schedule_and_run_triggers(trigger, drain=True)
    assert "trigger process: tenant None: 1 records match, 1 jobs stored, 0 had one" in caplog.text
    assert "acts on key [1]" in caplog.text


@pytest.fixture
async def debugged(database_url: str, store: Store) -> AsyncIterator[Elihu]:
    """An app that logs each step of all triggers."""
    async with Elihu(
        database_url,
        sessions=store.sessions,
        queues={"triggers": 2},
        debug_all_triggers=True,
        **{**QUICK, "call_timeout": 5.0, "dead_after": 11.0},
    ) as app:
        await app.migrate()
        yield app


async def test_an_app_logs_each_step_of_all_triggers(
    debugged: Elihu, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    trigger = declared(debugged, store)
    store.add(Invoice())
    await debugged.schedule_and_run_triggers(trigger, drain=True)
    assert "1 records match" in caplog.text
    assert "acts on key [1]" in caplog.text


async def test_metadata_comes_whole_where_the_action_takes_it(app: Elihu, store: Store) -> None:
    seen: list[Any] = []

    def note(record: Invoice, *, metadata: dict[str, Any], days: int = 1) -> None:
        seen.append((metadata, days))

    trigger = app.trigger(
        Invoice,
        name="process",
        cron=None,
        queue="triggers",
        read_metadata=lambda record: {"days": 9, "due": record.due},
        action_input={"days": 2},
    )(note)
    store.add(Invoice(due=7))
    await app.schedule_and_run_triggers(trigger, drain=True)
    assert seen == [({"days": 9, "due": 7}, 2)]


async def test_the_job_has_a_select_of_its_own(app: Elihu, store: Store) -> None:
    trigger = declared(
        app,
        store,
        read=lambda: select(Invoice),
        worker_read=lambda: select(Invoice).where(Invoice.note == "ready"),
    )
    store.add(Invoice(note="ready"), Invoice(note="not"))
    counts = await app.schedule_and_run_triggers(trigger, drain=True)
    assert (counts.success, counts.cancelled) == (2, 1)


async def test_options_of_tasks_reach_the_jobs(app: Elihu, store: Store) -> None:
    trigger = declared(
        app,
        store,
        priority=4,
        max_attempts=6,
        tags=["billing"],
        worker_opts={"max_orphans": 3, "record": True},
        extra_args={"reason": "test"},
    )
    store.add(Invoice())
    await trigger.scan()
    (job,) = (await app.jobs.list(task="process")).items
    assert (job.priority, job.max_attempts, job.tags) == (4, 6, ("billing",))
    assert job.args == {"key": [1], "reason": "test"}
    assert trigger.task.options.max_orphans == 3


async def test_code_below_an_action_sees_which_trigger_runs(app: Elihu, store: Store) -> None:
    seen: list[Any] = []

    def deep() -> None:
        seen.append(current_trigger.get())

    def note(record: Invoice, session: Any, ctx: Any) -> None:
        act(record, session, ctx)
        deep()

    trigger = declared(app, store, note, default_actor="ada")
    (invoice,) = store.add(Invoice())
    await trigger.arun(invoice, tenant="t", actor="bob")
    await app.schedule_and_run_triggers(triggers=False, queue="triggers", drain=True)
    assert seen == []
    await app.schedule_and_run_triggers(trigger, drain=True)
    (found,) = seen
    assert (found.trigger, found.model, found.key) == ("process", Invoice, [1])
    assert (found.tenant, found.actor) == ("t", "bob")
    assert current_trigger.get() is None


class Late:
    """Stores and finds an actor in calls that wait."""

    async def store(self, actor: str) -> dict[str, str]:
        return {"name": actor}

    async def lookup(self, stored: dict[str, str] | None) -> str | None:
        return None if stored is None else stored["name"]


async def test_an_actor_persister_may_be_asynchronous(app: Elihu, store: Store, kind: str) -> None:
    seen: list[Any] = []

    def note(record: Invoice, session: Any, ctx: Any) -> None:
        act(record, session, ctx)
        seen.append(ctx.actor)

    trigger = declared(app, store, note, actor_persister=Late(), default_actor="ada")
    store.add(Invoice())
    counts = await app.schedule_and_run_triggers(trigger, drain=True)
    if kind == "async":
        assert (seen, counts.success) == (["ada"], 2)
    else:
        (job,) = (await app.jobs.list(task="process")).items
        assert job.state is JobState.DISCARDED
        assert "expected a plain function beside synchronous sessions" in (job.reason or "")


async def test_an_old_name_of_a_trigger_still_runs(app: Elihu, store: Store) -> None:
    trigger = declared(app, store, aliases=["old_process"])
    (invoice,) = store.add(Invoice())
    from dataclasses import replace

    await app.aenqueue(replace(trigger.build(invoice), task="old_process"))
    counts = await app.schedule_and_run_triggers("old_process", drain=True)
    # a scan that comes first stores one more, under the new name
    assert counts.success + counts.cancelled in {2, 3}
    assert [each.acts for each in store.all(select(Invoice))] == [1]


async def test_what_nothing_answers_to_is_reported_at_start(
    app: Elihu, store: Store, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    declared(app, store, cron="0 4 * * *")

    @app.cron("0 4 * * *", name="commands.prune")
    @app.task(name="commands.prune", queue=DISPATCH_QUEUE)
    async def prune() -> None: ...

    async with app.running():
        pass
    await app.aclose()
    caplog.clear()
    caplog.set_level("INFO")
    later = Elihu(
        database_url,
        queues={"triggers": 1},
        **{**QUICK, "call_timeout": 5.0, "dead_after": 11.0},
    )

    @later.task(name="other", queue="triggers")
    async def other(*, ctx: Context = Context()) -> None: ...

    async with later, later.running():
        pass
    assert lines(caplog, "cron entry 'process.scan' is declared neither by this app") == ["WARNING"]
    assert not lines(caplog, "commands.prune")
    assert lines(caplog, "no living node runs commands") == ["INFO"]
