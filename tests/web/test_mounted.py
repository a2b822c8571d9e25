"""The application inside another one, with the users of that one."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute

from elihu import Elihu, NewJob
from elihu.accounts.roles import Actor, Role
from elihu.web import create_app
from elihu.web.app import lifespan

pytestmark = pytest.mark.sqlite_first


async def user(connection: HTTPConnection) -> Actor | None:
    name = connection.headers.get("x-user")
    return Actor(name, Role.EDIT if name == "eve" else Role.RUN, "host") if name else None


@pytest.fixture
async def site(app: Elihu) -> AsyncIterator[httpx.AsyncClient]:
    web = create_app(app, user=user)
    outer = FastAPI()
    outer.mount("/elihu", web)
    transport = httpx.ASGITransport(outer, client=("192.0.2.7", 1))
    async with (
        lifespan(web),
        httpx.AsyncClient(transport=transport, base_url="https://jobs.example.org/elihu") as client,
    ):
        yield client


async def test_the_users_are_those_of_the_host(site: httpx.AsyncClient) -> None:
    assert (await site.get("/api/system/jobs")).status_code == 401
    site.headers["x-user"] = "ann"
    assert (await site.get("/api/system/jobs")).status_code == 200
    assert (await site.get("/api/session")).json()["via"] == "host"
    assert (await site.post("/api/system/queues/default/pause")).status_code == 200
    assert (await site.post("/api/system/queues/default/scale", json={})).status_code == 403


async def test_elihus_own_users_do_not_sign_in_here(site: httpx.AsyncClient) -> None:
    given = {"name": "ann", "password": "correct horse battery"}
    answer = await site.post(
        "/api/session", json=given, headers={"Origin": "https://jobs.example.org"}
    )
    assert answer.status_code == 409


async def test_other_sites_are_refused_below_the_path_too(site: httpx.AsyncClient) -> None:
    site.headers["x-user"] = "ann"
    path = "/api/system/queues/default/pause"
    other = await site.post(path, headers={"Origin": "https://evil.example"})
    assert other.status_code == 403
    simple = await site.post(path, content=b"{}", headers={"Content-Type": "text/plain"})
    assert simple.status_code == 415


async def test_everything_follows_the_app_to_another_database(
    app: Elihu, routes: list[BaseRoute], tmp_path: Path
) -> None:
    """As in a test that takes the app of the site over: what the pages have open and
    have read belongs to the database before.
    """
    async with Elihu(f"sqlite:///{tmp_path}/shop.db") as shop:
        web = create_app(shop, user=user)
        web.router.routes = routes
        transport = httpx.ASGITransport(web)
        headers = {"x-user": "eve"}
        async with lifespan(web):
            pass
        async with (
            lifespan(web),
            httpx.AsyncClient(
                transport=transport, base_url="https://shop", headers=headers
            ) as client,
        ):
            for queue, config in (("first", shop.config), ("second", app.config)):
                shop._use(config)
                await shop.migrate("commands")
                await shop.migrate("accounts")
                await shop.aenqueue(NewJob(task="pay", queue=queue))
                polled = await client.get("/api/stream/poll", params={"topic": "queues"})
                assert queue in polled.text
                made = await client.post("/api/environments", json={"name": "here"})
                assert made.status_code == 201, made.text
                listed = await client.get("/api/environments")
                assert [item["name"] for item in listed.json()["items"]] == ["here"]
            assert not web.state.elihu.stopping.is_set()
