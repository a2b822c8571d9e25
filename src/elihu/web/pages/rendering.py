"""The templates, and what all of them see."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context as Values
from markupsafe import Markup

from elihu.web.pages import shapes, texts, traces
from elihu.web.pages.cron_words import in_brief
from elihu.web.pages.static_files import address_of_file

_FOLDER: Final = Path(__file__).parents[1] / "templates"
_LONGEST_JSON: Final = 20_000

RUN_STATES: Final = {
    "queued": ("idle", "queued"),
    "running": ("run", "ring"),
    "retrying": ("warn", "retry"),
    "succeeded": ("ok", "ok"),
    "failed": ("bad", "bad"),
    "timed_out": ("bad", "timeout"),
    "killed": ("bad", "killed"),
    "skipped": ("idle", "skipped"),
    "lost": ("bad", "lost"),
    "cancelled": ("idle", "cancelled"),
}
JOB_STATES: Final = {
    "available": ("idle", "queued"),
    "executing": ("run", "ring"),
    "retryable": ("warn", "retry"),
    "scheduled": ("plan", "cron"),
    "suspended": ("idle", "pause"),
    "completed": ("ok", "ok"),
    "discarded": ("bad", "bad"),
    "cancelled": ("idle", "cancelled"),
}
OTHER_STATES: Final = {
    "started": ("run", "ring"),
    "returned": ("idle", "retry"),
    "stopped": ("idle", "retry"),
    "snoozed": ("plan", "cron"),
    "orphaned": ("bad", "lost"),
}
STATES: Final = OTHER_STATES | JOB_STATES | RUN_STATES
NAVIGATION: Final = (
    ("Commands", (
        ("/", "Overview", "overview"), ("/commands", "Commands", "command"),
        ("/schedules", "Schedules", "schedule"), ("/runs", "Runs", "runs"),
        ("/environments", "Environments", "env"), ("/variables", "Variables", "var"),
        ("/crons", "Crons", "cron"), ("/alerts", "Alerts", "bell"),
    )),
    ("Engine", (
        ("/jobs", "Jobs", "jobs"), ("/queues", "Queues", "queue"), ("/nodes", "Nodes", "node"),
        ("/triggers", "Triggers", "trigger"), ("/templates", "Templates", "template"),
    )),
    ("Administration", (("/audit", "Audit", "audit"), ("/users", "Users", "users"))),
)  # fmt: skip


@pass_context
def _moment(values: Values, at: datetime | None) -> Markup:
    if at is None:
        return Markup('<span class="faint">&ndash;</span>')
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    shown = texts.moment(at, values["zone"], values["now"])
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(texts.utc(at), shown)


@pass_context
def _apart(values: Values, at: datetime) -> str:
    return texts.apart(at, values["now"])


def _without(query: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in query.items() if name not in names}


def _with_value(query: dict[str, str], name: str, value: object) -> dict[str, str]:
    return query | {name: str(value)}


def _pretty(value: Any) -> str:
    shown = json.dumps(texts.masked(value), indent=2, ensure_ascii=False, default=str)
    return shown if len(shown) <= _LONGEST_JSON else shown[:_LONGEST_JSON] + " …"


def _json_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)[:_LONGEST_JSON]


@pass_context
def _node(values: Values, value: str | None) -> str:
    """The name of a node, or the start of its id where it answers no more."""
    if value is None:
        return texts.NOTHING
    names: dict[str, str] = values["node_names"]
    return names.get(value, value[:8])


def _looks_of(statuses: Sequence[str]) -> list[str]:
    return [STATES.get(status, ("idle", ""))[0] for status in statuses]


def _brief(value: Any) -> str:
    """Arguments on one line."""
    if not isinstance(value, dict):
        return json.dumps(texts.masked(value), ensure_ascii=False, default=str)[:200]
    parts = [
        f"{name}={json.dumps(each, ensure_ascii=False, default=str)[:80]}"
        for name, each in list(texts.masked(value).items())[:8]
    ]
    return ", ".join(parts)[:300]


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates. Text is escaped, and a name that is not there is an error."""
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        number=texts.number, took=texts.took, size=texts.size, moment=_moment, apart=_apart,
        utc=texts.utc, pretty=_pretty, brief=_brief, about=texts.about, node=_node,
        in_zone=texts.in_zone, in_brief=in_brief, kind_of=texts.kind_of,
        tojson_text=_json_text, dict_keys=list, trace=traces.trace_of, error_name=texts.error_name,
    )  # fmt: skip
    made.globals.update(
        states=STATES, navigation=NAVIGATION, static=address_of_file, plural=texts.plural,
        bounded=texts.bounded, looks_of=_looks_of, shapes=shapes, release=metadata.version("elihu"),
        timedelta=timedelta, without=_without, with_value=_with_value,
        zip_same=lambda names: [(name, name) for name in names],
    )  # fmt: skip
    return made


def render(template: str, values: dict[str, Any]) -> str:
    """The text of a page."""
    return environment().get_template(template).render(values)
