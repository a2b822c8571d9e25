"""Audit rows of changes that have no transaction of the accounts."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from elihu import DatabaseError
from elihu.accounts import audit
from elihu.accounts.roles import Actor
from elihu.web.context import Context

logger: Final = logging.getLogger("elihu")


async def record(
    context: Context,
    actor: Actor,
    action: str,
    kind: str,
    *,
    object_id: object = None,
    object_name: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """An audit row of a change that was done in a transaction of its own. Where it cannot be
    stored, the log says what was done.
    """
    try:
        async with context.sessions.begin() as session:
            await audit.record(
                session, actor, action, kind, object_id=object_id, object_name=object_name,
                before=before, after=after,
            )  # fmt: skip
    except DatabaseError:
        logger.error(
            "audit: %s of %s %s by %s (%s, %s) was done and has no row",
            action, kind, object_id or "", actor.name, actor.via, actor.address,
        )  # fmt: skip
        raise
