"""Jobs enqueued from a template: their context, options and identifiers."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from elihu import (
    Elihu,
    ElihuError,
    IdentifierTaken,
    InvalidArguments,
    InvalidContext,
    InvalidOption,
    InvalidTransition,
    JobNotFound,
    JobState,
    TemplateInactive,
    Unique,
    UnknownTemplate,
)
from elihu.engines.select import engine_for
from elihu.telemetry.bus import Bus
from tests.features.template_tasks import create, declare
from tests.support import EventRecorder

pytestmark = pytest.mark.sqlite_first


async def test_a_job_of_a_template_runs_with_its_context(app: Elihu, events: EventRecorder) -> None:
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
        await events.stored(job.id, [JobState.COMPLETED])
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
    in_order = sorted(claims, key=lambda claim: claim.id)
    return [json.loads(claim.options or "{}").get("timeout") for claim in in_order]


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
    with pytest.raises(IdentifierTaken, match=rf"taken by job {job.id} \(cancelled\)"):
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
        with pytest.raises(JobNotFound, match="job with the identifier 'order-9' not found"):
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
