"""What is refused when a trigger is declared: the trigger and the option are named."""

from typing import Any

import pytest
from sqlalchemy import exists, select

from elihu import Chunk, Elihu, InvalidOption, InvalidTrigger, TaskNotBound, Tasks
from tests.triggers.models import Base, Invoice, Line
from tests.triggers.store import Store


def action(record: Invoice, *, session: Any, note: str = "") -> None: ...


@pytest.fixture
def kind() -> str:
    return "sync"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"wher": True}, "wher"),
        ({"where": "processed"}, "where: expected an SQLAlchemy expression of Invoice"),
        ({"where": Line.done.is_(False)}, "where: expected columns of Invoice, got line.done"),
        ({"order_by": [Line.number]}, "order_by: expected columns of Invoice"),
        ({"tenant_column": Line.number}, "tenant_column: expected columns of Invoice"),
        ({"read": 7}, "read: expected a callable"),
        ({"read": lambda one: one}, "read: expected a function of 0 arguments"),
        ({"on_error": lambda: None}, "on_error: expected a function of 2 arguments"),
        ({"authorize": lambda actor: True}, "authorize: expected a function of 3 arguments"),
        ({"action_input": {"text": "x"}}, "action_input: expected parameters of the action"),
        ({"action_input": {"note": 7}}, "action_input"),
        ({"extra_args": 7}, "extra_args: expected a dictionary"),
        ({"once": "yes"}, "once"),
        ({"chunk": 7}, r"chunk: expected Chunk\("),
        ({"state": "off"}, "state: expected one of active, paused, deleted"),
        ({"stream_with": "offset"}, "stream_with: expected one of keyset"),
        ({"priority": 10}, "priority"),
        ({"cron": "* * *"}, "cron"),
        ({"actor_persister": 7}, r"actor_persister: expected an object with store\(\)"),
        ({"tenant_schema": True, "tenant_column": Invoice.tenant}, "one of tenant_column"),
        ({"sessions": 7}, "sessions: expected an async_sessionmaker"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
async def test_a_bad_option_is_named(app: Elihu, options: dict[str, Any], expected: str) -> None:
    with pytest.raises((InvalidTrigger, InvalidOption, ValueError), match=expected):
        app.trigger(Invoice, **options)(action)
    assert len(app.triggers) == 0


@pytest.mark.parametrize("model", [int, Base, "Invoice", None])
async def test_only_mapped_classes_are_models(app: Elihu, model: Any) -> None:
    with pytest.raises(InvalidTrigger, match="model: expected a mapped class"):
        app.trigger(model)(action)


def nothing() -> None: ...
def by_name(*, record: Invoice) -> None: ...
def bare_context(record: Invoice, *, ctx) -> None: ...
def generator(record: Invoice) -> Any:
    yield record


@pytest.mark.parametrize("function", [nothing, by_name, bare_context, generator, 7])
async def test_an_action_that_cannot_be_called_is_refused(app: Elihu, function: Any) -> None:
    with pytest.raises(InvalidTrigger):
        app.trigger(Invoice)(function)


async def test_an_async_action_needs_async_sessions(app: Elihu) -> None:
    async def act(record: Invoice) -> None: ...

    with pytest.raises(InvalidTrigger, match="sessions: expected an async_sessionmaker"):
        app.trigger(Invoice, name="act")(act)


async def test_an_app_without_sessions_names_them(sqlite_url: str) -> None:
    async with Elihu(sqlite_url) as app:
        with pytest.raises(InvalidTrigger, match=r"Elihu\(sessions="):
            app.trigger(Invoice)(action)


async def test_a_condition_may_ask_about_other_tables_in_a_subquery(app: Elihu) -> None:
    lines = exists(select(Line.number).where(Line.invoice_id == Invoice.id))
    trigger = app.trigger(Invoice, where=lines, cron=None)(action)
    assert trigger.options.queue == "invoice_action"
    assert (trigger.options.priority, trigger.options.scheduler_priority) == (2, 3)
    assert (trigger.options.max_attempts, trigger.options.max_scheduler_attempts) == (1, 1)


async def test_a_group_is_bound_by_its_app(app: Elihu, store: Store) -> None:
    tasks = Tasks(prefix="billing.")
    trigger = tasks.trigger(Invoice, name="act", cron="*/5 * * * *")(action)
    with pytest.raises(TaskNotBound, match=r"call app\.include"):
        trigger.build(Invoice(id=1))
    app.include(tasks)
    assert (trigger.name, trigger.task.name, trigger.scan_task.name) == (
        "billing.act",
        "billing.act",
        "billing.act.scan",
    )
    assert app.triggers["billing.act"] is trigger
    assert app.triggers.of(Invoice) == [trigger]
    action(Invoice(), session=None)
    trigger(Invoice(), session=None)


@pytest.mark.parametrize("size", [1, 0, "x"])
def test_a_chunk_is_of_several(size: Any) -> None:
    with pytest.raises((InvalidTrigger, InvalidOption)):
        Chunk(size=size)
