"""One request for a page: who sends it, what it shows, and how its answer is made."""

import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import quote, unquote, urlsplit

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from elihu import ElihuError
from elihu.accounts.roles import Actor, Role
from elihu.accounts.tokens import form_token
from elihu.web import live, problems
from elihu.web.audit_rows import record
from elihu.web.auth import check_change, find_actor, session_token
from elihu.web.context import Context, context_of
from elihu.web.guard import UNSAFE
from elihu.web.pages.menu import Menu, menu_of
from elihu.web.pages.rendering import render
from elihu.web.pages.texts import zone_of
from elihu.web.problems import Problem

THEME: Final = "elihu_theme"
ZONE: Final = "elihu_zone"
KEYS: Final = "elihu_keys"
NOTICE: Final = "elihu_notice"
FIELD: Final = "csrf"
MOST_FIELDS: Final = 2_000
_LONGEST_NOTICE: Final = 600


@dataclass(slots=True)
class Visit:
    """A request by somebody who may send it. ``form`` has the fields of a change."""

    request: Request
    context: Context
    actor: Actor | None
    form: FormData = field(default_factory=FormData)
    menu: Menu = field(default_factory=Menu)

    def address(self, path: str) -> str:
        """A path of ours as the browser sees it."""
        root: str = self.request.scope.get("root_path", "")
        return root.rstrip("/") + path

    def can(self, role: str) -> bool:
        """Whether the visitor may do what needs this role."""
        return (
            not self.context.read_only
            and self.actor is not None
            and self.actor.role.allows(Role(role))
        )

    def page(self, template: str, status: int = 200, /, **values: Any) -> Response:
        """A page, or its main part alone where a script asks for a fragment."""
        request = self.request
        is_part = "hx-request" in request.headers and "hx-boosted" not in request.headers
        notice = _notice(request.cookies.get(NOTICE))
        token = session_token(request)
        is_session = self.actor is not None and self.actor.via == "session"
        text = render(
            template,
            {
                "layout": "fragment.html" if is_part else "layout.html",
                "path": own_path(request),
                "query": dict(request.query_params),
                "url": self.address,
                "actor": self.actor,
                "can": self.can,
                "why_not": self.why_not,
                "read_only": self.context.read_only,
                "csrf": form_token(token) if is_session and token else "",
                "theme": request.cookies.get(THEME, ""),
                "keys": request.cookies.get(KEYS, "on"),
                "zone": zone_of(request.cookies.get(ZONE)),
                "zone_name": str(zone_of(request.cookies.get(ZONE))),
                "has_zone": ZONE in request.cookies,
                "now": datetime.now(UTC),
                "notice": notice,
                "host": request.headers.get("host", ""),
                "errors": {},
                "engine": self.context.engine,
                "menu": self.menu.counts,
                "node_names": self.menu.nodes,
                **values,
            },
        )
        answer = HTMLResponse(text, status, headers={"Vary": "HX-Request, Cookie"})
        if notice is not None:
            answer.delete_cookie(NOTICE, path="/", httponly=True, samesite="lax")
        return answer

    def why_not(self, role: str) -> str:
        """Why an action is not offered."""
        if self.context.read_only:
            return "This server only reads"
        return f"Needs the role {role}"

    def go(self, path: str, text: str | None = None, *, open_: str | None = None) -> Response:
        """Show another page next, with a notice of what was done and a path to open."""
        return self._redirect(path, "ok", text, open_)

    def back(
        self, fallback: str, text: str, *, open_: str | None = None, kind: str = "ok"
    ) -> Response:
        """Show the page again from which the change was sent, filters included."""
        return self._redirect(self.sender() or fallback, kind, text, open_)

    def sender(self) -> str | None:
        """The page that sent a form, if it is one of ours."""
        found = urlsplit(self.request.headers.get("referer", ""))
        root = self.address("")
        if found.netloc != self.request.headers.get("host") or not found.path.startswith(
            root + "/"
        ):
            return None
        path = found.path[len(root) :]
        return path + (f"?{found.query}" if found.query else "")

    def _redirect(self, path: str, kind: str, text: str | None, open_: str | None) -> Response:
        answer = RedirectResponse(self.address(path), 303)
        if text is not None:
            given = {"kind": kind, "text": text[:_LONGEST_NOTICE], "open": open_}
            answer.set_cookie(
                NOTICE, quote(json.dumps(given)), max_age=60, path="/", httponly=True,
                samesite="lax", secure=self.request.url.scheme == "https",
            )  # fmt: skip
        return answer

    async def record(
        self, action: str, kind: str, *, object_id: object = None, object_name: str | None = None,
        before: Mapping[str, Any] | None = None, after: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """An audit row of a change that has no transaction of ours. Where it cannot be
        stored, the log says what was done.
        """
        await record(
            self.context, self.who, action, kind, object_id=object_id, object_name=object_name,
            before=before, after=after,
        )  # fmt: skip

    @property
    def who(self) -> Actor:
        """The visitor, who is signed in."""
        assert self.actor is not None
        return self.actor

    def text(self, name: str, default: str = "") -> str:
        """A field of the form, as it was typed."""
        value = self.form.get(name, default)
        return value if isinstance(value, str) else default

    def texts(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for value in self.form.getlist(name) if isinstance(value, str)]


def own_path(request: Request) -> str:
    """The path of a request below the root of the application."""
    path: str = request.scope["path"]
    root: str = request.scope.get("root_path", "")
    return path.removeprefix(root.rstrip("/")) or "/"


class SignInNeeded(Exception):
    """Nobody is signed in."""


def visit(role: Role) -> Callable[[Request], Awaitable[Visit]]:
    """A dependency: the visit of somebody who has a role."""

    async def check(request: Request) -> Visit:
        found = Visit(request, context_of(request), await find_actor(request))
        if request.method in UNSAFE:
            found.form = await request.form(max_files=0, max_fields=MOST_FIELDS)
        if found.actor is None:
            request.state.visit = found
            raise SignInNeeded
        if found.actor.via == "key":
            raise Problem(403, "keys are for the API: sign in with a name and a password")
        if not found.actor.role.allows(role):
            raise Problem(
                403, f"this needs the role {role}, and {found.actor.name} has {found.actor.role}"
            )
        if request.method in UNSAFE:
            check_change(request, found.actor, found.text(FIELD) or None)
        found.menu = await menu_of(found.context)
        if request.method in UNSAFE:
            found.context.menu = None
        request.state.visit = found
        return found

    return check


async def anyone(request: Request) -> Visit:
    """The visit of somebody who need not be signed in."""
    actor = await find_actor(request)
    found = Visit(request, context_of(request), actor)
    if request.method in UNSAFE:
        found.form = await request.form(max_files=0, max_fields=MOST_FIELDS)
    request.state.visit = found
    return found


AnyVisit = Annotated[Visit, Depends(anyone)]
ViewVisit = Annotated[Visit, Depends(visit(Role.VIEW))]
RunVisit = Annotated[Visit, Depends(visit(Role.RUN))]
EditVisit = Annotated[Visit, Depends(visit(Role.EDIT))]
AdminVisit = Annotated[Visit, Depends(visit(Role.ADMIN))]


class PageRoute(APIRoute):
    """A route whose errors are pages. An action that fails shows its page again. Tabs share
    the reads of a page that they show live.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            if request.method != "GET" or live.HEADER not in request.headers:
                return await page(request)
            try:
                actor = await find_actor(request)
            except (HTTPException, ElihuError):
                return await page(request)
            if actor is None:
                return await page(request)
            shown = context_of(request).live
            return await shown.answer(request, actor, lambda: page(request))

        async def page(request: Request) -> Response:
            try:
                return await handler(request)
            except SignInNeeded:
                return _sign_in(request)
            except RequestValidationError:
                return await _failed(request, 422, "The address has values that are not expected.")
            except HTTPException as error:
                return await _failed(request, error.status_code, str(error.detail))
            except ElihuError as error:
                status = problems.of_error(error).status_code
                return await _failed(request, status, str(error))

        return answer


async def _failed(request: Request, status: int, text: str) -> Response:
    found: Visit | None = getattr(request.state, "visit", None)
    if found is None:
        actor = None
        with suppress(HTTPException, ElihuError):
            actor = await find_actor(request)
        found = Visit(request, context_of(request), actor)
    elif request.method in UNSAFE and found.sender() is not None and status < 500:
        return found.back("/", text, kind="bad")
    return found.page("error.html", status, status=status, text=text)


def _sign_in(request: Request) -> Response:
    """Ask to sign in, and keep what a form would have changed."""
    found: Visit = request.state.visit
    if found.context.user is not None:
        return found.page("error.html", 401, status=401, text="Sign in to the application first.")
    asks_part = "hx-request" in request.headers and "hx-boosted" not in request.headers
    if request.method in UNSAFE and asks_part:
        return Response(status_code=204)  # a preview: the form and what is typed stay
    if request.method in UNSAFE:
        kept = [
            (name, value)
            for name, value in found.form.multi_items()
            if isinstance(value, str) and name not in {FIELD, "password", "secret"}
        ]
        return found.page("login.html", 401, next=own_path(request), kept=kept, name="", error="")
    query = request.url.query
    path = own_path(request) + (f"?{query}" if query else "")
    where = found.address(f"/login?next={quote(path, safe='')}")
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": where})
    return RedirectResponse(where, 303)


def safe_path(text: str) -> str:
    """A path of ours; the first page for anything else. Browsers leave out line breaks and
    tabs, so that a path with them may name another site.
    """
    found = urlsplit(text)
    if (
        found.scheme
        or found.netloc
        or not text.isprintable()
        or not text.startswith("/")
        or text[1:2] in {"/", "\\"}
    ):
        return "/"
    return text


def _notice(cookie: str | None) -> dict[str, Any] | None:
    """What the last change said. A cookie may hold anything."""
    if not cookie or len(cookie) > 4 * _LONGEST_NOTICE + 2_000:
        return None
    try:
        given = json.loads(unquote(cookie))
        text, kind, path = str(given["text"]), given["kind"], given["open"]
    except (ValueError, KeyError, TypeError):
        return None
    if kind not in {"ok", "bad"}:
        return None
    return {"text": text, "kind": kind, "open": safe_path(path) if isinstance(path, str) else None}
