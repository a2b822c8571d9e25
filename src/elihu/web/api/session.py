"""Sign-in and sign-out of browsers, and who is signed in."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from elihu.accounts import audit, sign_in, signed_in
from elihu.accounts.roles import Actor, Role
from elihu.accounts.tokens import form_token
from elihu.web.api.routes import AREA, ERRORS, PUBLIC, ROLE
from elihu.web.auth import (
    address_of,
    check_form,
    drop_session,
    find_actor,
    keep_session,
    session_token,
)
from elihu.web.context import context_of
from elihu.web.problems import Problem

router = APIRouter(prefix="/session", tags=["session"])
_PUBLIC = {ROLE: PUBLIC, AREA: PUBLIC}


class SessionOut(BaseModel):
    """Who is signed in; ``name`` is null for nobody. ``csrf_token`` is what changes by a
    cookie carry in the header ``X-CSRF-Token``. ``via`` is ``session``, ``key``,
    ``loopback`` or ``host``.
    """

    name: str | None
    role: Role | None
    via: str | None
    csrf_token: str | None
    read_only: bool
    sign_in: bool = Field(description="Whether Elihu's own users sign in here.")


class SignIn(BaseModel):
    """A name and a password."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    password: Annotated[str, Field(min_length=1, max_length=1_000)]


@router.get("", operation_id="session_get", openapi_extra=_PUBLIC, responses=ERRORS)
async def get(request: Request) -> SessionOut:
    """Who sends this request."""
    return _shown(request, await find_actor(request))


@router.post("", operation_id="session_begin", openapi_extra=_PUBLIC, responses=ERRORS)
async def begin(request: Request, response: Response, given: SignIn) -> SessionOut:
    """Sign in. Each sign-in begins a new session and ends that of the cookie before."""
    context = context_of(request)
    if context.user is not None:
        raise Problem(409, "the host application signs its users in")
    if "origin" not in request.headers and "sec-fetch-site" not in request.headers:
        raise Problem(403, "expected the header Origin or Sec-Fetch-Site")
    token, user = await sign_in.sign_in(
        context.sessions,
        given.name,
        given.password,
        address=address_of(request) or "unix",
        browser=request.headers.get("user-agent"),
    )
    if (before := session_token(request)) is not None:
        async with context.sessions.begin() as session:
            await signed_in.end(session, before)
    keep_session(request, response, token)
    actor = Actor(user.name, user.role, "session", user.id, address_of(request))
    return _shown(request, actor, token)


@router.delete(
    "", status_code=204, operation_id="session_end", openapi_extra=_PUBLIC, responses=ERRORS
)
async def end(request: Request, response: Response) -> None:
    """Sign out: the session ends here and in the database."""
    context = context_of(request)
    token = session_token(request)
    actor = None if token is None else await find_actor(request)
    if token is None or actor is None or actor.via != "session":
        return
    check_form(request)
    async with context.sessions.begin() as session:
        await signed_in.end(session, token)
        await audit.record(session, actor, "sign_out", "session")
    drop_session(request, response)


def _shown(request: Request, actor: Actor | None, token: str | None = None) -> SessionOut:
    context = context_of(request)
    token = token or session_token(request)
    is_session = actor is not None and actor.via == "session" and token is not None
    return SessionOut(
        name=actor.name if actor else None,
        role=actor.role if actor else None,
        via=actor.via if actor else None,
        csrf_token=form_token(token) if is_session and token else None,
        read_only=context.read_only,
        sign_in=context.user is None,
    )
