"""``app.templates.sync``: templates made of the signatures of tasks."""

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic_core import core_schema

from elihu import (
    Elihu,
    InvalidContext,
    InvalidOption,
    InvalidTask,
)


class Anything:
    """A type that pydantic can read and write, and not describe."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(
            lambda value: value, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


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
