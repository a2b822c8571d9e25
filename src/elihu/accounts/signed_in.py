"""Sessions of browsers: begin, find, end."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.accounts.models import SignedIn, User
from elihu.accounts.tokens import LONGEST, digest, new_token
from elihu.orm.sessions import now

LIFETIME: Final = timedelta(days=30)
IDLE: Final = timedelta(days=7)
"""A session that was not used for so long has ended."""
SEEN_AGAIN: Final = timedelta(minutes=5)
MOST: Final = 50
"""Sessions of one user; the oldest one ends when another begins."""
_SHOWN: Final = 200


async def begin(
    session: AsyncSession, user: User, *, address: str | None, browser: str | None
) -> str:
    """A new session. Returns its token, which is not stored."""
    token, moment = new_token(), await now(session)
    await session.execute(delete(SignedIn).where(SignedIn.expires_at < moment))
    kept = select(SignedIn.digest).where(SignedIn.user_id == user.id)
    kept = kept.order_by(SignedIn.seen_at.desc()).limit(MOST - 1)
    digests = (await session.scalars(kept)).all()
    await session.execute(
        delete(SignedIn).where(SignedIn.user_id == user.id, SignedIn.digest.not_in(digests))
    )
    session.add(
        SignedIn(
            digest=digest(token),
            user_id=user.id,
            created_at=moment,
            seen_at=moment,
            expires_at=moment + LIFETIME,
            address=address,
            browser=browser[:_SHOWN] if browser else None,
        )
    )
    user.signed_in_at = moment
    return token


async def find(session: AsyncSession, token: str) -> tuple[SignedIn, User] | None:
    """The session of a token and its user; None where it has ended, or the user may not
    sign in.
    """
    if len(token) > LONGEST:
        return None
    row = (
        await session.execute(
            select(SignedIn, User)
            .join(User, User.id == SignedIn.user_id)
            .where(SignedIn.digest == digest(token))
        )
    ).first()
    if row is None:
        return None
    signed_in, user = row
    moment = await now(session)
    if not user.enabled or moment >= signed_in.expires_at or moment >= signed_in.seen_at + IDLE:
        return None
    return signed_in, user


async def touch(session: AsyncSession, token: str) -> None:
    """The session was used just now."""
    if (found := await session.get(SignedIn, digest(token))) is not None:
        found.seen_at = await now(session)


async def is_stale(session: AsyncSession, signed_in: SignedIn) -> bool:
    """Whether the time of its last use is to be written again."""
    return await now(session) >= signed_in.seen_at + SEEN_AGAIN


async def end(session: AsyncSession, token: str) -> bool:
    """End one session. False where there was none."""
    found = await session.get(SignedIn, digest(token))
    if found is not None:
        await session.delete(found)
        await session.flush()
    return found is not None


async def end_all(session: AsyncSession, user_id: UUID) -> int:
    """End all sessions of a user. Returns how many."""
    found = await of_user(session, user_id)
    await session.execute(delete(SignedIn).where(SignedIn.user_id == user_id))
    return len(found)


async def of_user(session: AsyncSession, user_id: UUID) -> Sequence[SignedIn]:
    """The sessions of a user, the last used first."""
    statement = select(SignedIn).where(SignedIn.user_id == user_id)
    return (await session.scalars(statement.order_by(SignedIn.seen_at.desc()))).all()
