"""Runs that people, nodes and rules end, and what becomes of those that wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from elihu import DatabaseUnavailable, Elihu, InvalidFields, NotRunnable, RecordNotFound
from elihu.commands.models import CommandJob
from elihu.commands.rules import alerts, commands, environments, runs, variables
from elihu.commands.scheduler import CommandScheduler
from elihu.commands.secrets import new_key
from elihu.commands.watch import watch
from elihu.orm.sessions import Sessions
from tests.commands.runner.support import living
from tests.commands.workshop import Workshop, until

FOREVER = "echo begun; exec sleep 300"


async def begun(workshop: Workshop, text: str = FOREVER, **given: Any) -> CommandJob:
    """A run that is under way."""
    command = await workshop.command(text, **given)
    where = await workshop.environment()
    run = await workshop.run(command, environment_id=where.id)
    await workshop.until_output(run, "begun")
    return run


async def test_a_killed_run_ends_there_whatever_attempts_are_left(serving: Workshop) -> None:
    run = await begun(serving, max_attempts=5)
    await serving.kill(run)
    done = await serving.until(run)
    assert (done.status, done.reason, done.attempt, done.signal) == ("killed", "killed", 1, 15)
    events = [event.status for event in await serving.events(run.id)]
    assert events == ["started", "killed"]
    assert (await serving.kill(run)).status == "killed"
    assert done.job_id is not None
    assert (await serving.app.jobs.get(done.job_id)).state in {"executing", "discarded"}


async def test_a_queued_run_that_is_killed_never_starts(workshop: Workshop) -> None:
    command = await workshop.command()
    where = await workshop.environment()
    run = await workshop.run(command, environment_id=where.id)
    assert run.job_id is not None
    done = await workshop.kill(run)
    assert (done.status, done.reason, done.attempt) == ("cancelled", "killed", 0)
    assert (await workshop.app.jobs.get(run.job_id)).state == "cancelled"
    with pytest.raises(RecordNotFound):
        async with workshop.sessions.begin() as session:
            await runs.kill(session, workshop.host, where.id)


@pytest.mark.parametrize(("verb", "done"), [("cancel", "cancelled"), ("kill", "killed")])
async def test_a_run_whose_job_is_ended_is_killed_and_alerts_nobody(
    serving: Workshop, verb: str, done: str
) -> None:
    await alerting(serving)
    run = await begun(serving, rerun_lost=True)
    await getattr(serving.app.jobs, verb)(run.job_id)
    ended = await serving.until(run, {"killed", "retrying"})
    assert (ended.status, ended.reason, ended.attempt) == ("killed", f"its job was {done}", 1)
    events = [(event.status, event.reason) for event in await serving.events(run.id)]
    assert events == [("started", None), ("killed", f"its job was {done}")]
    assert await alerted(serving) == []


@pytest.mark.parametrize("again", [False, True])
async def test_a_command_whose_job_is_stopped_ends(serving: Workshop, again: bool) -> None:
    mark = f"TEST_RUN={uuid4()}"
    first: list[int] = []

    async def replaced(number: int) -> bool:
        """Whether so many run, and none of the first ones."""
        now = living(mark)
        return len(now) == number and not set(first) & set(now)

    run = await begun(serving, f"echo begun; {mark} exec sleep 300", rerun_lost=again)
    await until(lambda: replaced(1))
    first += living(mark)
    assert run.job_id is not None
    await serving.app.jobs.stop(run.job_id)
    await until(lambda: replaced(int(again)))
    after = await serving.until(run, {"running" if again else "killed"})
    events = [(event.status, event.reason) for event in await serving.events(run.id)]
    assert events[1] == ("killed", "its job was stopped")
    assert (after.attempt, len(events)) == ((2, 3) if again else (1, 2))


async def test_a_run_whose_job_is_cancelled_before_it_starts_is_cancelled(
    workshop: Workshop,
) -> None:
    command = await workshop.command()
    run = await workshop.run(command, environment_id=(await workshop.environment()).id)
    assert run.job_id is not None
    await workshop.app.jobs.cancel(run.job_id)
    await watch(workshop.host)
    ended = await workshop.get(run.id)
    assert (ended.status, ended.reason) == ("cancelled", "its job was cancelled")


@pytest.mark.parametrize(("verb", "done"), [("cancel", "cancelled"), ("kill", "killed")])
async def test_a_run_whose_job_is_ended_by_a_node_that_could_not_write_it(
    workshop: Workshop, verb: str, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unwritten(*_: object) -> None:
        """The database was away."""

    monkeypatch.setattr("elihu.commands.scheduler.interrupted", unwritten)
    await alerting(workshop)
    async with workshop.app.running(queues={"commands": 1}):
        run = await begun(workshop)
        assert run.job_id is not None
        await getattr(workshop.app.jobs, verb)(run.job_id)
        await until_ended(workshop, run.job_id)
        if verb == "kill":
            await workshop.app.jobs.update(run.job_id, run_at=await workshop.now())
        else:
            await watch(workshop.host)
        ended = await workshop.until(run)
    assert (ended.status, ended.reason) == ("killed", f"its job was {done}")
    assert await alerted(workshop) == []


async def alerting(workshop: Workshop) -> None:
    """Let every end of a run that alerts store a delivery, which no node takes."""
    workshop.app.override(commands={"private_targets": True})
    async with workshop.sessions.begin() as session:
        await alerts.create(
            session, workshop.host, name="all", on=["failed", "lost", "recovered"],
            channel="webhook", target="http://127.0.0.1:9/",
        )  # fmt: skip


async def succeed(workshop: Workshop, before: CommandJob) -> None:
    """Run the command of a run again, with a text that succeeds."""
    assert before.command_id is not None
    async with workshop.sessions.begin() as session:
        command = await commands.update(session, before.command_id, shell_command="true")
    run = await workshop.run(command, environment_id=before.environment_id)
    assert (await workshop.until(run)).status == "succeeded"


async def until_ended(workshop: Workshop, job_id: int) -> None:
    """Return when the job does not execute."""

    async def ended() -> bool:
        return (await workshop.app.jobs.get(job_id)).state != "executing"

    await until(ended)


async def alerted(workshop: Workshop) -> list[Any]:
    """The events of the deliveries, oldest first."""
    found = await workshop.app.jobs.list(task="commands.alert")
    return [job.args["event"] for job in reversed(found.items)]


@pytest.mark.parametrize("rerun_lost", [False, True])
async def test_a_run_whose_node_stops_is_killed_or_runs_again_where_asked(
    workshop: Workshop, rerun_lost: bool
) -> None:
    queues = {"commands": 2}
    workshop.app.override(grace=0)
    await alerting(workshop)
    async with workshop.app.running(queues=queues):
        run = await begun(workshop, rerun_lost=rerun_lost)
    stopped = await workshop.get(run.id)
    events = [event.status for event in await workshop.events(run.id)]
    assert events == ["started", "killed"]
    if not rerun_lost:
        assert (stopped.status, stopped.reason) == ("killed", "the node was stopped")
    else:
        assert stopped.status == "retrying"
    async with workshop.app.running(queues=queues):
        if rerun_lost:
            await workshop.until(run, {"running"})
            await workshop.kill(run)
        done = await workshop.until(run)
        assert (done.status, done.attempt) == ("killed", 2 if rerun_lost else 1)
        assert await alerted(workshop) == ([] if rerun_lost else ["failed"])
        await succeed(workshop, done)
    assert await alerted(workshop) == ([] if rerun_lost else ["failed", "recovered"])


@pytest.mark.parametrize("rerun_lost", [False, True])
async def test_a_run_whose_node_died_is_lost_or_runs_again_where_asked(
    workshop: Workshop, rerun_lost: bool
) -> None:
    await alerting(workshop)
    command = await workshop.command("echo again", rerun_lost=rerun_lost)
    run = await workshop.run(command, environment_id=(await workshop.environment()).id)
    async with workshop.sessions.begin() as session:
        # As a node leaves it that died: the job comes back to the queue, the row is running.
        row = await session.get(CommandJob, run.id)
        assert row is not None
        row.status, row.attempt, row.token = "running", 1, run.id
    async with workshop.app.running(queues={"commands": 1}):
        done = await workshop.until(run)
    events = [(event.attempt, event.status) for event in await workshop.events(run.id)]
    if rerun_lost:
        assert (done.status, done.attempt) == ("succeeded", 2)
        assert events == [(1, "lost"), (2, "started"), (2, "succeeded")]
    else:
        assert (done.status, done.reason) == ("lost", "the node died")
        assert events == [(1, "lost")]
    assert await alerted(workshop) == (["lost", "recovered"] if rerun_lost else ["lost"])


async def test_a_run_whose_job_is_gone_is_lost(workshop: Workshop) -> None:
    command = await workshop.command()
    run = await workshop.run(command, environment_id=(await workshop.environment()).id)
    assert run.job_id is not None
    assert (await watch(workshop.host))["lost"] == 0
    await workshop.app.jobs.cancel(run.job_id)
    await workshop.app.jobs.delete(run.job_id)
    assert (await watch(workshop.host))["lost"] == 1
    gone = await workshop.get(run.id)
    assert (gone.status, gone.reason) == ("lost", "its job was deleted")
    assert (await watch(workshop.host))["lost"] == 0


async def test_an_attempt_that_lost_its_run_writes_nothing(
    serving: Workshop, workshop: Workshop
) -> None:
    command = await serving.command("echo begun; sleep 0.5; echo more")
    run = await serving.run(command, environment_id=(await serving.environment()).id)
    await serving.until_output(run, "begun")
    async with serving.sessions.begin() as session:
        row = await session.get(CommandJob, run.id, with_for_update=True)
        assert row is not None
        row.status, row.token = "lost", None
    await serving.until_output(run, "more")

    async def job_ended() -> bool:
        assert run.job_id is not None
        return (await serving.app.jobs.get(run.job_id)).state == "discarded"

    async with asyncio.timeout(20):
        while not await job_ended():  # noqa: ASYNC110 (the node writes it)
            await asyncio.sleep(0.02)
    assert (await serving.get(run.id)).status == "lost"
    assert [event.status for event in await serving.events(run.id)] == ["started"]


@pytest.mark.parametrize("wrong", [0, 0.5, -1, 10**9, "5", True, None])
async def test_a_delay_out_of_range_is_refused(workshop: Workshop, wrong: Any) -> None:
    command = await workshop.command()
    with pytest.raises(InvalidFields, match="delay_seconds"):
        async with workshop.sessions.begin() as session:
            await runs.run_in(session, workshop.host, command.id, delay_seconds=wrong)


async def test_the_environment_of_a_run_for_which_none_is_named(workshop: Workshop) -> None:
    command = await workshop.command(overlap="allow")
    off = await workshop.environment("off", enabled=False)
    on = await workshop.environment("on")
    unscheduled = await workshop.environment("unscheduled")
    with pytest.raises(NotRunnable, match="command has no scheduled environments"):
        await workshop.run(command)
    first = await workshop.schedule(command, [off])
    with pytest.raises(NotRunnable, match="no enabled environment is scheduled for command"):
        await workshop.run(command)
    assert (await workshop.run(command, force=True)).environment_id == off.id
    await workshop.schedule(command, [off, on, unscheduled])
    assert (await workshop.run(command)).environment_id == on.id
    assert (await workshop.run(command, force=True)).environment_id == off.id
    assert (await workshop.run(command, environment_id=unscheduled.id)).status == "queued"
    with pytest.raises(NotRunnable, match="environment is disabled"):
        await workshop.run(command, environment_id=off.id)
    forced = await workshop.run(command, environment_id=off.id, force=True)
    assert (forced.environment_id, forced.forced) == (off.id, True)
    assert first.environment_ids == [off.id]


async def test_a_disabled_command_runs_only_by_force(workshop: Workshop) -> None:
    command = await workshop.command(enabled=False)
    where = await workshop.environment()
    with pytest.raises(NotRunnable, match="command is disabled"):
        await workshop.run(command, environment_id=where.id)
    assert (await workshop.run(command, environment_id=where.id, force=True)).status == "queued"
    with pytest.raises(RecordNotFound, match="command"):
        async with workshop.sessions.begin() as session:
            await runs.run(session, workshop.host, where.id)


async def test_retry_takes_the_environment_and_cron_and_is_forced(serving: Workshop) -> None:
    command = await serving.command("exit 2")
    where = await serving.environment("here")
    other = await serving.environment("there")
    failed = await serving.run(command, environment_id=where.id)
    await serving.until(failed)
    event = (await serving.events(failed.id))[-1]
    async with serving.sessions.begin() as session:
        await environments.update(session, where.id, enabled=False)
        again = await runs.retry(session, serving.host, event.id)
    assert (again.environment_id, again.source, again.forced) == (where.id, "retry", True)
    await serving.until(again)
    async with serving.sessions.begin() as session:
        last = await runs.retry_last_failed(session, serving.host, command.id)
    assert last.environment_id == where.id
    await serving.until(last)
    fine = await serving.command("true")
    await serving.until(await serving.run(fine, environment_id=other.id))
    with pytest.raises(NotRunnable, match="command has no failed run"):
        async with serving.sessions.begin() as session:
            await runs.retry_last_failed(session, serving.host, fine.id)


async def test_a_run_sees_its_variables_and_its_secrets_are_masked(serving: Workshop) -> None:
    where = await serving.environment()
    async with serving.sessions.begin() as session:
        await variables.create(session, serving.host, name="SHOWN", value="plain-value")
        await variables.create(session, serving.host, name="HIDDEN", secret="hidden-value")
    command = await serving.command('echo "$SHOWN $HIDDEN"; [ "$HIDDEN" = hidden-value ]')
    run = await serving.run(command, environment_id=where.id)
    assert (await serving.until(run)).status == "succeeded"
    text = await serving.text(run.id)
    assert "plain-value" in text
    assert "hidden" not in text
    (ended,) = (event for event in await serving.events(run.id) if event.status == "succeeded")
    assert "hidden" not in ended.stdout


async def test_a_secret_that_cannot_be_decrypted_fails_the_run_and_says_so(
    serving: Workshop,
) -> None:
    where = await serving.environment()
    async with serving.sessions.begin() as session:
        await variables.create(session, serving.host, name="HIDDEN", secret="hidden")
    serving.app.override(secret_key=new_key())
    run = await serving.run(await serving.command(), environment_id=where.id)
    done = await serving.until(run)
    assert done.status == "failed"
    assert "expected a secret of one of the keys" in (done.reason or "")


async def test_two_schedulers_on_one_database_share_the_work(workshop: Workshop) -> None:
    config = workshop.app.config
    async with Elihu(config=config) as app, CommandScheduler(app) as other:
        async with app.running(queues={"commands": 2}):
            run = await workshop.run(
                await workshop.command("echo there"),
                environment_id=(await workshop.environment()).id,
            )
            done = await workshop.until(run)
        assert (done.status, other.app is app) == ("succeeded", True)


@pytest.mark.parametrize("where", ["begin", "end"])
async def test_a_commit_whose_answer_is_lost_starts_and_ends_a_run_once(
    serving: Workshop, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elihu.commands.attempts.FIRST_RETRY", 0.05)
    monkeypatch.setattr("elihu.commands.sink.FIRST_PAUSE", 0.01)
    command = await serving.command("echo once; exit 1", max_attempts=2)
    run = await serving.run(command, environment_id=(await serving.environment()).id)
    begin = Sessions.begin
    lost = False

    @asynccontextmanager
    async def losing(self: Sessions, **given: Any) -> AsyncIterator[Any]:
        nonlocal lost
        async with begin(self, **given) as session:
            yield session
        status = (await serving.get(run.id)).status
        lose = not lost and status == ("running" if where == "begin" else "retrying")
        if lose:
            lost = True
            raise DatabaseUnavailable("the answer was lost")

    monkeypatch.setattr(Sessions, "begin", losing)
    done = await serving.until(run, {"failed"})
    assert lost
    assert (done.status, done.attempt) == ("failed", 2)
    events = [(event.attempt, event.status) for event in await serving.events(run.id)]
    assert events == [(1, "started"), (1, "failed"), (2, "started"), (2, "failed")]
    assert await serving.text(run.id) == "once\nonce\n"
