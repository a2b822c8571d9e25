"""The application on the test's database, and clients of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute

from elihu import Elihu
from elihu.accounts import keys, users
from elihu.accounts.roles import COMMAND_LINE
from elihu.engines.protocol import ChainName
from elihu.orm.sessions import Sessions
from elihu.web import create_app
from elihu.web.app import lifespan
from tests.fixtures.passwords import cheap_passwords

__all__ = ["cheap_passwords"]
PASSWORD = "correct horse battery"
BASE = "http://localhost"

Clients = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture(scope="session")
def chains() -> tuple[ChainName, ...]:
    return ("commands", "accounts")


@pytest.fixture
async def app(database_url: str, tables: None, schema: str) -> AsyncIterator[Elihu]:
    """An app with all tables."""
    async with Elihu(database_url, schema=schema) as app:
        yield app


@pytest.fixture(scope="session")
def routes() -> list[BaseRoute]:
    """The routes of an application. FastAPI works out the parameters of each at the
    first request, which takes longer than most tests.
    """
    return create_app(Elihu()).router.routes


@pytest.fixture
async def web(app: Elihu, routes: list[BaseRoute]) -> AsyncIterator[FastAPI]:
    """The application as ``elihu web`` serves it on loopback."""
    made = create_app(app, open_on_loopback=True)
    made.router.routes = routes
    async with lifespan(made):
        yield made


@pytest.fixture
def sessions(web: FastAPI) -> Sessions:
    found: Sessions = web.state.elihu.sessions
    return found


@pytest.fixture
async def clients(web: FastAPI) -> AsyncIterator[Clients]:
    """Makes clients of the application, from an address, with headers of their own."""
    stack = AsyncExitStack()

    async def make(
        application: FastAPI | None = None,
        *,
        address: str = "127.0.0.1",
        base: str = BASE,
        **headers: str,
    ) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(application or web, client=(address, 1))
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        client = httpx.AsyncClient(transport=transport, base_url=base, headers=shown)
        return await stack.enter_async_context(client)

    yield make
    await stack.aclose()


@pytest.fixture
async def client(clients: Clients) -> httpx.AsyncClient:
    """A program on this machine, while there are no users."""
    return await clients()


async def add_user(
    sessions: Sessions, name: str = "ann", role: str = "admin", password: str | None = PASSWORD
) -> Any:
    """A stored user."""
    async with sessions.begin() as session:
        return await users.add(session, COMMAND_LINE, name, role, password)


async def add_key(sessions: Sessions, user: Any, role: str, **values: Any) -> str:
    """The text of a new key."""
    given: dict[str, Any] = {"name": "test", "role": role, "lifetime": timedelta(hours=1)}
    async with sessions.begin() as session:
        owner = await users.get(session, user.id)
        _, text = await keys.add(session, COMMAND_LINE, owner, **(given | values))
    return text


async def sign_in(client: httpx.AsyncClient, name: str = "ann", password: str = PASSWORD) -> str:
    """Sign in as a browser does, and return the token of forms."""
    answer = await client.post(
        "/api/session", json={"name": name, "password": password}, headers={"Origin": BASE}
    )
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["csrf_token"]
    return token
