"""Answers to requests with an idempotency key, kept for a day."""

import hashlib
import json
from datetime import timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.accounts.models import AnsweredRequest
from elihu.accounts.roles import Actor
from elihu.orm.sessions import now

KEPT: Final = timedelta(days=1)


class Earlier(NamedTuple):
    """An earlier request with the same key: a digest of what was asked, and the answer."""

    asked: bytes
    answer: dict[str, Any]


def digest_of(text: str) -> bytes:
    """What is stored of a request."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


async def find(session: AsyncSession, actor: Actor, key: str) -> Earlier | None:
    """The answer that this actor had for this key within a day."""
    moment = await now(session)
    await session.execute(
        delete(AnsweredRequest).where(AnsweredRequest.answered_at < moment - KEPT)
    )
    row = await session.get(AnsweredRequest, _key(actor, key))
    return None if row is None else Earlier(row.asked, json.loads(row.answer))


async def add(
    session: AsyncSession, actor: Actor, key: str, asked: str, answer: dict[str, Any]
) -> None:
    """Keep the answer, in the transaction of what was done. Raises ``DataRefused`` at its
    end where another request with this key was first.
    """
    session.add(
        AnsweredRequest(
            digest=_key(actor, key),
            asked=digest_of(asked),
            answer=json.dumps(answer),
            answered_at=await now(session),
        )
    )
    await session.flush()


def _key(actor: Actor, key: str) -> bytes:
    return digest_of(json.dumps([str(actor.user_id), actor.name, key]))
