"""One attempt of a run: its begin and its end, in the database."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from elihu import Context, Discard, NotRunnable, Retry, SecretError
from elihu.commands.admission import Admission, Pair
from elihu.commands.ending import (
    JOB_CANCELLED,
    JOB_KILLED,
    JOB_STOPPED,
    LOST,
    STOPPED,
    add_event,
    end_attempt,
    end_run,
    is_active,
    lock_run,
)
from elihu.commands.host import Host
from elihu.commands.models import Command, CommandJob
from elihu.commands.rules.commands import OF_PROCESSES
from elihu.commands.rules.variables import resolve
from elihu.commands.runner import RunEnd, RunSpec, names_in
from elihu.commands.signals import announce_runs
from elihu.commands.sink import DatabaseSink, persist
from elihu.orm.sessions import now

FIRST_RETRY: Final = 15.0
LONGEST_RETRY: Final = 3_600.0

_BY_CAUSE: Final = {
    "cancel": JOB_CANCELLED,
    "kill": JOB_KILLED,
    "lost": LOST,
    "stop": JOB_STOPPED,
}
"""What the reason of a run says where the node ended its attempt, else the stop of the
node.
"""
_BY_OUTCOME: Final = {
    "cancelled": JOB_CANCELLED,
    "killed": JOB_KILLED,
    "returned": STOPPED,
    "stopped": JOB_STOPPED,
}
"""The same for an attempt of which only the end that its node wrote is known."""

Result = dict[str, Any] | Discard | Retry


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that may run. Only the one with ``token`` writes its end."""

    run_id: UUID
    token: UUID
    attempt: int
    started_at: datetime
    spec: RunSpec


async def begin(host: Host, run_id: UUID, ctx: Context) -> Begun | Result:
    """Write that an attempt begins, or say how the job ends without one."""
    token = uuid4()
    result: Begun | Result = {}

    async def write(session: AsyncSession) -> None:
        nonlocal result
        result = await _begin(session, host, run_id, token, ctx)

    await persist(host, write)
    return result


async def _begin(
    session: AsyncSession, host: Host, run_id: UUID, token: UUID, ctx: Context
) -> Begun | Result:
    locked = await lock_run(session, run_id)
    if locked is None:
        return Discard("the run was deleted")
    command, run = locked
    if not is_active(run) or run.job_id != ctx.job.id:
        return _result(run)
    moment = await now(session)
    if command is None or run.environment_id is None:
        await end_run(session, host, run, "cancelled", "command or environment was deleted", moment)
        return _result(run)
    if run.token == token:  # an earlier try was committed, and its answer was lost
        spec = await _spec(session, host, run, command)
        return Begun(run.id, token, run.attempt, run.started_at or moment, spec)
    before = None if run.status == "queued" else await _outcome_before(host, ctx)
    if run.status == "running" and not await end_attempt(
        session, host, run, command, moment, _BY_OUTCOME.get(before or "", LOST)
    ):
        return _result(run)
    if before == "killed":
        await end_run(session, host, run, "killed", run.kill_reason or JOB_KILLED, moment)
        return _result(run)
    if not run.admitted and not await _admit(session, host, run, command, moment):
        return _result(run)
    try:
        spec = await _spec(session, host, run, command)
    except (NotRunnable, SecretError) as error:
        run.attempt += 1
        add_event(session, run, "failed", moment, reason=str(error))
        await end_run(session, host, run, "failed", str(error), moment)
        return _result(run)
    run.status, run.token, run.node = "running", token, ctx.job.node
    run.attempt += 1
    run.started_at = run.started_at or moment
    run.reason = run.exit_code = run.signal = None
    add_event(session, run, "started", moment, started_at=moment)
    await session.flush()
    announce_runs(session, host, [run.id])
    return Begun(run.id, token, run.attempt, moment, spec)


async def finish(host: Host, begun: Begun, end: RunEnd, sink: DatabaseSink) -> Result:
    """Write how an attempt ended, and say what follows for the job."""
    result: Result = {}

    async def write(session: AsyncSession) -> None:
        nonlocal result
        locked = await lock_run(session, begun.run_id)
        if locked is None or locked[1].token != begun.token:
            result = (
                Discard("another attempt took its place") if locked is None else _result(locked[1])
            )
            return
        result = await _write_end(session, host, begun, end, sink, *locked)

    await persist(host, write)
    return result


async def interrupted(
    host: Host, begun: Begun, end: RunEnd | None, sink: DatabaseSink, cause: str | None
) -> None:
    """Write how an attempt ended that its node did not leave to run, for a cause of the
    context. The run is tried again only with ``rerun_lost``, and not where its end was
    requested.
    """

    async def write(session: AsyncSession) -> None:
        locked = await lock_run(session, begun.run_id)
        if locked is None or locked[1].token != begun.token:
            return
        command, run = locked
        moment = await now(session)
        _take_facts(run, end)
        reason = _BY_CAUSE.get(cause or "", STOPPED)
        facts = _facts(begun, end, sink)
        await end_attempt(session, host, run, command, moment, reason, **facts)

    await persist(host, write)


async def _spec(session: AsyncSession, host: Host, run: CommandJob, command: Command) -> RunSpec:
    """What is run. Raises ``SecretError`` and ``NotRunnable``."""
    assert run.environment_id is not None
    seen = await resolve(session, host, run.environment_id)
    # A variable can have become a secret since the text was taken from the command.
    if run.mode == "argv" and (shown := names_in(run.shell_command) & set(seen.secrets)):
        raise NotRunnable(f"{OF_PROCESSES}: expected no secret, got ${min(shown)}")
    return RunSpec(
        text=run.shell_command,
        mode=run.mode,
        variables=seen.values,
        secret_values=list(seen.secrets.values()),
        pass_environment=host.config.commands.pass_environment,
        working_directory=command.working_directory,
        timeout=command.timeout,
        kill_grace=host.config.kill_grace,
        output_limit=command.output_limit,
        keep_background=command.keep_background,
        memory_limit=command.memory_limit,
        cpu_seconds=command.cpu_seconds,
        open_files=command.open_files,
    )


async def _admit(
    session: AsyncSession, host: Host, run: CommandJob, command: Command, moment: datetime
) -> bool:
    """Whether the rule of overlap lets a run start whose delay is over. The job of one
    that must wait ends; it gets another one.
    """
    assert run.environment_id is not None
    pair = Pair(command.id, run.environment_id)
    admission = Admission(session, host, moment)
    await admission.load([pair])
    if admission.admit(run, command, pair):
        return True
    await admission.store()
    return False


async def _write_end(
    session: AsyncSession,
    host: Host,
    begun: Begun,
    end: RunEnd,
    sink: DatabaseSink,
    command: Command | None,
    run: CommandJob,
) -> Result:
    moment = await now(session)
    _take_facts(run, end)
    status = end.status
    reason = run.kill_reason if status == "killed" and run.kill_reason else end.reason
    if end.output_error is not None:
        lost = f"output was lost: {end.output_error}"
        reason = lost if reason is None else f"{reason}; {lost}"
    add_event(session, run, status, moment, reason=reason, **_facts(begun, end, sink))
    if (
        status in {"failed", "timed_out"}
        and run.attempt < run.max_attempts
        and command is not None
        and run.kill_reason is None
    ):
        run.status, run.reason, run.token = "retrying", reason, None
        announce_runs(session, host, [run.id])
        return _result(run)
    await end_run(session, host, run, status, reason, moment)
    return _result(run)


def _take_facts(run: CommandJob, end: RunEnd | None) -> None:
    if end is not None:
        run.exit_code, run.signal = end.exit_code, end.signal
        run.peak_memory, run.cpu_time = end.peak_memory, end.cpu_time
        run.dropped_bytes = end.dropped_bytes


def _facts(begun: Begun, end: RunEnd | None, sink: DatabaseSink) -> dict[str, Any]:
    return {
        "started_at": begun.started_at,
        "duration": end and end.duration,
        "stdout": sink.excerpts["stdout"].text(),
        "stderr": sink.excerpts["stderr"].text(),
    }


async def _outcome_before(host: Host, ctx: Context) -> str | None:
    """How the attempt before this one ended for its node, None for a first one."""
    runs = [run for run in await host.app.jobs.runs(ctx.job.id) if run.outcome is not None]
    return str(runs[-1].outcome) if runs else None


def _result(run: CommandJob) -> Result:
    """What the end of a run, or of an attempt of it, is for its job."""
    if run.status == "retrying":
        delay = min(FIRST_RETRY * 2 ** (run.attempt - 1), LONGEST_RETRY)
        return Retry(run.reason, delay=delay)
    if run.status in {"failed", "timed_out", "killed", "lost"}:
        return Discard(f"{run.status}: {run.reason}" if run.reason else run.status)
    return {"status": run.status, "reason": run.reason}
