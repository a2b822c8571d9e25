"""Job kinds in the database: made, changed, listed, synchronised, and jobs enqueued
from them.
"""

import asyncio
import json
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic_core import core_schema

from elihu import (
    Elihu,
    ElihuError,
    IdentifierTaken,
    InvalidArguments,
    InvalidContext,
    InvalidOption,
    InvalidSchema,
    InvalidTask,
    InvalidTransition,
    JobNotFound,
    JobState,
    Template,
    TemplateExists,
    TemplateInactive,
    Unique,
    UnknownTask,
    UnknownTemplate,
)
from elihu.api.templates import Templates
from elihu.clients.client import Client
from elihu.engines.select import engine_for
from elihu.runtime.announcer import Hub
from elihu.task import Registry
from elihu.telemetry.bus import Bus
from tests.support import EventRecorder

SCHEMA = {
    "type": "object",
    "properties": {
        "number": {"type": "integer", "minimum": 1},
        "lines": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["number"],
    "additionalProperties": False,
}


class Anything:
    """A type that pydantic can read and write, and not describe."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(
            lambda value: value, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


def declare(app: Elihu) -> list[Any]:
    """A task, and what it was called with."""
    called: list[Any] = []

    @app.task(name="billing.invoice", queue="mail", priority=2, tags=["billing"], max_orphans=5)
    async def invoice(number: int, lines: list[str] | None = None) -> None:
        called.append((number, lines))

    return called


async def create(app: Elihu, code: str = "invoice", **fields: Any) -> Template:
    given: dict[str, Any] = {"name": "Send an invoice", "task": "billing.invoice", "schema": SCHEMA}
    return await app.templates.create(code, **(given | fields))


async def test_a_template_is_created_read_changed_and_deleted(app: Elihu) -> None:
    declare(app)
    template = await create(app)
    assert (template.code, template.task, template.queue, template.schema) == (
        "invoice",
        "billing.invoice",
        "mail",
        SCHEMA,
    )
    assert (
        template.default_timeout,
        template.default_max_attempts,
        template.active,
        template.display_order,
    ) == (3600, 4, True, 0)
    assert await app.templates.get("invoice") == template
    changed = await app.templates.update(
        "invoice",
        name="New",
        default_timeout="2m",
        default_max_attempts=1,
        active=False,
        display_order=7,
    )
    assert (changed.name, changed.default_timeout, changed.default_max_attempts) == ("New", 120, 1)
    assert (changed.active, changed.display_order, changed.schema) == (False, 7, SCHEMA)
    assert changed.revision != template.revision
    assert (await app.templates.update("invoice", schema={})).schema == {}
    await app.templates.delete("invoice")
    for gone in (
        app.templates.get("invoice"),
        app.templates.update("invoice", name="x"),
        app.templates.delete("invoice"),
    ):
        with pytest.raises(UnknownTemplate, match="'invoice'"):
            await gone


async def test_a_new_task_brings_its_queue(app: Elihu) -> None:
    declare(app)

    @app.task(name="other", queue="slow")
    async def other() -> None: ...

    await create(app)
    assert (await app.templates.update("invoice", task="other")).queue == "slow"
    assert (
        await app.templates.update("invoice", task="billing.invoice", queue="mine")
    ).queue == "mine"
    assert (await create(app, "second", queue="mine")).queue == "mine"


async def test_an_app_without_tasks_knows_no_unknown_task(app: Elihu) -> None:
    assert (await create(app)).queue == "default"
    declare(app)
    with pytest.raises(UnknownTask, match=r"billing\.invoice"):
        await create(app, "other", task="billing.invoce")
    with pytest.raises(UnknownTask):
        await app.templates.update("invoice", task="nothing")
    assert (await app.templates.list()).items == [await app.templates.get("invoice")]


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"code": ""}, InvalidOption, "code: expected"),
        ({"code": "a\0"}, InvalidOption, "code: expected"),
        ({"name": 3}, InvalidOption, "name: expected"),
        ({"queue": ""}, InvalidOption, "queue: expected"),
        ({"default_timeout": 0}, InvalidOption, "default_timeout: expected at least a millisecond"),
        ({"default_timeout": "soon"}, InvalidOption, "default_timeout: expected"),
        ({"default_max_attempts": 0}, InvalidOption, "default_max_attempts: expected"),
        ({"active": "yes"}, InvalidOption, "active: expected True or False"),
        ({"display_order": 2**31}, InvalidOption, "display_order: expected"),
        ({"schema": {"type": "strin"}}, InvalidSchema, "schema/type: expected"),
        ({"schema": []}, InvalidSchema, "schema: expected"),
        ({"schema": {"const": float("nan")}}, InvalidSchema, "schema: const"),
        (
            {"schema": {"$ref": "http://127.0.0.1:9/x"}},
            InvalidSchema,
            "nothing is read from elsewhere",
        ),
        (
            {"schema": {"$ref": "file:///etc/passwd"}},
            InvalidSchema,
            "nothing is read from elsewhere",
        ),
        ({"schema": {"description": "x" * 70_000}}, InvalidSchema, "expected at most 65,536 bytes"),
    ],
)
async def test_what_no_template_can_be(
    app: Elihu, fields: dict[str, Any], error: type[ElihuError], words: str
) -> None:
    with pytest.raises(error) as refused:
        await create(app, **fields)
    assert words in str(refused.value)
    assert (await app.templates.list()).items == []
    if "code" not in fields:
        before = await create(app)
        with pytest.raises(error):
            await app.templates.update("invoice", **fields)
        assert await app.templates.get("invoice") == before


async def test_wrong_use_of_the_verbs(app: Elihu) -> None:
    await create(app)
    with pytest.raises(TemplateExists, match="'invoice'"):
        await create(app, name="Another")
    with pytest.raises(InvalidOption, match="expected something to change"):
        await app.templates.update("invoice")
    with pytest.raises(InvalidOption, match="got 'colour'"):
        await app.templates.update("invoice", colour="red")  # type: ignore[call-arg]
    for wrong in ("invoice", "x:invoice", 3, "", "99999999999:a", "0:"):
        with pytest.raises(InvalidOption, match="after: expected the next of the page before"):
            await app.templates.list(after=wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match="limit: expected"):
        await app.templates.list(limit=0)
    with pytest.raises(InvalidOption, match="active: expected"):
        await app.templates.list(active="no")  # type: ignore[arg-type]


async def test_lists_active_inactive_and_all_in_pages(app: Elihu) -> None:
    for code, order, active in (("b", 1, True), ("a:1", 1, False), ("d", 0, True), ("c", -1, True)):
        await create(app, code, display_order=order, active=active)
    assert [found.code for found in (await app.templates.list()).items] == ["c", "d", "a:1", "b"]
    assert [found.code for found in (await app.templates.list(True)).items] == ["c", "d", "b"]
    assert [found.code for found in (await app.templates.list(active=False)).items] == ["a:1"]
    codes, after = [], None
    while True:
        page = await app.templates.list(limit=1, after=after)
        codes += [found.code for found in page.items]
        after = page.next
        if after is None:
            break
        if codes == ["c", "d", "a:1"]:
            await app.templates.delete("a:1")
    assert codes == ["c", "d", "a:1", "b"]


async def test_concurrent_changes_are_all_kept(app: Elihu) -> None:
    await create(app)
    await asyncio.gather(
        app.templates.update("invoice", name="New"),
        app.templates.update("invoice", display_order=3),
        app.templates.update("invoice", active=False),
        app.templates.update("invoice", default_timeout=None),
    )
    found = await app.templates.get("invoice")
    assert (found.name, found.display_order, found.active, found.default_timeout) == (
        "New",
        3,
        False,
        None,
    )


async def test_a_job_of_a_template_runs_with_its_context(app: Elihu, seen: EventRecorder) -> None:
    called = declare(app)
    await create(app)
    job = await app.templates.enqueue("invoice", {"number": 7}, "order-7", run="wake")
    assert (job.template, job.identifier, job.args, job.task, job.queue) == (
        "invoice",
        "order-7",
        {"number": 7},
        "billing.invoice",
        "mail",
    )
    assert (job.priority, job.max_attempts, job.tags, job.state) == (
        2,
        4,
        ("billing",),
        "available",
    )
    assert job == await app.jobs.get(job.id) == await app.jobs.get(identifier="order-7")
    async with app.running(queues={"mail": 2}):
        await seen.stored(job.id, [JobState.COMPLETED])
    assert called == [(7, None)]


async def test_options_of_a_job_come_from_the_template_or_the_call(
    app: Elihu, database_url: str
) -> None:
    """The same where the app knows the task and where it does not."""
    declare(app)
    await create(app, default_timeout="90s", default_max_attempts=3)
    await create(app, "endless", default_timeout=None)
    async with Elihu(database_url) as bare:
        for each in (app, bare):
            plain = await each.templates.enqueue("invoice", {"number": 1})
            given = await each.templates.enqueue(
                "invoice", {"number": 2}, priority=9, timeout="2m", max_attempts=1
            )
            endless = await each.templates.enqueue("endless", {"number": 3})
            assert [job.max_attempts for job in (plain, given, endless)] == [3, 1, 4]
            assert (plain.priority, given.priority) == (2 if each is app else 0, 9)
            assert {job.queue for job in (plain, given, endless)} == {"mail"}
    assert await timeouts(app, "mail") == [90, 120, None] * 2


async def timeouts(app: Elihu, queue: str) -> list[float | None]:
    """The time limits stored with the jobs of a queue, as a node that fetches them
    reads them.
    """
    engine = engine_for(app.config, Bus())
    await engine.open()
    node = str(uuid4())
    await engine.register_node(node, "test", {})
    claims = (await engine.exchange(node, queue, 100, [])).claims
    await engine.close()
    return [json.loads(claim.options or "{}").get("timeout") for claim in sorted(claims)]


@pytest.mark.parametrize(
    ("context", "problems"),
    [
        ({}, [("", "expected a property 'number', got none")]),
        ({"number": "x"}, [("/number", "expected integer, got 'x'")]),
        (
            {"number": 0, "lines": ["a", 2], "colour": 1},
            [
                ("", "expected no other properties, got 'colour'"),
                ("/lines/1", "expected string, got 2"),
                ("/number", "expected a number of at least 1, got 0"),
            ],
        ),
    ],
)
async def test_a_context_that_does_not_fit(
    app: Elihu, context: Any, problems: list[tuple[str, str]]
) -> None:
    declare(app)
    await create(app)
    with pytest.raises(InvalidContext) as refused:
        await app.templates.enqueue("invoice", context, "order-1", run="now")
    assert list(refused.value.problems) == problems
    for place, problem in problems:
        assert (
            f"{place}: {problem}" in str(refused.value) if place else problem in str(refused.value)
        )
    assert await app.jobs.count() == 0


@pytest.mark.parametrize(
    ("context", "options", "error"),
    [
        ([1], {}, InvalidContext),
        ({"number": float("nan")}, {}, InvalidContext),
        ({"number": 1, "lines": ["\0"]}, {}, InvalidContext),
        ({"number": 1, "lines": ["\ud800"]}, {}, InvalidContext),
        ({"number": 1, "lines": ["x" * 2_000_000]}, {}, InvalidContext),
        ({"number": 1}, {"run": "soon"}, InvalidOption),
        ({"number": 1}, {"priority": 10}, InvalidOption),
        ({"number": 1}, {"priority": 0, "run": "now"}, InvalidOption),
        ({"number": 1}, {"timeout": 0}, InvalidOption),
        ({"number": 1}, {"max_attempts": 0}, InvalidOption),
        ({"number": 1}, {"identifier": ""}, InvalidOption),
        ({"number": 1}, {"identifier": "a\0"}, InvalidOption),
    ],
)
@pytest.mark.parametrize("knows", [True, False])
async def test_what_cannot_be_enqueued(
    app: Elihu, context: Any, options: dict[str, Any], error: type[ElihuError], knows: bool
) -> None:
    await create(app)
    if knows:
        declare(app)
    with pytest.raises(error):
        await app.templates.enqueue("invoice", context, **options)
    assert await app.jobs.count() == 0


async def test_an_unknown_and_an_inactive_template(app: Elihu) -> None:
    with pytest.raises(UnknownTemplate, match="'invoice'"):
        await app.templates.enqueue("invoice", {"number": 1})
    await create(app, active=False)
    with pytest.raises(TemplateInactive, match="'invoice'"):
        await app.templates.enqueue("invoice", {"number": 1})
    assert await app.jobs.count() == 0
    await app.templates.update("invoice", active=True)
    await app.templates.enqueue("invoice", {"number": 1})
    assert await app.jobs.count(template="invoice") == 1


async def test_a_context_must_fit_the_task_too(app: Elihu) -> None:
    declare(app)
    await create(app, schema={})
    with pytest.raises(InvalidArguments) as refused:
        await app.templates.enqueue("invoice", {"number": 1, "colour": "red"})
    assert refused.value.field == "colour"
    assert await app.jobs.count() == 0


async def test_an_identifier_is_taken_once(app: Elihu) -> None:
    await create(app)
    job = await app.templates.enqueue("invoice", {"number": 1}, "order-1")
    with pytest.raises(IdentifierTaken) as taken:
        await app.templates.enqueue("invoice", {"number": 2}, "order-1")
    assert (taken.value.identifier, taken.value.holder, taken.value.state) == (
        "order-1",
        job.id,
        "available",
    )
    await app.jobs.cancel(job.id)
    with pytest.raises(IdentifierTaken, match=rf"job {job.id} has \(cancelled\)"):
        await app.templates.enqueue("invoice", {"number": 2}, "order-1")
    await app.jobs.delete(job.id)
    assert (await app.templates.enqueue("invoice", {"number": 2}, "order-1")).id > job.id
    assert await app.jobs.count() == 1


async def test_a_refused_identifier_fails_no_other_caller(app: Elihu) -> None:
    await create(app)
    answers = await asyncio.gather(
        *(
            app.templates.enqueue(
                "invoice", {"number": number}, f"n{number % 5}" if number % 2 else None
            )
            for number in range(1, 41)
        ),
        return_exceptions=True,
    )
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert {type(answer) for answer in refused} == {IdentifierTaken}
    assert await app.jobs.count() == 40 - len(refused) == 25


async def test_jobs_by_identifier(app: Elihu) -> None:
    await create(app)
    for number in (1, 2, 3):
        await app.templates.enqueue("invoice", {"number": number}, f"order-{number}")
    assert [await app.jobs.position(identifier=f"order-{number}") for number in (1, 2, 3)] == [
        1,
        2,
        3,
    ]
    assert await app.jobs.position(2) == 2
    for verb in (app.jobs.get, app.jobs.position):
        with pytest.raises(JobNotFound, match="identifier of a stored job, got 'order-9'"):
            await verb(identifier="order-9")
        with pytest.raises(InvalidOption, match="expected an id or an identifier, got both"):
            await verb(1, identifier="order-1")
        with pytest.raises(InvalidOption, match="id: expected"):
            await verb()


async def test_a_changed_job_still_fits_its_template(app: Elihu) -> None:
    declare(app)
    await create(app)
    job = await app.templates.enqueue("invoice", {"number": 1})
    with pytest.raises(InvalidContext) as refused:
        await app.jobs.update(job.id, args={"number": "x"})
    assert refused.value.problems[0][0] == "/number"
    changed = await app.jobs.update(job.id, args={"number": 5})
    assert changed.args == {"number": 5}
    await app.templates.delete("invoice")
    with pytest.raises(UnknownTemplate):
        await app.jobs.update(job.id, args={"number": 6})
    assert (await app.jobs.get(job.id)).args == {"number": 5}
    await app.jobs.cancel(job.id)
    with pytest.raises(InvalidTransition):
        await app.jobs.update(job.id, priority=1)


async def test_a_unique_task_stays_unique(app: Elihu) -> None:
    @app.task(name="once", unique=Unique(by=("task", "args"), keys=("number",)))
    async def once(number: int, note: str = "") -> None: ...

    await app.templates.create("once", "Once", "once", {})
    first = await app.templates.enqueue("once", {"number": 1}, "a")
    again = await app.templates.enqueue("once", {"note": "x", "number": 1}, "b")
    assert (again.id, again.conflict, again.identifier) == (first.id, True, "a")
    assert (await once.aenqueue(1)).id == first.id


# run


async def test_run_announces_or_not(app: Elihu) -> None:
    hub, announced = Hub(), []
    hub.join(lambda signal: announced.append(signal.payload))
    client = Client(app.config, Bus(), hub)
    templates = Templates(lambda: client, Registry(), lambda: 1_000)
    await create(app)
    for identifier in (None, "a"):
        await templates.enqueue("invoice", {"number": 1}, identifier)
    await templates.enqueue("invoice", {"number": 1}, run="queued")
    assert announced == []
    for number, run in enumerate(("wake", "now"), 1):
        await templates.enqueue("invoice", {"number": 1}, f"{run}-1", run=run)  # type: ignore[arg-type]
        assert announced == ["default"] * number
    await client.close()


async def test_now_goes_to_the_front_and_wake_keeps_the_order(app: Elihu) -> None:
    declare(app)
    await create(app)
    queued = [
        await app.templates.enqueue("invoice", {"number": 1}, priority=priority)
        for priority in (0, 0, 5)
    ]
    woken = await app.templates.enqueue("invoice", {"number": 2}, run="wake", priority=3)
    now = await app.templates.enqueue("invoice", {"number": 3}, run="now")
    newer = await app.templates.enqueue("invoice", {"number": 4}, run="now")
    order = [newer, now, queued[0], queued[1], woken, queued[2]]
    assert [await app.jobs.position(job.id) for job in order] == [1, 2, 3, 4, 5, 6]
    assert (now.priority, now.state) == (0, "available")
    first = await app.jobs.get(queued[0].id)
    assert (
        newer.scheduled_at
        < now.scheduled_at
        < first.scheduled_at
        <= first.inserted_at
        < now.inserted_at
    )


async def test_now_in_an_empty_queue_has_its_own_time(app: Elihu) -> None:
    await create(app)
    job = await app.templates.enqueue("invoice", {"number": 1}, run="now")
    assert abs((job.inserted_at - job.scheduled_at).total_seconds()) < 1


async def test_now_waits_for_a_slot_like_any_other(app: Elihu, seen: EventRecorder) -> None:
    running: list[int] = []
    most = 0
    go = asyncio.Event()

    @app.task(name="slow")
    async def slow(number: int) -> None:
        nonlocal most
        running.append(number)
        most = max(most, len(running))
        if number == 0:
            await go.wait()
        running.remove(number)
        order.append(number)

    order: list[int] = []
    await app.templates.create("slow", "Slow", "slow", {})
    first = await app.templates.enqueue("slow", {"number": 0}, run="wake")
    async with app.running(queues={"default": 1}):
        await seen.until(lambda: running == [0])
        await app.templates.enqueue("slow", {"number": 1}, run="wake")
        last = await app.templates.enqueue("slow", {"number": 2}, run="now")
        assert running == [0]
        go.set()
        for job in (first, last):
            await seen.stored(job.id, [JobState.COMPLETED])
        await seen.until(lambda: len(order) == 3)
    assert (order, most) == ([0, 2, 1], 1)


# sync


async def test_sync_makes_templates_of_signatures(app: Elihu) -> None:
    @app.task(template="report", name="report", queue="slow", max_attempts=7)
    def report(
        month: date,
        ids: list[UUID],
        share: Decimal = Decimal(1),
        note: str | None = None,
        *,
        extra: Any = None,
    ) -> None:
        """Write the report of a month.

        All of it.
        """

    @app.task(name="plain")
    def plain() -> None: ...

    synced = await app.templates.sync()
    assert (synced.created, synced.updated, synced.unchanged, synced.kept) == (
        ["report"],
        [],
        [],
        [],
    )
    template = await app.templates.get("report")
    assert (template.name, template.task, template.queue) == (
        "Write the report of a month",
        "report",
        "slow",
    )
    assert (template.default_max_attempts, template.active) == (7, True)
    assert sorted(template.schema["properties"]) == ["extra", "ids", "month", "note", "share"]
    assert sorted(template.schema["required"]) == ["ids", "month"]
    good = {
        "month": "2030-01-31",
        "ids": ["c0a8012e-0000-4000-8000-000000000000"],
        "share": "0.5",
        "extra": {"a": [1]},
    }
    assert (await app.templates.enqueue("report", good)).args == good
    with pytest.raises(InvalidContext) as refused:
        await app.templates.enqueue("report", {"month": "soon", "ids": ["x"], "colour": 1})
    assert [place for place, _ in refused.value.problems] == ["", "/ids/0", "/month"]


def generation(database_url: str, number: int) -> Elihu:
    """The app as its code was in some release: the second one has another argument."""
    app = Elihu(database_url)
    if number == 1:

        @app.task(template="a", name="a")
        def a(x: int) -> None: ...

    else:

        @app.task(template="a", name="a")
        def a_with_y(x: int, y: int) -> None: ...

    return app


async def test_sync_brings_its_own_up_to_date_and_leaves_a_persons_alone(
    app: Elihu, database_url: str
) -> None:
    async with generation(database_url, 1) as old, generation(database_url, 2) as new:
        await old.templates.sync()
        assert (await old.templates.sync()).unchanged == ["a"]
        await app.templates.update("a", active=False, display_order=5)
        assert (await old.templates.sync()).unchanged == ["a"]
        assert (await new.templates.sync()).updated == ["a"]
        template = await app.templates.get("a")
        assert sorted(template.schema["properties"]) == ["x", "y"]
        assert (template.active, template.display_order) == (False, 5)

        mine = await app.templates.update("a", default_timeout="1m", name="Mine")
        assert (await new.templates.sync()).kept == ["a"]
        assert (await old.templates.sync()).kept == ["a"]
        assert await app.templates.get("a") == mine
        assert (await new.templates.sync(force=True)).updated == ["a"]
        template = await app.templates.get("a")
        assert (
            template.name,
            template.default_timeout,
            template.active,
            template.display_order,
        ) == ("a", None, False, 5)
        assert (await new.templates.sync()).unchanged == ["a"]


async def test_sync_keeps_what_a_person_created(app: Elihu, database_url: str) -> None:
    async with generation(database_url, 1) as code:
        mine = await app.templates.create("a", "Mine", "a", {})
        assert (await code.templates.sync()).kept == ["a"]
        assert await app.templates.get("a") == mine
        assert (await code.templates.sync(True)).updated == ["a"]


async def test_concurrent_synchronisations_agree(app: Elihu, database_url: str) -> None:
    async with generation(database_url, 1) as one, generation(database_url, 1) as two:
        done = await asyncio.gather(one.templates.sync(), two.templates.sync())
        assert sorted(done[0].created + done[1].created) == ["a"]
        assert sorted(done[0].unchanged + done[1].unchanged) == ["a"]
        assert len((await app.templates.list()).items) == 1


async def test_sync_refuses_the_whole_where_a_part_is_wrong(app: Elihu) -> None:
    @app.task(template="a", name="first")
    def first() -> None: ...

    @app.task(template="a", name="second")
    def second() -> None: ...

    with pytest.raises(InvalidOption, match="got first and second"):
        await app.templates.sync()
    with pytest.raises(InvalidOption, match="force: expected True or False"):
        await Elihu(app.config.database_url).templates.sync(force="yes")  # type: ignore[arg-type]
    assert (await app.templates.list()).items == []


async def test_the_option_template_is_checked(app: Elihu) -> None:
    for wrong in ("", "a\0", 3):
        with pytest.raises(InvalidOption, match="template: expected a text"):

            @app.task(name="a", template=wrong)  # type: ignore[arg-type]
            def a() -> None: ...


async def test_arguments_that_no_schema_describes(app: Elihu) -> None:
    @app.task(template="a", name="a")
    def a(at: Anything) -> None: ...

    with pytest.raises(
        InvalidTask, match="task a: expected arguments that a JSON Schema can describe"
    ):
        await app.templates.sync()
