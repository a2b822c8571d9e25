"""The ASGI application: the API, and what stands before it."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from elihu import Elihu, ElihuError
from elihu.commands.scheduler import CommandScheduler
from elihu.web import pages as pages_of
from elihu.web import problems
from elihu.web.api import ROUTERS
from elihu.web.api.document import PROBLEM, page
from elihu.web.context import Context, UserHook, context_of
from elihu.web.guard import LOOPBACK, Guard, Proxies

PUBLIC: Final = frozenset({"/livez", "/readyz", "/api/openapi.json", "/api/docs", "/api/session"})
"""The paths that need no sign-in."""


def create_app(
    app: Elihu,
    *,
    user: UserHook | None = None,
    read_only: bool | None = None,
    allowed_hosts: Collection[str] | None = None,
    open_on_loopback: bool = False,
) -> FastAPI:
    """An ASGI application with the pages and the JSON API of ``app``, to serve or to mount.

    ``user`` is an async function that gets the connection and returns the ``Actor`` that
    the host application has signed in, or None; without it Elihu's own users sign in.
    ``read_only`` and ``allowed_hosts`` default to the settings ``web``; with ``user`` and
    without ``allowed_hosts`` every Host header is accepted. ``open_on_loopback`` needs no
    sign-in from this machine while there are no users. Raises ``ConfigError``.
    """
    settings = app.config.web
    hosts: Collection[str] | None = (
        settings.allowed_hosts if allowed_hosts is None else allowed_hosts
    )
    if user is not None and not hosts:
        hosts = None
    web = FastAPI(
        title="Elihu",
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    web.state.elihu = Context(
        app=app,
        scheduler=CommandScheduler(Elihu(config=app.config)),
        read_only=settings.read_only if read_only is None else read_only,
        open=open_on_loopback,
        user=user,
    )
    problems.install(web)
    web.add_middleware(
        Guard,
        hosts=None if hosts is None else {*LOOPBACK, *hosts},
        proxies=Proxies.of(settings.trusted_proxies),
    )
    for router in ROUTERS:
        web.include_router(router, prefix="/api")
    web.include_router(_own_routes())
    for pages in pages_of.ROUTERS:
        web.include_router(pages)
    web.openapi = lambda: _document(web)  # type: ignore[method-assign]
    return web


@asynccontextmanager
async def lifespan(web: FastAPI) -> AsyncIterator[None]:
    """Close what the application opened. A host that mounts it enters this in its own
    lifespan.
    """
    context: Context = web.state.elihu
    context.stopping.clear()
    try:
        yield
    finally:
        await context.aclose()


def _own_routes() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def livez() -> Response:
        return JSONResponse({"status": "ok"})

    @router.get("/readyz")
    async def readyz(request: Request) -> Response:
        context = context_of(request)
        try:
            await context.app.tables.check()
            await context.app.tables.check("accounts")
        except ElihuError as error:
            return problems.of_error(error)
        return JSONResponse({"status": "ok"})

    # Without async: the document takes half a second to make, and so is made in a thread.
    @router.get("/api/openapi.json")
    def document(request: Request) -> Response:
        return JSONResponse(request.app.openapi())

    @router.get("/api/docs")
    def docs(request: Request) -> Response:
        return HTMLResponse(page(request.app.openapi()))

    return router


def _document(web: FastAPI) -> dict[str, Any]:
    if not web.openapi_schema:
        found = get_openapi(
            title=web.title,
            version=web.version,
            routes=web.routes,
            description="Jobs, commands and schedules of Elihu. Times are RFC 3339.",
        )
        found.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
        for name in ("HTTPValidationError", "ValidationError"):
            found["components"]["schemas"].pop(name, None)
        found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"key": []}]
        web.openapi_schema = found
    return web.openapi_schema
