"""Identifiers: one index decides, and the refusal names the holder."""

import asyncio
from dataclasses import replace

import pytest

from elihu.engines.protocol import Engine
from elihu.errors import DataRefused, IdentifierTaken
from elihu.job import JobFilter, JobState
from tests.engines.builders import ANY, fetch, in_state, job, new, node, only, put


async def test_a_job_is_found_by_its_identifier(engine: Engine) -> None:
    first, second, _ = await put(
        engine, new(identifier="a"), new(identifier="b", template="kind", expires=60), new()
    )
    found = await engine.get_by_identifier("b")
    assert found is not None
    assert (found.id, found.identifier, found.template) == (second, "b", "kind")
    assert found.expires_at is not None
    assert (found.expires_at - found.scheduled_at).total_seconds() == 60
    assert (
        found
        == await job(engine, second)
        == (await engine.find(JobFilter(template=("kind",)), None, 9)).items[0]
    )
    assert (await job(engine, first)).identifier == "a"
    assert await engine.get_by_identifier("c") is None


@pytest.mark.parametrize("state", JobState)
async def test_a_stored_job_of_any_state_holds_its_identifier(
    engine: Engine, state: JobState
) -> None:
    holder = await in_state(engine, state, identifier="a")
    with pytest.raises(IdentifierTaken) as taken:
        await put(engine, new(identifier="a"))
    assert (taken.value.identifier, taken.value.holder, taken.value.state) == ("a", holder, state)
    assert str(holder) in str(taken.value)
    assert state in str(taken.value)
    assert await engine.count(ANY) == 1


async def test_an_identifier_is_free_again_when_its_job_goes(engine: Engine) -> None:
    (first,) = await put(engine, new(identifier="a"))
    await engine.delete(only(first))
    (second,) = await put(engine, new(identifier="a"))
    assert second > first


async def test_a_batch_with_a_taken_identifier_stores_nothing(engine: Engine) -> None:
    (holder,) = await put(engine, new(identifier="b"))
    for unique_key, unique_scope in ((None, None), (b"key", 0)):
        jobs = [
            new(),
            new(identifier="a"),
            new(identifier="b"),
            new(unique_key=unique_key, unique_scope=unique_scope),
        ]
        with pytest.raises(IdentifierTaken) as taken:
            await engine.insert(jobs)
        assert taken.value.holder == holder
        assert await engine.count(ANY) == 1
    await put(engine, *(replace(new(), identifier=f"n{number}") for number in range(600)))
    assert await engine.count(ANY) == 601


async def test_one_identifier_twice_in_a_batch_is_refused(engine: Engine) -> None:
    with pytest.raises((DataRefused, IdentifierTaken)):
        await put(engine, new(identifier="a"), new(identifier="a"))
    assert await engine.count(ANY) == 0


async def test_the_holder_of_a_unique_key_comes_before_the_identifier(engine: Engine) -> None:
    """The job that holds the key is the answer, and there is no second one to have the
    identifier.
    """
    holder = new(unique_key=b"key", unique_scope=0, identifier="a")
    (first,) = await engine.insert([holder])
    (again,) = await engine.insert([holder])
    assert (again.id, again.conflict) == (first.id, True)
    (other,) = await engine.insert([replace(holder, identifier="b")])
    assert (other.id, other.conflict) == (first.id, True)
    assert await engine.get_by_identifier("b") is None


async def test_a_race_has_one_winner(engine: Engine, other: Engine) -> None:
    for round_ in range(5):
        answers = await asyncio.gather(
            *(
                (engine, other)[turn % 2].insert([new(identifier=f"r{round_}")])
                for turn in range(8)
            ),
            return_exceptions=True,
        )
        stored = [answer[0].id for answer in answers if isinstance(answer, list)]
        refused = [answer for answer in answers if isinstance(answer, IdentifierTaken)]
        assert (len(stored), len(refused)) == (1, 7)
        assert {answer.holder for answer in refused} == set(stored)


async def test_jobs_are_found_and_changed_by_template(engine: Engine) -> None:
    one, two, _ = await put(engine, new(template="one"), new(template="two"), new())
    assert await engine.count(JobFilter(template=("one", "two"))) == 2
    assert [
        found.id for found in (await engine.find(JobFilter(template=("two",)), None, 9)).items
    ] == [two]
    assert (await engine.cancel(JobFilter(template=("one",)))).changed == 1
    assert (await job(engine, one)).state is JobState.CANCELLED
    assert await engine.count(JobFilter(template=())) == 0


async def test_the_front_of_a_queue(engine: Engine) -> None:
    empty = await engine.front("default")
    assert empty.before_all == empty.now
    ids = await put(
        engine, new(priority=1, queue="q"), new(queue="q"), new(queue="q"), new(queue="other")
    )
    front = await engine.front("q")
    first = await job(engine, ids[1])
    assert (first.scheduled_at - front.before_all).total_seconds() == pytest.approx(1e-6)
    (placed,) = await put(engine, new(queue="q", run_at=front.before_all))
    assert await engine.position(placed) == 1
    assert [claim.id for claim in await fetch(engine, await node(engine), queue="q")] == [
        placed,
        ids[1],
        ids[2],
        ids[0],
    ]
