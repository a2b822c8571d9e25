"""Deliveries of alerts: each is a job, so that it is retried and can be seen."""

import asyncio
import json
import smtplib
import ssl
from datetime import datetime
from email.message import EmailMessage
from typing import Any, Final
from uuid import UUID

from elihu import Cancel, Discard
from elihu.commands.host import Host
from elihu.commands.models import Alert, CommandJob
from elihu.commands.rules.alerts import secret_of
from elihu.commands.rules.history import last_lines
from elihu.commands.webhook import TIMEOUT, DeliveryFailed, post
from elihu.orm.sessions import now

LAST_LINES: Final = 20


async def deliver(
    host: Host, alert_id: UUID, event: str, run_id: UUID | None, held: int
) -> Cancel | Discard | dict[str, Any]:
    """Deliver an event to the target of an alert. ``held`` is how many like it were not
    reported since the last one. Raises ``DeliveryFailed``, which is tried again.
    """
    async with host.sessions.read() as session:
        alert = await session.get(Alert, alert_id)
        if alert is None or (not alert.enabled and run_id is not None):
            return Cancel("the alert is deleted or disabled")
        run = None if run_id is None else await session.get(CommandJob, run_id)
        if run_id is not None and run is None:
            return Cancel("the run is deleted")
        lines = [] if run is None else await last_lines(session, run.id, LAST_LINES)
        body = _body(alert, event, run, held, lines, await now(session))
    try:
        await asyncio.to_thread(_send, host, alert, body)
    except DeliveryFailed as error:
        if error.final:
            return Discard(str(error))
        raise
    return {"channel": alert.channel, "target": alert.target}


def _send(host: Host, alert: Alert, body: dict[str, Any]) -> None:
    if alert.channel == "webhook":
        post(
            alert.target,
            json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            secret_of(alert, host.keyring()) if alert.secret is not None else None,
            allow_private=host.config.commands.private_targets,
        )
    else:
        _mail(host, alert, body)


def _mail(host: Host, alert: Alert, body: dict[str, Any]) -> None:
    config = host.config.commands
    if config.smtp_host is None or config.smtp_from is None:
        raise DeliveryFailed(
            "expected the settings commands.smtp_host and commands.smtp_from, got none", final=True
        )
    message = EmailMessage()
    message["From"] = config.smtp_from
    message["To"] = alert.target
    message["Subject"] = " ".join(_subject(body).split())
    message.set_content(_text(body))
    context = ssl.create_default_context()
    try:
        if config.smtp_security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                config.smtp_host, config.smtp_port, timeout=TIMEOUT, context=context
            )
        else:
            server = smtplib.SMTP(config.smtp_host, config.smtp_port, timeout=TIMEOUT)
        with server:
            if config.smtp_security == "starttls":
                server.starttls(context=context)
            if config.smtp_user is not None:
                server.login(config.smtp_user, config.smtp_password or "")
            server.send_message(message)
    except smtplib.SMTPException as error:
        code = getattr(error, "smtp_code", 0)
        raise DeliveryFailed(
            f"{config.smtp_host}: {type(error).__name__}: {error}",
            final=isinstance(code, int) and 500 <= code < 600,
        ) from error
    except OSError as error:
        raise DeliveryFailed(f"{config.smtp_host}: {type(error).__name__}: {error}") from error


def _body(
    alert: Alert,
    event: str,
    run: CommandJob | None,
    held: int,
    lines: list[str],
    moment: datetime,
) -> dict[str, Any]:
    return {
        "event": event,
        "alert": alert.name,
        "sent_at": _time(moment),
        "held": held,
        "run": None
        if run is None
        else {
            "id": str(run.id),
            "command_id": run.command_id and str(run.command_id),
            "command": run.command_name,
            "environment": run.environment_name,
            "cron": run.cron_expression,
            "status": run.status,
            "reason": run.reason,
            "attempt": run.attempt,
            "exit_code": run.exit_code,
            "signal": run.signal,
            "occurrence": _time(run.occurrence),
            "started_at": _time(run.started_at),
            "finished_at": _time(run.finished_at),
        },
        "output": lines,
    }


def _subject(body: dict[str, Any]) -> str:
    run = body["run"]
    if run is None:
        return f"[elihu] test of {body['alert']}"
    more = f" (and {body['held']} more)" if body["held"] else ""
    return f"[elihu] {body['event']}: {run['command']} in {run['environment']}{more}"


def _text(body: dict[str, Any]) -> str:
    run = body["run"]
    if run is None:
        return f"This is a test of the alert {body['alert']}.\n"
    facts = [f"{name}: {value}" for name, value in run.items() if value is not None]
    if body["held"]:
        facts.append(f"not reported since the last one: {body['held']}")
    if body["output"]:
        facts += ["", f"last {len(body['output'])} lines:", *body["output"]]
    return "\n".join(facts) + "\n"


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
