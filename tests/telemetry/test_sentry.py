"""Errors of jobs, by the SDK of Sentry and a transport that keeps what it gets."""

from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport

from elihu import Elihu, Snooze
from elihu.telemetry import sentry
from tests.support import QUICK, make_tables
from tests.telemetry import failing


class Kept(Transport):
    """Keeps the events."""

    def __init__(self, *_: Any) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        if (event := envelope.get_event()) is not None:
            self.events.append(dict(event))


@pytest.fixture
def kept() -> Iterator[Kept]:
    transport = Kept()
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        transport=transport,
        default_integrations=False,
        integrations=[LoggingIntegration()],
        auto_enabling_integrations=False,
    )
    yield transport
    sentry_sdk.get_client().close()
    sentry_sdk.init()


def tags(event: dict[str, Any]) -> dict[str, str]:
    return {name: event["tags"][f"elihu.{name}"] for name in ("job_id", "task", "attempt", "queue")}


async def test_a_failure_for_good_is_one_event(app: Elihu, kept: Kept):
    sentry.instrument(app)
    snoozed = False

    @app.task(name="flaky", max_attempts=2, backoff=0)
    async def flaky() -> None:
        nonlocal snoozed
        if not snoozed:
            snoozed = True
            raise Snooze(0)
        raise ValueError("declined")

    async with app.running():
        relay = await flaky.asubmit()
        with pytest.raises(ValueError, match="declined"):
            await relay.aresult(timeout=20, wait_retries=True)
    (event,) = kept.events
    assert tags(event) == {
        "job_id": str(relay.job.id), "task": "flaky", "attempt": "2", "queue": "default",
    }  # fmt: skip
    (error,) = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("ValueError", "declined")
    assert error["stacktrace"]["frames"][-1]["function"] == "flaky"
    assert event["transaction"] == "flaky"
    assert event["contexts"]["elihu"]["state"] == "discarded"


async def test_what_a_task_sends_has_its_tags_and_its_breadcrumbs(app: Elihu, kept: Kept):
    sentry.instrument(app)

    @app.task(name="speaks")
    def speaks(number: int) -> None:
        sentry_sdk.add_breadcrumb(message=f"crumb {number}")
        sentry_sdk.capture_message(f"message {number}")

    async with app.running({"default": 1}):
        relays = [await speaks.asubmit(number) for number in (1, 2)]
        for relay in relays:
            await relay.aresult(timeout=20)
    for number, (relay, event) in enumerate(zip(relays, kept.events, strict=True), 1):
        assert event["message"] == f"message {number}"
        assert tags(event)["job_id"] == str(relay.job.id)
        crumbs = [each.get("message") for each in event["breadcrumbs"]["values"]]
        assert [each for each in crumbs if each and each.startswith("crumb")] == [f"crumb {number}"]


async def test_the_error_of_a_child_process_has_its_frames(database_url: str, kept: Kept):
    await make_tables(database_url)
    before = failing.app.config
    failing.app.override(database_url=database_url, **QUICK)
    try:
        async with failing.app, failing.app.running():
            relay = await failing.process.asubmit()
            with pytest.raises(ValueError, match="declined in a child"):
                await relay.aresult(timeout=40)
    finally:
        failing.app.config = before
    (event,) = kept.events
    (error,) = event["exception"]["values"]
    assert error["stacktrace"]["frames"][-1]["function"] == "process"
    assert error["stacktrace"]["frames"][-1]["filename"] == "failing.py"
