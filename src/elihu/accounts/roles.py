"""Roles, and who acts."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from elihu import InvalidOption


class Role(StrEnum):
    """What a user may do; each role may do all that those before it may."""

    VIEW = "view"
    """Read everything but secrets."""
    RUN = "run"
    """Run, retry, cancel and kill."""
    EDIT = "edit"
    """Change what is run. Who edits a command runs code."""
    ADMIN = "admin"
    """Change users, keys and secrets of the system."""

    def allows(self, needed: "Role") -> bool:
        """Whether this role may do what needs that one."""
        return _RANK[self] >= _RANK[needed]


_RANK: Final = {role: rank for rank, role in enumerate(Role)}

AREAS: Final = (
    "commands", "environments", "crons", "schedules", "variables", "alerts", "runs", "events",
    "overview", "system", "stream", "users", "keys", "audit", "account",
)  # fmt: skip
"""The parts of the API that a key can be limited to."""


def role_of(value: object) -> Role:
    """Raises ``InvalidOption``."""
    try:
        return Role(value)  # type: ignore[arg-type]
    except ValueError:
        raise InvalidOption(f"role: expected one of {', '.join(Role)}, got {value!r}") from None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, how (``via``: session, key, loopback, host, or cli) and from where.
    ``areas`` are the parts of the API that a key may use; None for all.
    """

    name: str
    role: Role
    via: str
    user_id: UUID | None = None
    address: str | None = None
    areas: frozenset[str] | None = None


COMMAND_LINE: Final = Actor("command line", Role.ADMIN, "cli")
