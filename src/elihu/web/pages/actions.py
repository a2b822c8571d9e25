"""What several pages do with runs; each change leaves an audit row in its transaction."""

from typing import Any
from uuid import UUID

from elihu.accounts import audit
from elihu.commands.models import ACTIVE, CommandJob
from elihu.commands.rules import history
from elihu.commands.rules import runs as rules
from elihu.web.pages.visits import Visit


async def kill_run(visit: Visit, run_id: UUID) -> CommandJob | None:
    """End a run; None where it had ended. Raises ``RecordNotFound``."""
    async with visit.context.sessions.begin() as session:
        if (await history.get(session, run_id)).status not in ACTIVE:
            return None
        run = await rules.kill(session, visit.context.host, run_id)
        await audit.record(
            session, visit.who, "run.kill", "run", object_id=run.id, object_name=run.command_name
        )
    await announce(visit, run.id)
    return run


async def retry_run(visit: Visit, run_id: UUID) -> CommandJob:
    """Run the command of a run again, by force, in its environment. Raises
    ``RecordNotFound`` and ``NotRunnable``.
    """
    async with visit.context.sessions.begin() as session:
        events = await history.events(session, run_id=run_id, limit=1)
        if events.items:
            run = await rules.retry(session, visit.context.host, events.items[0].id)
        else:
            old = await history.get(session, run_id)
            run = await rules.run(
                session, visit.context.host, old.command_id or old.id,
                environment_id=old.environment_id, force=True,
            )  # fmt: skip
        await record_start(visit, session, "retry", run)
    await announce(visit, run.id)
    return run


async def record_start(visit: Visit, session: Any, action: str, run: CommandJob) -> None:
    """The audit row of a start."""
    await audit.record(
        session, visit.who, f"command.{action}", "command", object_id=run.command_id,
        object_name=run.command_name,
        after={"run": run.id, "environment": run.environment_name, "status": run.status},
    )  # fmt: skip


async def announce(visit: Visit, run_id: UUID) -> None:
    """A run has changed: who watches it reads it again."""
    await visit.context.app.topics.announce(f"run:{run_id}")


def started_text(run: CommandJob) -> str:
    """What a start came to."""
    if run.status == "skipped":
        return f"Skipped: {run.reason}"
    return f"{run.command_name} is {run.status} in {run.environment_name}."
