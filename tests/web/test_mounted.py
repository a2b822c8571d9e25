"""The application inside another one, with the users of that one."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import HTTPConnection

from elihu import Elihu
from elihu.accounts.roles import Actor, Role
from elihu.web import create_app
from elihu.web.app import lifespan


async def user(connection: HTTPConnection) -> Actor | None:
    name = connection.headers.get("x-user")
    return Actor(name, Role.RUN, "host") if name else None


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
