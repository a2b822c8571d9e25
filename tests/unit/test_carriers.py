"""What new jobs carry from the code that enqueues them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from elihu import Elihu, InvalidOption, NewJob
from elihu.enqueue import Carriers


@pytest.fixture
def new() -> NewJob:
    app = Elihu("sqlite:///x.db")

    @app.task(name="t")
    async def t() -> None: ...

    return t.using(meta={"shelf": 7, "own": "kept"}).build()


def meta(new: NewJob) -> Any:
    return json.loads(new.meta or "{}")


def test_texts_are_added_and_keys_stay(new: NewJob):
    carriers = Carriers([lambda job: {"task": job.task, "own": "lost"}, lambda job: {"b": "2"}])
    assert meta(carriers.apply(new)) == {"shelf": 7, "own": "kept", "task": "t", "b": "2"}


def test_nothing_to_carry_leaves_the_job(new: NewJob):
    assert Carriers([lambda job: {}]).apply(new) is new


async def test_streams_carry_too(new: NewJob):
    carriers = Carriers([lambda job: {"b": "2"}])

    async def stream() -> AsyncIterator[NewJob]:
        yield new

    assert [meta(each)["b"] for each in carriers.apply_all([new])] == ["2"]  # type: ignore[union-attr]
    assert [meta(each)["b"] async for each in carriers.apply_all(stream())] == ["2"]  # type: ignore[union-attr]


def test_what_is_no_job_is_refused():
    with pytest.raises(InvalidOption, match="expected a job made by"):
        Carriers([lambda job: {}]).apply("no")  # type: ignore[arg-type]
