"""Who learns of what happened to runs: deliveries are jobs of the same transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.host import ALERT_TASK, Host
from elihu.commands.models import Alert, AlertEvent, AlertQuiet, CommandJob

NEVER_HELD: Final = ("recovered",)
"""Events that are reported each time; others are held back for a while after one."""
_PIECE: Final = 1_000

_Key = tuple[UUID, UUID, UUID, str]


class Happened(NamedTuple):
    """An event of a run."""

    event: AlertEvent
    run: CommandJob


async def raise_alerts(
    session: AsyncSession, host: Host, happened: Sequence[Happened], moment: datetime
) -> None:
    """Store a delivery for each alert that is for one of these events, except those that
    it has reported less than ``quiet`` seconds ago: they are counted.
    """
    if not happened:
        return
    alerts = list(await session.scalars(select(Alert).where(Alert.enabled.is_(True))))
    wanted = [(alert, each) for each in happened for alert in alerts if matches(alert, each)]
    held = await _held(session, [each for _, each in wanted])
    pause = timedelta(seconds=host.config.commands.quiet)
    deliveries = []
    for alert, (event, run) in wanted:
        since = 0
        if (
            event not in NEVER_HELD
            and run.command_id is not None
            and run.environment_id is not None
        ):
            key = (alert.id, run.command_id, run.environment_id, event)
            quiet = held.get(key)
            if quiet is None:
                quiet = held[key] = AlertQuiet(
                    alert_id=alert.id,
                    command_id=run.command_id,
                    environment_id=run.environment_id,
                    event=event,
                    held=0,
                )
                session.add(quiet)
            elif moment < quiet.sent_at + pause:
                quiet.held += 1
                quiet.command_job_id = run.id
                continue
            since, quiet.held, quiet.sent_at = quiet.held, 0, moment
        deliveries.append(_delivery(host, alert.id, event, run.id, since))
    await session.flush()
    await _enqueue(session, host, deliveries)


async def send_held(session: AsyncSession, host: Host, moment: datetime) -> int:
    """Report what was held back, as a sum, where the time for that is over; how many
    deliveries were stored.
    """
    before = moment - timedelta(seconds=host.config.commands.quiet)
    over = select(AlertQuiet).where(AlertQuiet.sent_at <= before)
    summed = over.where(AlertQuiet.held > 0, AlertQuiet.command_job_id.is_not(None))
    deliveries = []
    for quiet in await session.scalars(
        summed.order_by(AlertQuiet.alert_id).limit(_PIECE).with_for_update()
    ):
        # The newest of those that were held is the one reported.
        assert quiet.command_job_id is not None
        deliveries.append(
            _delivery(host, quiet.alert_id, quiet.event, quiet.command_job_id, quiet.held - 1)
        )
        quiet.sent_at, quiet.held, quiet.command_job_id = moment, 0, None
    for quiet in await session.scalars(over.where(AlertQuiet.held == 0).limit(_PIECE)):
        await session.delete(quiet)
    await session.flush()
    await _enqueue(session, host, deliveries)
    return len(deliveries)


async def send_test(session: AsyncSession, host: Host, alert_id: UUID) -> None:
    """Store a delivery without a run."""
    await _enqueue(session, host, [_delivery(host, alert_id, "test", None, 0)])


def matches(alert: Alert, happened: Happened) -> bool:
    """Whether the alert is for this event of this run."""
    commands, environments = alert.command_ids, alert.environment_ids
    return (
        happened.event in alert.on
        and (not commands or happened.run.command_id in commands)
        and (not environments or happened.run.environment_id in environments)
    )


async def _held(session: AsyncSession, happened: Sequence[Happened]) -> dict[_Key, AlertQuiet]:
    commands = sorted({each.run.command_id for each in happened if each.run.command_id})
    found: dict[_Key, AlertQuiet] = {}
    for start in range(0, len(commands), _PIECE):
        statement = select(AlertQuiet).where(
            AlertQuiet.command_id.in_(commands[start : start + _PIECE])
        )
        for quiet in await session.scalars(statement.with_for_update()):
            key = (quiet.alert_id, quiet.command_id, quiet.environment_id, quiet.event)
            found[key] = quiet
    return found


def _delivery(host: Host, alert_id: UUID, event: str, run_id: UUID | None, held: int) -> Any:
    return host.app.task_named(ALERT_TASK).build(
        str(alert_id), event, None if run_id is None else str(run_id), held
    )


async def _enqueue(session: AsyncSession, host: Host, jobs: Iterable[Any]) -> None:
    await host.app.enqueue_many(jobs, conn=session)
