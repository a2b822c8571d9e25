"""Events reach those who asked for their type, and nobody else."""

import logging
from dataclasses import dataclass

import pytest

from elihu.telemetry.bus import Bus
from elihu.telemetry.events import Event, JobRaised, JobStarted, JobStopped, NodeStarted


def started(job_id: int = 1) -> JobStarted:
    return JobStarted(job_id=job_id, claim=1, task="x", queue="default", attempt=1, node="n")


def raised() -> JobRaised:
    return JobRaised(
        job_id=1,
        claim=1,
        task="x",
        queue="default",
        attempt=1,
        node="n",
        outcome="failed",
        state="retryable",
        duration=0.1,
        error=ValueError(),
    )


def test_by_type_and_by_base() -> None:
    bus = Bus()
    stopped: list[JobStopped] = []
    everything: list[Event] = []
    bus.on(JobStopped, stopped.append)
    bus.on(Event, everything.append)
    events = [started(), raised(), NodeStarted(node="n")]
    for event in events:
        bus.emit(event)
    assert stopped == [events[1]]
    assert everything == events


def test_whether_anybody_listens() -> None:
    bus = Bus()
    assert JobStarted not in bus
    off = bus.on(JobStopped, lambda event: None)
    assert JobRaised in bus
    assert JobStopped in bus
    assert JobStarted not in bus
    assert Event not in bus
    off()
    assert JobRaised not in bus
    bus.on(Event, lambda event: None)
    assert NodeStarted in bus


def test_ending_a_subscription() -> None:
    bus = Bus()
    seen: list[int] = []
    off = bus.on(JobStarted, lambda event: seen.append(event.job_id))
    bus.emit(started(1))
    off()
    off()
    bus.emit(started(2))
    assert seen == [1]


def test_one_handler_for_two_types_is_ended_one_by_one() -> None:
    bus = Bus()
    seen: list[Event] = []
    off = bus.on(JobStarted, seen.append)
    bus.on(NodeStarted, seen.append)
    off()
    bus.emit(started())
    bus.emit(NodeStarted(node="n"))
    assert seen == [NodeStarted(node="n")]


def test_handlers_come_in_the_order_of_subscription() -> None:
    bus = Bus()
    seen: list[str] = []
    for name in ("a", "b", "c"):
        bus.on(JobStarted, lambda event, name=name: seen.append(name))  # type: ignore[misc]
    bus.emit(started())
    assert seen == ["a", "b", "c"]


def test_a_handler_that_raises_is_logged_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = Bus()
    seen: list[Event] = []

    def broken(event: Event) -> None:
        raise ValueError("broken handler")

    bus.on(JobStarted, broken)
    bus.on(JobStarted, seen.append)
    with caplog.at_level(logging.ERROR, "elihu"):
        bus.emit(started())
    assert len(seen) == 1
    assert "a handler of JobStarted raised" in caplog.text
    assert "broken handler" in caplog.text


def test_subscribing_while_an_event_is_delivered() -> None:
    bus = Bus()
    seen: list[Event] = []

    def subscribe(event: JobStarted) -> None:
        bus.on(JobStarted, seen.append)

    bus.on(JobStarted, subscribe)
    bus.emit(started())
    assert seen == []
    bus.emit(started())
    assert len(seen) == 1


def test_types_of_users_own() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Mine(Event):
        value: int

    bus = Bus()
    seen: list[Mine] = []
    bus.on(Mine, seen.append)
    bus.emit(Mine(value=3))
    assert seen == [Mine(value=3)]


def test_events_are_frozen() -> None:
    with pytest.raises(AttributeError):
        started().job_id = 2  # type: ignore[misc]
