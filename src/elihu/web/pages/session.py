"""Sign-in, sign-out, the first user, and what a browser prefers."""

import re
from typing import Final

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from elihu import InvalidOption, SignInRefused, TooManySignIns, UserExists
from elihu.accounts import audit, sign_in, signed_in, users
from elihu.accounts.roles import Role
from elihu.accounts.tokens import form_token
from elihu.web.auth import (
    address_of,
    check_form,
    drop_session,
    keep_session,
    session_token,
)
from elihu.web.pages.visits import (
    FIELD,
    KEYS,
    THEME,
    ZONE,
    AnyVisit,
    PageRoute,
    Visit,
    safe_path,
)
from elihu.web.problems import Problem

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_YEAR: Final = 365 * 86_400
_ALLOWED: Final = {
    THEME: re.compile("auto|light|dark"),
    ZONE: re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}"),
    KEYS: re.compile("on|off"),
}


@router.get("/login")
async def show_login(visit: AnyVisit, next: str = "/") -> Response:  # noqa: A002
    """The page to sign in."""
    if visit.context.user is not None or (visit.actor is not None and visit.actor.via == "session"):
        return RedirectResponse(visit.address(safe_path(next)), 303)
    return visit.page("login.html", next=safe_path(next), kept=[], name="", error="")


@router.post("/login")
async def login(visit: AnyVisit) -> Response:
    """Sign in. What a form would have changed is shown again, to be confirmed."""
    request, context = visit.request, visit.context
    if context.user is not None:
        raise Problem(409, "the host application signs its users in")
    _check_origin(visit)
    kept = [
        (name.removeprefix("kept."), value)
        for name, value in visit.form.multi_items()
        if isinstance(value, str) and name.startswith("kept.")
    ]
    name, following = visit.text("name")[:200], safe_path(visit.text("next", "/"))
    try:
        token, _ = await sign_in.sign_in(
            context.sessions,
            name,
            visit.text("password"),
            address=address_of(request) or "unix",
            browser=request.headers.get("user-agent"),
        )
    except (SignInRefused, TooManySignIns) as error:
        status = 401 if isinstance(error, SignInRefused) else 429
        return visit.page(
            "login.html", status, next=following, kept=kept, name=name, error=str(error)
        )
    if (before := session_token(request)) is not None:
        async with context.sessions.begin() as session:
            await signed_in.end(session, before)
    answer: Response
    if kept:
        answer = visit.page("resume.html", next=following, kept=kept, new_token=form_token(token))
    else:
        answer = RedirectResponse(visit.address(following), 303)
    keep_session(request, answer, token)
    return answer


@router.post("/logout")
async def logout(visit: AnyVisit) -> Response:
    """Sign out: the session ends here and in the database."""
    request, actor = visit.request, visit.actor
    answer = RedirectResponse(visit.address("/login"), 303)
    token = session_token(request)
    if token is not None and actor is not None and actor.via == "session":
        check_form(request, visit.text(FIELD) or None)
        async with visit.context.sessions.begin() as session:
            await signed_in.end(session, token)
            await audit.record(session, actor, "sign_out", "session")
    drop_session(request, answer)
    return answer


@router.get("/setup")
async def show_setup(visit: AnyVisit) -> Response:
    """The page to add the first user."""
    if not await _is_first(visit):
        return RedirectResponse(visit.address("/"), 303)
    return visit.page("setup.html", name="")


@router.post("/setup")
async def set_up(visit: AnyVisit) -> Response:
    """Add the first user, an admin, who is signed in then."""
    if not await _is_first(visit):
        raise Problem(409, "there are users already: sign in")
    _check_origin(visit)
    name, password = visit.text("name"), visit.text("password")
    errors = {}
    if password != visit.text("again"):
        errors["again"] = "differs from the password above"
    if not errors:
        try:
            async with visit.context.sessions.begin() as session:
                await users.add(session, visit.who, name, Role.ADMIN, password)
        except (InvalidOption, UserExists) as error:
            field, _, detail = str(error).partition(": ")
            known = field if field in {"name", "password"} else "name"
            errors[known] = detail or str(error)
    if errors:
        return visit.page("setup.html", 422, name=name, errors=errors)
    request = visit.request
    token, _ = await sign_in.sign_in(
        visit.context.sessions, name, password, address=address_of(request) or "unix",
        browser=request.headers.get("user-agent"),
    )  # fmt: skip
    answer = visit.go("/", f"You are signed in as {name}. Everybody needs to sign in from now on.")
    keep_session(request, answer, token)
    return answer


@router.post("/preferences")
async def prefer(visit: AnyVisit) -> Response:
    """Keep the theme, the zone and whether single keys act, in cookies."""
    request = visit.request
    _check_origin(visit)
    answer: Response = Response(status_code=204)
    if "x-preferences" not in request.headers:
        answer = RedirectResponse(visit.address(safe_path(visit.text("next", "/"))), 303)
    for cookie, allowed in _ALLOWED.items():
        value = visit.text(cookie.removeprefix("elihu_"))
        if allowed.fullmatch(value):
            answer.set_cookie(
                cookie, value, max_age=_YEAR, path="/", httponly=True, samesite="lax",
                secure=request.url.scheme == "https",
            )  # fmt: skip
    return answer


async def _is_first(visit: Visit) -> bool:
    """Whether there are no users, and the visitor may add the first one."""
    return (
        visit.actor is not None
        and visit.actor.via == "loopback"
        and not visit.context.read_only
        and await visit.context.needs_no_sign_in()
    )


def _check_origin(visit: Visit) -> None:
    headers = visit.request.headers
    if "origin" not in headers and "sec-fetch-site" not in headers:
        raise Problem(403, "expected the header Origin or Sec-Fetch-Site")
