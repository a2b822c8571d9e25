"""The example examples/subscriptions, on both engines."""

import importlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.support import QUICK

pytestmark = pytest.mark.sqlite_first


@pytest.fixture
async def shop(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """The example's modules, imported for this test's database."""
    monkeypatch.setenv("ELIHU_DATABASE_URL", database_url)
    for name in [name for name in sys.modules if name.startswith("subscriptions")]:
        del sys.modules[name]
    web = importlib.import_module("subscriptions.web")
    web.app.override(
        **{**QUICK, "call_timeout": 5.0, "dead_after": 11.0},
        database_url=database_url,
        queues={"default": 2, "mail": 2},
    )
    async with web.lifespan(web.api):
        yield web


@pytest.fixture
async def client(shop: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(shop.api), base_url="http://shop"
    ) as client:
        yield client


async def run_stored(shop: Any) -> None:
    async with shop.app.running() as node:
        for producer in node.producers:
            await producer.wait_idle()


async def subscribe(client: httpx.AsyncClient, name: str, email: str, days: float) -> int:
    answer = await client.post(f"/{name}/subscriptions", params={"email": email, "days": days})
    return int(answer.json())


async def test_a_new_subscription_gets_one_receipt(shop: Any, client: httpx.AsyncClient) -> None:
    await subscribe(client, "tea", "ada@example.org", 30)
    await run_stored(shop)
    await run_stored(shop)
    assert (await client.get("/tea/mail")).json() == [
        {"to": "ada@example.org", "text": "thank you", "sent_by": "system"}
    ]


async def test_each_shop_reminds_those_whose_time_is_soon_over(
    shop: Any, client: httpx.AsyncClient
) -> None:
    for name, days in (("tea", 1), ("tea", 30), ("books", 2)):
        await subscribe(client, name, f"{name}{days}@example.org", days)
    await run_stored(shop)
    counts = await shop.app.schedule_and_run_triggers("remind", drain=True)
    assert counts.success == 3
    for name, to in (("tea", "tea1@example.org"), ("books", "books2@example.org")):
        sent = (await client.get(f"/{name}/mail")).json()
        assert [mail["to"] for mail in sent if "ends on" in mail["text"]] == [to]


async def test_a_bad_address_leaves_a_note(shop: Any, client: httpx.AsyncClient) -> None:
    await subscribe(client, "tea", "nobody", 1)
    await shop.app.schedule_and_run_triggers("remind", drain=True, with_scheduled=True)
    async with shop.sessions() as session:
        (subscription,) = await session.scalars(select(shop.Subscription))
    assert subscription.note == "not reminded: expected an address, got 'nobody'"


async def test_a_user_reminds_customers_of_the_own_shop_alone(
    shop: Any, client: httpx.AsyncClient
) -> None:
    key = await subscribe(client, "tea", "ada@example.org", 2)
    await run_stored(shop)
    path = f"/tea/subscriptions/{key}/remind"
    refused = (await client.post(path, params={"user": "eve@books"})).json()
    await run_stored(shop)
    assert (await shop.app.jobs.get(refused)).state == "cancelled"
    allowed = (await client.post(path, params={"user": "bob@tea"})).json()
    await run_stored(shop)
    assert (await shop.app.jobs.get(allowed)).state == "completed"
    sent = (await client.get("/tea/mail")).json()
    assert [mail["sent_by"] for mail in sent] == ["system", "bob@tea"]
    assert (await client.post("/books/subscriptions/1/remind?user=x")).status_code == 404
