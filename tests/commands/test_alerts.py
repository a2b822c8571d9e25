"""Alerts: for which events, how often, how signed, and where they may not go."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from elihu import InvalidFields, RecordNotFound
from elihu.commands.models import AlertQuiet, CommandJob, CommandJobEvent
from elihu.commands.rules import alerts, commands, environments, variables
from elihu.commands.watch import find_late, find_long, watch
from elihu.commands.webhook import DeliveryFailed, is_public, post, signature
from tests.commands.receivers import Receiver, mails, webhooks
from tests.commands.workshop import Workshop, until

pytestmark = pytest.mark.sqlite_first

SECRET = "signing-secret"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with webhooks() as receiver:
        yield receiver


@pytest.fixture
def watched(serving: Workshop) -> Workshop:
    serving.app.override(commands={"private_targets": True})
    return serving


async def alert(
    workshop: Workshop, target: str, events: Sequence[Any] = ("failed",), **given: Any
) -> UUID:
    values = {"name": f"on {events}", "channel": "webhook", **given}
    async with workshop.sessions.begin() as session:
        made = await alerts.create(session, workshop.host, on=events, target=target, **values)
        return made.id


async def finished(workshop: Workshop, text: str, where: UUID, **given: Any) -> CommandJob:
    command = await workshop.command(text, **given)
    return await workshop.until(await workshop.run(command, environment_id=where))


async def test_a_failed_run_posts_its_facts_and_its_last_lines_signed(
    watched: Workshop, receiver: Receiver
) -> None:
    where = await watched.environment()
    async with watched.sessions.begin() as session:
        await variables.create(session, watched.host, name="HIDDEN", secret="hidden-value")
    await alert(watched, receiver.url, secret=SECRET)
    text = 'for i in $(seq 30); do echo "$i $HIDDEN"; done; exit 7'
    run = await finished(watched, text, where.id)
    await receiver.until(lambda: bool(receiver.bodies))
    (event,), (headers,) = receiver.events, receiver.headers
    assert event["event"] == "failed"
    assert event["run"]["id"] == str(run.id)
    assert (event["run"]["status"], event["run"]["exit_code"]) == ("failed", 7)
    assert (event["run"]["environment"], event["held"]) == ("prod", 0)
    assert len(event["output"]) == 20
    assert event["output"][-1].startswith("30 ")
    assert "hidden-value" not in receiver.bodies[0].decode()
    assert headers["path"] == "/hook?x=1"
    at = int(headers["elihu-signature"].split(",")[0].removeprefix("t="))
    assert headers["elihu-signature"] == signature(SECRET, receiver.bodies[0], at)


async def test_a_run_alerts_once_after_its_last_attempt(
    watched: Workshop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elihu.commands.attempts.FIRST_RETRY", 0.05)
    where = await watched.environment()
    await alert(watched, receiver.url)
    await finished(watched, "exit 1", where.id, max_attempts=3)
    await receiver.until(lambda: bool(receiver.bodies))
    assert [event["run"]["attempt"] for event in receiver.events] == [3]


async def test_recovered_follows_the_first_success_after_a_failure(
    watched: Workshop, receiver: Receiver
) -> None:
    where = await watched.environment()
    await alert(watched, receiver.url, ["recovered"])
    command = await watched.command("true")
    seen = []
    for text in ("true", "exit 1", "true", "true"):
        async with watched.sessions.begin() as session:
            await commands.update(session, command.id, shell_command=text)
        run = await watched.until(await watched.run(command, environment_id=where.id))
        seen.append(str(run.id))
    await receiver.until(lambda: bool(receiver.bodies))
    assert [event["run"]["id"] for event in receiver.events] == [seen[2]]
    assert await watched.app.jobs.count(task="commands.alert") == 1


async def test_an_alert_is_for_its_commands_and_environments_alone(
    watched: Workshop, receiver: Receiver
) -> None:
    here, there = await watched.environment("here"), await watched.environment("there")
    mine, other = await watched.command("exit 1"), await watched.command("exit 1")
    made = await alert(watched, receiver.url, command_ids=[mine.id], environment_ids=[here.id])
    for command, where in ((other, here), (mine, there), (mine, here)):
        await watched.until(await watched.run(command, environment_id=where.id))
    await receiver.until(lambda: bool(receiver.bodies))
    assert [(e["run"]["command"], e["run"]["environment"]) for e in receiver.events] == [
        (mine.name, "here")
    ]
    async with watched.sessions.begin() as session:
        await alerts.update(session, watched.host, made, enabled=False)
    with pytest.raises(InvalidFields, match="is for this environment alone"):
        async with watched.sessions.begin() as session:
            await environments.delete(session, here.id)
    with pytest.raises(InvalidFields, match="is for this command alone"):
        async with watched.sessions.begin() as session:
            await commands.delete(session, mine.id)


async def test_repeated_failures_are_held_back_and_then_summed(
    watched: Workshop, receiver: Receiver
) -> None:
    where = await watched.environment()
    made = await alert(watched, receiver.url)
    command = await watched.command("exit 1")
    last = ""
    for _ in range(4):
        run = await watched.until(await watched.run(command, environment_id=where.id))
        last = str(run.id)
    assert (await watch(watched.host))["summed"] == 0
    async with watched.sessions.begin() as session:
        earlier = await watched.now() - timedelta(hours=2)
        await session.execute(
            update(AlertQuiet).where(AlertQuiet.alert_id == made).values(sent_at=earlier)
        )
    assert (await watch(watched.host))["summed"] == 1
    assert (await watch(watched.host))["summed"] == 0
    await receiver.until(lambda: len(receiver.bodies) == 2)
    assert [event["held"] for event in receiver.events] == [0, 2]
    assert receiver.events[1]["run"]["id"] == last


async def test_skipped_late_and_long_runs_are_reported_once(
    watched: Workshop, receiver: Receiver
) -> None:
    where = await watched.environment()
    await alert(watched, receiver.url, ["skipped", "late", "long"])
    quick = await watched.command("true", name="quick")
    await watched.until(await watched.run(quick, environment_id=where.id))
    async with watched.sessions.begin() as session:
        await session.execute(
            update(CommandJobEvent)
            .where(CommandJobEvent.status == "succeeded")
            .values(duration_ms=100_000)
        )
        await commands.update(session, quick.id, shell_command="sleep 300")
    slow = await watched.run(quick, environment_id=where.id)
    await watched.until(slow, {"running"})
    skipped = await watched.run(quick, environment_id=where.id)
    assert skipped.status == "skipped"
    assert await find_long(watched.host) == 0
    async with watched.sessions.begin() as session:
        await session.execute(
            update(CommandJobEvent)
            .where(CommandJobEvent.command_job_id == slow.id)
            .values(started_at=await watched.now() - timedelta(minutes=10))
        )
    assert (await find_long(watched.host), await find_long(watched.host)) == (1, 0)
    async with watched.sessions.begin() as session:
        late = await session.get(CommandJob, skipped.id)
        assert late is not None
        late.status, late.occurrence = "queued", await watched.now() - timedelta(minutes=6)
    assert (await find_late(watched.host), await find_late(watched.host)) == (1, 0)
    await receiver.until(lambda: len(receiver.bodies) == 3)
    assert {event["event"] for event in receiver.events} == {"skipped", "late", "long"}
    await watched.kill(slow)
    await watched.until(slow)


async def test_a_delivery_is_tried_again_and_not_where_that_cannot_help(
    watched: Workshop, receiver: Receiver
) -> None:
    receiver.statuses = [503]
    where = await watched.environment()
    await alert(watched, receiver.url)
    await finished(watched, "exit 1", where.id)
    await receiver.until(lambda: bool(receiver.bodies))
    (job,) = (await watched.app.jobs.list(task="commands.alert")).items
    assert job.max_attempts == 10
    receiver.statuses = [404]
    other = await watched.environment("other")
    await finished(watched, "exit 1", other.id)
    await receiver.until(lambda: len(receiver.bodies) >= 2)

    async def discarded() -> bool:
        found = (await watched.app.jobs.list(task="commands.alert", state="discarded")).items
        return [each.reason or "" for each in found] == [
            "127.0.0.1: expected a status of 200 to 299, got 404"
        ]

    await until(discarded)


async def test_an_email_goes_through_the_configured_server(serving: Workshop) -> None:
    async with mails() as server:
        serving.app.override(
            commands={
                "smtp_host": "127.0.0.1",
                "smtp_port": server.port,
                "smtp_from": "elihu@example.org",
                "smtp_security": "none",
            }
        )
        where = await serving.environment()
        made = await alert(serving, "ops@example.org", channel="email")
        await finished(serving, "echo oh no; exit 3", where.id, name="nightly")
        await server.until(lambda: bool(server.mails))
        assert "Subject: [elihu] failed: nightly in prod" in server.mails[0]
        assert "To: ops@example.org" in server.mails[0]
        assert "exit_code: 3" in server.mails[0]
        assert "oh no" in server.mails[0]
        async with serving.sessions.begin() as session:
            await alerts.update(session, serving.host, made, enabled=False)
            await alerts.test(session, serving.host, made)
        await server.until(lambda: len(server.mails) == 2)
        assert "Subject: [elihu] test of" in server.mails[1]


@pytest.mark.parametrize(
    ("channel", "target"),
    [
        ("webhook", "ftp://example.org/"),
        ("webhook", "https://"),
        ("webhook", "https://user:pw@example.org/"),
        ("webhook", "https://example.org:x/"),
        ("webhook", "http://127.0.0.1/"),
        ("webhook", "http://[::1]/"),
        ("webhook", "http://10.0.0.1/"),
        ("webhook", "http://169.254.169.254/latest"),
        ("webhook", "not a url"),
        ("email", "nobody"),
        ("email", "a@b\nBcc: c@d"),
        ("email", "a@b, c@d"),
    ],
)
async def test_a_target_that_is_none_or_is_private_is_refused(
    workshop: Workshop, channel: str, target: str
) -> None:
    with pytest.raises(InvalidFields) as caught:
        await alert(workshop, target, channel=channel)
    assert [field for field, _ in caught.value.errors] == ["target"]
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("0.0.0.0", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("ff02::1", False),
        ("fe80::1", False),
        ("fec0::1", False),
        ("::127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b:1::8.8.8.8", False),
        ("2002:7f00:1::", False),
    ],
)
def test_an_address_that_hides_a_private_one_is_private(address: str, expected: bool) -> None:
    assert is_public(ip_address(address)) is expected


async def test_a_name_that_leads_to_a_private_network_is_refused_when_sent(
    receiver: Receiver,
) -> None:
    url = f"http://localhost:{receiver.port}/"
    with pytest.raises(DeliveryFailed, match="is in a private network") as caught:
        post(url, b"{}", None, allow_private=False)
    assert caught.value.final
    assert receiver.bodies == []


async def test_what_is_wrong_with_an_alert_is_named(workshop: Workshop) -> None:
    with pytest.raises(InvalidFields) as caught:
        await alert(workshop, "", ["failed", "sunday"], channel="pigeon", secret="short")
    fields = [field for field, _ in caught.value.errors]
    assert fields == ["on", "channel", "target", "secret"]
    assert "short" not in str(caught.value)
    where = await workshop.environment()
    with pytest.raises(RecordNotFound):
        async with workshop.sessions.begin() as session:
            await alerts.test(session, workshop.host, where.id)
