"""Which runs a page shows: qualifiers that are typed, and the address that keeps them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args
from uuid import UUID

from elihu.commands.models import UNSUCCESSFUL, Command, Environment, Status
from elihu.commands.rules.names import by_name

VIEWS: Final = {
    "all": ("All", ()),
    "running": ("Not ended", ("queued", "running", "retrying")),
    "failed": ("Failed", UNSUCCESSFUL),
    "skipped": ("Skipped", ("skipped",)),
    "cancelled": ("Cancelled", ("cancelled",)),
}
SPANS: Final = {"1h": 3_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}
KEYS: Final = ("view", "status", "command", "environment", "since", "text", "group")
_QUALIFIER: Final = re.compile(r'(status|command|environment|since):("[^"]*"|\S+)')
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class RunFilter:
    """``wanted`` is for the rules; None where nothing can match."""

    wanted: dict[str, Any] | None
    seconds: int | None


def split_qualifiers(text: str) -> tuple[dict[str, str], str]:
    """The qualifiers in what was typed, and the rest."""
    found = {
        match[1]: match[2].strip('"')[:_LONGEST] for match in _QUALIFIER.finditer(text[:2_000])
    }
    return found, " ".join(_QUALIFIER.sub(" ", text[:2_000]).split())[:_LONGEST]


async def read_filter(session: Any, query: Mapping[str, str]) -> RunFilter:
    """The filter in an address. A name that is unknown matches nothing."""
    wanted: dict[str, Any] = {"text": query.get("text", "")[:_LONGEST] or None}
    statuses = VIEWS.get(query.get("view", "all"), VIEWS["all"])[1]
    if status := query.get("status"):
        statuses = tuple(each for each in status.split(",") if each in get_args(Status))
        if not statuses:
            return RunFilter(None, None)
    wanted["statuses"] = statuses
    seconds = SPANS.get(query.get("since", ""))
    if seconds is not None:
        wanted["since"] = datetime.now(UTC) - timedelta(seconds=seconds)
    models: dict[str, Any] = {"command": Command, "environment": Environment}
    for key, model in models.items():
        if name := query.get(key):
            record = await by_name(session, model, name[:_LONGEST])
            if record is None:
                return RunFilter(None, seconds)
            wanted[f"{key}_id"] = record.id
    return RunFilter(wanted, seconds)


def cursor(text: str | None) -> UUID | None:
    """Where a page begins; None for the newest."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
