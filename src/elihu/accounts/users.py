"""Users: add, change, delete. Each change leaves an audit row in its transaction."""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import InvalidOption, LastAdmin, UserExists, UserNotFound
from elihu.accounts import audit
from elihu.accounts.models import ApiKey, SignedIn, User
from elihu.accounts.passwords import check_password, hashed
from elihu.accounts.roles import Actor, Role, role_of
from elihu.orm.sessions import now

LONGEST_NAME: Final = 100
LONGEST_PREFERENCES: Final = 4_096
KIND: Final = "user"


def name_key(name: str) -> str:
    """What two spellings of a name share."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def facts(user: User) -> dict[str, Any]:
    """What an audit row says of a user."""
    return {"name": user.name, "role": user.stored_role, "enabled": user.enabled}


async def any_exist(session: AsyncSession) -> bool:
    """Whether there are users at all."""
    return await session.scalar(select(User.id).limit(1)) is not None


async def find_all(
    session: AsyncSession, *, after: str = "", limit: int = 10_000
) -> Sequence[User]:
    """At most ``limit`` users, by name; those ``after`` a name alone."""
    statement = select(User).where(User.name_key > name_key(after))
    return (await session.scalars(statement.order_by(User.name_key).limit(limit))).all()


async def get(session: AsyncSession, user_id: UUID) -> User:
    """Raises ``UserNotFound``."""
    found = await session.get(User, user_id)
    if found is None:
        raise UserNotFound(f"user {user_id} not found")
    return found


async def named(session: AsyncSession, name: str) -> User:
    """The user of this name, in any case. Raises ``UserNotFound``."""
    found = await session.scalar(select(User).where(User.name_key == name_key(name)))
    if found is None:
        raise UserNotFound(f"user {name!r} not found")
    return found


async def add(
    session: AsyncSession, actor: Actor, name: str, role: str, password: str | None
) -> User:
    """Store a user. Without a password only keys sign in. Raises ``InvalidOption`` and
    ``UserExists``.
    """
    _check_name(name)
    checked = role_of(role)
    stored = None if password is None else await hashed(check_password(password))
    await lock(session)
    if await session.scalar(select(User.id).where(User.name_key == name_key(name))) is not None:
        raise UserExists(f"user {name!r} exists already")
    moment = await now(session)
    user = User(
        name=unicodedata.normalize("NFKC", name).strip(),
        name_key=name_key(name),
        password=stored,
        stored_role=checked.value,
        created_at=moment,
        updated_at=moment,
    )
    session.add(user)
    await session.flush()
    await audit.record(
        session, actor, "user.add", KIND, object_id=user.id, object_name=user.name,
        after=facts(user),
    )  # fmt: skip
    return user


async def change(
    session: AsyncSession,
    actor: Actor,
    user: User,
    *,
    role: str | None = None,
    enabled: bool | None = None,
    password: str | None = None,
) -> User:
    """Change a user. A new password, a lower role or ``enabled=False`` ends the user's
    sessions. Raises ``InvalidOption``, and ``LastAdmin`` where no admin would remain.
    """
    new_role = user.role if role is None else role_of(role)
    if enabled is not None and not isinstance(enabled, bool):
        raise InvalidOption(f"enabled: expected true or false, got {enabled!r}")
    stored = None if password is None else await hashed(check_password(password))
    await lock(session)
    await session.refresh(user)
    before = facts(user)
    stays = user.enabled if enabled is None else enabled
    if _is_admin(user) and not (stays and new_role is Role.ADMIN):
        await _keep_an_admin(session, user)
    if stored is not None or not stays or not new_role.allows(user.role):
        await session.execute(delete_rows(SignedIn).where(SignedIn.user_id == user.id))
    user.stored_role, user.enabled = new_role.value, stays
    user.updated_at = await now(session)
    after = facts(user)
    if stored is not None:
        user.password = stored
        before["password"] = after["password"] = ""
    await audit.record(
        session, actor, "user.change", KIND, object_id=user.id, object_name=user.name,
        before=before, after=after,
    )  # fmt: skip
    return user


async def delete(session: AsyncSession, actor: Actor, user: User) -> None:
    """Delete a user with sessions and keys. Raises ``LastAdmin``."""
    await lock(session)
    await session.refresh(user)
    if _is_admin(user):
        await _keep_an_admin(session, user)
    await session.execute(delete_rows(SignedIn).where(SignedIn.user_id == user.id))
    await session.execute(delete_rows(ApiKey).where(ApiKey.user_id == user.id))
    await audit.record(
        session, actor, "user.delete", KIND, object_id=user.id, object_name=user.name,
        before=facts(user),
    )  # fmt: skip
    await session.delete(user)


def set_preferences(user: User, preferences: Mapping[str, Any]) -> None:
    """Keep a user's choices for the pages. Raises ``InvalidOption``."""
    text = json.dumps(dict(preferences))
    if len(text) > LONGEST_PREFERENCES:
        raise InvalidOption(
            f"preferences: expected at most {LONGEST_PREFERENCES:,} bytes, got {len(text):,}"
        )
    user.preferences = text


def _is_admin(user: User) -> bool:
    return user.enabled and user.role is Role.ADMIN


async def _keep_an_admin(session: AsyncSession, user: User) -> None:
    others = await session.scalar(
        select(func.count())
        .select_from(User)
        .where(User.stored_role == Role.ADMIN.value, User.enabled.is_(True), User.id != user.id)
    )
    users = await session.scalar(select(func.count()).select_from(User).where(User.id != user.id))
    if not others and users:
        raise LastAdmin(f"user {user.name!r} is the last admin: make another one first")
    if not others:
        raise LastAdmin(
            f"user {user.name!r} is the last user: without users the page would need no sign-in"
        )


async def lock(session: AsyncSession) -> None:
    """Let one transaction at a time change users, so that the last admin stays. SQLite:
    the write lock is held already.
    """
    await session.execute(select(User.id).order_by(User.id).with_for_update())


def _check_name(name: object) -> None:
    if (
        not isinstance(name, str)
        or not name.isprintable()
        or not 1 <= len(name.strip()) <= LONGEST_NAME
    ):
        raise InvalidOption(
            f"name: expected a text of 1 to {LONGEST_NAME} printable characters, got {name!r:.120}"
        )
