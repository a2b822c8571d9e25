"""Runs of commands: what is stored of them, whatever they do."""

import pytest

from elihu.commands.rules import commands, history, variables
from tests.commands.workshop import Workshop


async def test_a_run_stores_its_output_status_and_events(serving: Workshop) -> None:
    command = await serving.command("echo one; echo two >&2; exit 3")
    where = await serving.environment()
    run = await serving.run(command, environment_id=where.id)
    assert (run.status, run.source) == ("queued", "now")
    done = await serving.until(run)
    assert (done.status, done.exit_code, done.signal, done.attempt) == ("failed", 3, None, 1)
    assert done.started_at is not None
    assert done.finished_at is not None
    assert done.created_at <= done.started_at <= done.finished_at
    assert (done.command_name, done.environment_name) == (command.name, "prod")
    assert sorted((await serving.text(run.id)).split()) == ["one", "two"]
    started, ended = await serving.events(run.id)
    assert (started.status, started.finished_at) == ("started", None)
    assert (ended.status, ended.stdout, ended.stderr) == ("failed", "one\n", "two\n")
    assert ended.duration_ms is not None
    assert ended.exit_code == 3
    assert done.job_id is not None
    job = await serving.app.jobs.get(done.job_id)
    assert job.task == "commands.run"


async def test_pages_of_output_go_on_where_the_last_one_ended(serving: Workshop) -> None:
    command = await serving.command("for i in 1 2 3 4 5; do echo $i; sleep 0.3; done")
    run = await serving.run(command, environment_id=(await serving.environment()).id)
    await serving.until(run)
    after, text = (0, -1), b""
    async with serving.sessions.read() as session:
        while True:
            page = await history.output(session, run.id, after=after, limit=2)
            if not page.chunks:
                assert page.ended
                break
            text += b"".join(chunk.data for chunk in page.chunks)
            after = page.next
        assert await history.last_lines(session, run.id, 2) == ["4", "5"]
    assert text == b"1\n2\n3\n4\n5\n"


@pytest.mark.parametrize("status", ["failed", "timed_out"])
async def test_a_run_is_tried_again_where_that_is_asked_for(
    serving: Workshop, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elihu.commands.attempts.FIRST_RETRY", 0.05)
    text = "exit 1" if status == "failed" else "sleep 60"
    command = await serving.command(text, max_attempts=2, timeout=0.3)
    run = await serving.run(command, environment_id=(await serving.environment()).id)
    done = await serving.until(run)
    assert (done.status, done.attempt) == (status, 2)
    events = [(event.attempt, event.status) for event in await serving.events(run.id)]
    assert events == [(1, "started"), (1, status), (2, "started"), (2, status)]


async def test_a_run_keeps_the_text_and_the_mode_that_it_was_made_with(workshop: Workshop) -> None:
    command = await workshop.command("echo $WORD", mode="argv")
    where = await workshop.environment()
    run = await workshop.run(command, environment_id=where.id)
    async with workshop.sessions.begin() as session:
        await variables.create(session, workshop.host, name="WORD", value="'a'; echo b")
        await commands.update(session, command.id, mode="shell", shell_command="echo shell")
    async with workshop.app.running(queues=workshop.scheduler.queues):
        await workshop.until(run)
    assert await workshop.text(run.id) == "'a'; echo b\n"


async def test_a_run_whose_arguments_would_show_a_secret_by_now_fails(workshop: Workshop) -> None:
    command = await workshop.command("echo $TOKEN", mode="argv")
    where = await workshop.environment()
    run = await workshop.run(command, environment_id=where.id)
    async with workshop.sessions.begin() as session:
        await commands.update(session, command.id, shell_command="echo plain")
        await variables.create(session, workshop.host, name="TOKEN", secret="s3cret-value")
    async with workshop.app.running(queues=workshop.scheduler.queues):
        done = await workshop.until(run)
    assert (done.status, await workshop.text(run.id)) == ("failed", "")
    assert "expected no secret, got $TOKEN" in (done.reason or "")
