"""Sign-in with a password, limited by user and by address."""

from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import DataRefused, SignInRefused, TooManySignIns, UserNotFound
from elihu.accounts import audit, signed_in, users
from elihu.accounts.models import SignInLimit, User
from elihu.accounts.passwords import LONGEST, matches
from elihu.accounts.roles import Actor, Role
from elihu.orm.sessions import Sessions, now

WINDOW: Final = timedelta(minutes=15)
PER_PAIR: Final = 5
"""Attempts in a window of one user from one address."""
PER_ADDRESS: Final = 20
PER_USER: Final = 50
"""Attempts in a window of one user from all addresses: so many that a stranger who knows
a name does not soon lock its user out.
"""
_LONGEST_NAME: Final = 200
_TRIES: Final = 5


async def sign_in(
    sessions: Sessions, name: str, password: str, *, address: str, browser: str | None
) -> tuple[str, User]:
    """Check a password and begin a session. Returns its token.

    The attempt counts before the password is checked, so that many at once gain nothing.
    Raises ``TooManySignIns`` and ``SignInRefused``, which does not say whether the name or
    the password is wrong.
    """
    key = users.name_key(name[:_LONGEST_NAME])
    wait = await _counted(sessions, key, address)
    if wait is not None:
        raise TooManySignIns(
            f"too many attempts to sign in: try again in {round(wait.total_seconds())} s",
            retry_after=wait.total_seconds(),
        )
    async with sessions.read() as session:
        try:
            user = await users.named(session, name[:_LONGEST_NAME])
        except UserNotFound:
            user = None
    right = await matches(password[: LONGEST + 1], user.password if user else None)
    async with sessions.begin() as session:
        current = None if user is None else await session.get(User, user.id)
        if not right or current is None or user is None or current.password != user.password:
            current = None
        if current is None or not current.enabled:
            who = Actor(name[:_LONGEST_NAME], Role.VIEW, "session", address=address)
            await audit.record(session, who, "sign_in.refused", "session")
            token = None
        else:
            await session.execute(
                delete(SignInLimit).where(SignInLimit.subject == _pair(key, address))
            )
            token = await signed_in.begin(session, current, address=address, browser=browser)
            who = Actor(current.name, current.role, "session", current.id, address)
            await audit.record(session, who, "sign_in", "session")
    if token is None or current is None:
        raise SignInRefused("the name or the password is wrong")
    return token, current


async def _counted(sessions: Sessions, key: str, address: str) -> timedelta | None:
    """Count, and again where another attempt has just stored the same new row."""
    for _ in range(_TRIES):
        try:
            async with sessions.begin() as session:
                return await _count(session, key, address)
        except DataRefused:
            continue
    raise TooManySignIns("too many attempts to sign in at once", retry_after=1.0)


async def _count(session: AsyncSession, key: str, address: str) -> timedelta | None:
    """Count an attempt. Returns how long to wait where there were too many."""
    moment = await now(session)
    await session.execute(delete(SignInLimit).where(SignInLimit.begun_at < moment - WINDOW))
    wait: timedelta | None = None
    subjects = (
        (_pair(key, address), PER_PAIR),
        (f"address {address}", PER_ADDRESS),
        (f"user {key}", PER_USER),
    )
    for subject, most in subjects:
        row = await session.scalar(
            select(SignInLimit).where(SignInLimit.subject == subject).with_for_update()
        )
        if row is None:
            session.add(SignInLimit(subject=subject, attempts=1, begun_at=moment))
            continue
        if row.attempts >= most:
            left = row.begun_at + WINDOW - moment
            wait = left if wait is None else max(wait, left)
        row.attempts = min(row.attempts + 1, most + 1)
    return wait


def _pair(key: str, address: str) -> str:
    return f"pair {address} {key}"
