"""What routes that change something share: versions, repeated requests."""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final, TypeVar

from fastapi import Header, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import ChangedMeanwhile, DataRefused
from elihu.accounts import requests
from elihu.accounts.roles import Actor
from elihu.web.context import Context
from elihu.web.problems import Problem

T = TypeVar("T")

LONGEST_KEY: Final = 200
_TRIES: Final = 3

IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=200, description="The ETag of what was read."),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=LONGEST_KEY,
        description="A repeated request with the same key does nothing, and has the same answer.",
    ),
]


def digest_tag(shown: BaseModel) -> str:
    """An ETag of something that has no version: a digest of what a client sees."""
    text = json.dumps(shown.model_dump(mode="json"), sort_keys=True)
    return f'"{hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:20]}"'


def version_tag(version: int) -> str:
    """The ETag of a version."""
    return f'"{version}"'


def wanted_version(if_match: str | None) -> int | None:
    """The version that the client has read; None where any will do. Raises ``Problem``."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Problem(412, "If-Match: expected the ETag of this resource")
    return int(text)


def expected_of(
    if_match: str | None, current: BaseModel, given: Mapping[str, Any], read: T
) -> T | None:
    """What must still be stored when the change is written: ``read``, shown as ``current``,
    or None where any state will do. Raises ``Problem`` where the client read another.
    """
    check_tag(if_match, current, given)
    return None if if_match is None or if_match.strip() == "*" else read


@asynccontextmanager
async def answering_lost(
    read: Callable[[], Awaitable[BaseModel]], given: Mapping[str, Any]
) -> AsyncIterator[None]:
    """Answer a change that another one preceded with what ``read`` returns then."""
    try:
        yield
    except ChangedMeanwhile as error:
        raise changed(await read(), given) from error


def check_tag(if_match: str | None, current: BaseModel, given: Mapping[str, Any]) -> None:
    """Raise ``Problem`` where another user has changed it since the client read it."""
    if if_match is None or if_match.strip() in {"*", digest_tag(current)}:
        return
    raise changed(current, given)


def changed(current: BaseModel, given: Mapping[str, Any]) -> Problem:
    """The answer to a lost update: what is stored now, and what was to be stored."""
    return Problem(
        412,
        "another user changed it meanwhile",
        more={"current": current.model_dump(mode="json"), "given": dict(given)},
    )


async def once(
    request: Request,
    context: Context,
    actor: Actor,
    key: str | None,
    given: BaseModel | None,
    work: Callable[[AsyncSession], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:
    """Do work in a transaction, once for each key of this actor, and return its answer.

    The key is stored in the same transaction. Raises ``Problem`` for a key that was used
    for another request.
    """
    if key is None:
        async with context.sessions.begin() as session:
            return await work(session)
    text = given.model_dump_json() if given is not None else ""
    asked = f"{request.method} {request.url.path} {text}"
    for attempt in range(_TRIES):
        try:
            async with context.sessions.begin() as session:
                earlier = await requests.find(session, actor, key)
                if earlier is not None:
                    return _answer(earlier, asked)
                answer = await work(session)
                await requests.add(session, actor, key, asked, answer)
            return answer
        except DataRefused:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _answer(earlier: "requests.Earlier", asked: str) -> dict[str, Any]:
    if earlier.asked != requests.digest_of(asked):
        raise Problem(422, "Idempotency-Key: this key was used for another request")
    return earlier.answer
