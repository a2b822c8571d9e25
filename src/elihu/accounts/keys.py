"""Keys of programs: shown once, stored as a digest, with a role, areas and an end."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import InvalidOption, KeyNotFound
from elihu.accounts import audit
from elihu.accounts.models import ApiKey, User
from elihu.accounts.roles import AREAS, Actor, role_of
from elihu.accounts.tokens import KEY_PREFIX, KEY_START, LONGEST, digest, new_token
from elihu.orm.sessions import now

LONGEST_NAME: Final = 100
LONGEST_LIFE: Final = timedelta(days=3_660)
SEEN_AGAIN: Final = timedelta(minutes=5)
KIND: Final = "key"


def facts(key: ApiKey) -> dict[str, Any]:
    """What an audit row says of a key."""
    return {
        "name": key.name,
        "role": key.stored_role,
        "areas": key.areas,
        "expires_at": key.expires_at,
    }


async def add(
    session: AsyncSession,
    actor: Actor,
    user: User,
    *,
    name: str,
    role: str,
    areas: Iterable[str] | None = None,
    lifetime: timedelta | None = None,
) -> tuple[ApiKey, str]:
    """Store a key of a user and return it with its text, which is not stored.

    ``role`` may not be above the user's, and ``areas`` are those of the key that makes it,
    if one does. Raises ``InvalidOption``.
    """
    if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidOption(
            f"name: expected a text of 1 to {LONGEST_NAME} printable characters, got {name!r:.120}"
        )
    checked = role_of(role)
    if not user.role.allows(checked):
        raise InvalidOption(
            f"role: expected at most {user.stored_role}, the role of {user.name}, got {checked}"
        )
    wanted = _checked(areas)
    if actor.areas is not None and (
        wanted is None or not actor.areas.issuperset(wanted.split(","))
    ):
        raise InvalidOption(
            f"areas: expected some of {', '.join(sorted(actor.areas))}, those of the key that "
            f"makes it, got {wanted or 'all'}"
        )
    if lifetime is not None and not timedelta(0) < lifetime <= LONGEST_LIFE:
        raise InvalidOption(f"lifetime: expected up to 3,660 days, got {lifetime}")
    text, moment = new_token(KEY_PREFIX), await now(session)
    key = ApiKey(
        user_id=user.id,
        name=name,
        digest=digest(text),
        start=text[:KEY_START],
        stored_role=checked.value,
        areas=wanted,
        created_at=moment,
        expires_at=None if lifetime is None else moment + lifetime,
    )
    session.add(key)
    await session.flush()
    await audit.record(
        session, actor, "key.add", KIND, object_id=key.id, object_name=name, after=facts(key)
    )
    return key, text


async def find(session: AsyncSession, text: str) -> tuple[ApiKey, User] | None:
    """The key of a text and its user; None where it is unknown or has expired, or the user
    is disabled.
    """
    if len(text) > LONGEST or not text.startswith(KEY_PREFIX):
        return None
    row = (
        await session.execute(
            select(ApiKey, User)
            .join(User, User.id == ApiKey.user_id)
            .where(ApiKey.digest == digest(text))
        )
    ).first()
    if row is None:
        return None
    key, user = row
    if not user.enabled or (key.expires_at is not None and await now(session) >= key.expires_at):
        return None
    return key, user


async def touch(session: AsyncSession, key_id: UUID) -> None:
    """The key was used just now."""
    if (found := await session.get(ApiKey, key_id)) is not None:
        found.used_at = await now(session)


async def is_stale(session: AsyncSession, key: ApiKey) -> bool:
    """Whether the time of its last use is to be written again."""
    return key.used_at is None or await now(session) >= key.used_at + SEEN_AGAIN


async def find_all(
    session: AsyncSession,
    user_id: UUID | None = None,
    *,
    after: UUID | None = None,
    limit: int = 10_000,
) -> Sequence[ApiKey]:
    """At most ``limit`` keys of a user, or of all, oldest first; those ``after`` one alone."""
    statement = select(ApiKey).order_by(ApiKey.id).limit(limit)
    if after is not None:
        statement = statement.where(ApiKey.id > after)
    if user_id is not None:
        statement = statement.where(ApiKey.user_id == user_id)
    return (await session.scalars(statement)).all()


async def get(session: AsyncSession, key_id: UUID) -> ApiKey:
    """Raises ``KeyNotFound``."""
    found = await session.get(ApiKey, key_id)
    if found is None:
        raise KeyNotFound(f"key {key_id} not found")
    return found


async def revoke(session: AsyncSession, actor: Actor, key: ApiKey) -> None:
    """Delete a key: it signs in no more."""
    await audit.record(
        session, actor, "key.revoke", KIND, object_id=key.id, object_name=key.name,
        before=facts(key),
    )  # fmt: skip
    await session.delete(key)


def areas_of(key: ApiKey) -> frozenset[str] | None:
    """The parts of the API that the key may use; None for all."""
    return None if key.areas is None else frozenset(key.areas.split(","))


def _checked(areas: Iterable[str] | None) -> str | None:
    if areas is None:
        return None
    given = list(areas)
    for area in given:
        if area not in AREAS:
            raise InvalidOption(f"areas: expected some of {', '.join(AREAS)}, got {area!r:.80}")
    if not given:
        raise InvalidOption("areas: expected one at least, got none")
    return ",".join(dict.fromkeys(given))
