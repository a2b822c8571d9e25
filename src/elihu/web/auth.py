"""Who sends a request, and whether that user may do what it asks."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends, Request, Response
from starlette.requests import HTTPConnection

from elihu.accounts import keys, signed_in
from elihu.accounts.roles import Actor, Role
from elihu.accounts.tokens import is_form_token
from elihu.web.context import Context, context_of
from elihu.web.guard import LOOPBACK, UNSAFE, host_name, is_loopback
from elihu.web.problems import Problem

PLAIN_COOKIE: Final = "elihu_session"
SECURE_COOKIE: Final = "__Host-elihu_session"
FORM_TOKEN: Final = "x-csrf-token"
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def session_token(connection: HTTPConnection) -> str | None:
    """The token of the session's cookie. Under HTTPS only the cookie that cannot come
    from a neighbouring host counts.
    """
    secure = connection.url.scheme == "https"
    return connection.cookies.get(SECURE_COOKIE if secure else PLAIN_COOKIE)


def keep_session(request: Request, response: Response, token: str) -> None:
    """Give the browser the cookie of a new session."""
    secure = request.url.scheme == "https"
    response.set_cookie(
        SECURE_COOKIE if secure else PLAIN_COOKIE,
        token,
        max_age=int(signed_in.LIFETIME.total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def drop_session(request: Request, response: Response) -> None:
    """Take the cookie of the session from the browser."""
    secure = request.url.scheme == "https"
    response.delete_cookie(
        SECURE_COOKIE if secure else PLAIN_COOKIE,
        path="/", secure=secure, httponly=True, samesite="lax",
    )  # fmt: skip


def address_of(connection: HTTPConnection) -> str | None:
    """The address that a request came from."""
    return connection.client.host if connection.client else None


async def find_actor(connection: HTTPConnection) -> Actor | None:
    """Who sends the request; None where nobody is signed in. Raises ``Problem`` for a key
    that does not work.
    """
    context = context_of(connection)
    header = connection.headers.get("authorization")
    if header is not None and header[:7].lower() == "bearer ":
        return await _of_key(context, connection, header[7:].strip())
    if context.user is not None:
        return await context.user(connection)
    if (token := session_token(connection)) is not None:
        actor = await _of_session(context, connection, token)
        if actor is not None:
            return actor
    if _is_from_here(connection) and await context.needs_no_sign_in():
        return Actor("local", Role.ADMIN, "loopback", address=address_of(connection))
    return None


async def may_still_read(connection: HTTPConnection) -> bool:
    """Whether the one who opened a stream is still signed in."""
    try:
        return await find_actor(connection) is not None
    except Problem:
        return False


def needs(role: Role, area: str) -> Callable[[Request], Awaitable[Actor]]:
    """A dependency: the actor of the request, who must have a role, and a key that may use
    the area. A change by a session's cookie needs the token of its forms.
    """

    async def check(request: Request) -> Actor:
        actor = await find_actor(request)
        if actor is None:
            raise Problem(401, "sign in first", headers={"WWW-Authenticate": "Bearer"})
        if actor.areas is not None and area not in actor.areas:
            raise Problem(403, f"this key may not use {area}")
        if not actor.role.allows(role):
            raise Problem(
                403, f"this needs the role {role}, and {actor.name} has {actor.role}",
                more={"needs": role.value},
            )  # fmt: skip
        if request.method in UNSAFE:
            check_change(request, actor)
        request.state.actor = actor
        return actor

    return check


def check_change(request: Request, actor: Actor, token: str | None = None) -> None:
    """Raise ``Problem`` for a change that another site may have sent, and in read-only
    mode. ``token`` is that of a form; without it the header has it.
    """
    if context_of(request).read_only:
        raise Problem(403, "this server only reads")
    if actor.via == "session":
        check_form(request, token)
    elif actor.via == "loopback" and _is_simple(request):
        raise Problem(403, "expected the header Origin or Sec-Fetch-Site")


def _is_simple(request: Request) -> bool:
    """Whether an old browser may send this for another site's page, and say nothing."""
    return (
        "content-type" in request.headers
        and not request.headers["content-type"].startswith("application/json")
        and "origin" not in request.headers
        and "sec-fetch-site" not in request.headers
    )


def check_form(request: Request, given: str | None = None) -> None:
    """A change by a cookie must say that it comes from our page, and carry its token."""
    if "origin" not in request.headers and "sec-fetch-site" not in request.headers:
        raise Problem(403, "expected the header Origin or Sec-Fetch-Site")
    token = session_token(request)
    if token is None or not is_form_token(given or request.headers.get(FORM_TOKEN), token):
        raise Problem(403, f"expected the header {FORM_TOKEN} with the token of the session")


async def _actor(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


CurrentActor = Annotated[Actor, Depends(_actor)]
"""Who sends the request; the route's ``needs`` has checked it."""


def _is_from_here(connection: HTTPConnection) -> bool:
    """Whether the request comes from this machine and by no proxy."""
    return (
        is_loopback(address_of(connection))
        and host_name(connection.headers.get("host", "")) in LOOPBACK
        and not any(name in connection.headers for name in _FORWARDED)
    )


async def _of_key(context: Context, connection: HTTPConnection, text: str) -> Actor:
    async with context.sessions.read() as session:
        found = await keys.find(session, text)
        stale = found is not None and await keys.is_stale(session, found[0])
    if found is None:
        raise Problem(
            401, "the key is unknown or has expired", headers={"WWW-Authenticate": "Bearer"}
        )
    key, user = found
    if stale:
        async with context.sessions.begin() as session:
            await keys.touch(session, key.id)
    role = key.role if user.role.allows(key.role) else user.role
    return Actor(user.name, role, "key", user.id, address_of(connection), areas=keys.areas_of(key))


async def _of_session(context: Context, connection: HTTPConnection, token: str) -> Actor | None:
    async with context.sessions.read() as session:
        found = await signed_in.find(session, token)
        stale = found is not None and await signed_in.is_stale(session, found[0])
    if found is None:
        return None
    _, user = found
    if stale:
        async with context.sessions.begin() as session:
            await signed_in.touch(session, token)
    return Actor(user.name, user.role, "session", user.id, address_of(connection))
