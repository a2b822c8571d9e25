"""Job kinds in the database: made, changed, listed and deleted."""

import asyncio
from typing import Any

import pytest

from elihu import (
    Elihu,
    ElihuError,
    InvalidOption,
    InvalidSchema,
    TemplateExists,
    UnknownTask,
    UnknownTemplate,
)
from tests.features.template_tasks import SCHEMA, create, declare

pytestmark = pytest.mark.sqlite_first


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
    with pytest.raises(InvalidOption, match="expected fields to change"):
        await app.templates.update("invoice")
    with pytest.raises(InvalidOption, match=r"out of active, default_.*, task, got 'colour'"):
        await app.templates.update("invoice", colour="red")  # type: ignore[call-arg]
    for wrong in ("invoice", "x:invoice", 3, "", "99999999999:a", "0:"):
        with pytest.raises(InvalidOption, match="after: expected the previous page's next"):
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
