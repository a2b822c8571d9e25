"""Filters of lists: each pair of them is served by an index or by a bounded scan, and
what is neither is refused with the reason.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import combinations
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from bench.large import fill
from elihu import Elihu
from elihu.orm import newest
from elihu.testing.postgres import PostgresServer
from elihu.web import create_app, guard
from elihu.web.app import lifespan
from tests.web.test_commands import made

NO_FILTERS = {"after", "limit"}
LARGE = {"/api/system/jobs", "/api/runs", "/api/events", "/api/audit"}
"""The lists whose tables grow by themselves."""
RARE: dict[str, list[str]] = {
    "state": ["executing", "completed", "cancelled", "scheduled"],
    "status": ["killed", "failed"],
    "since": ["2020-01-01T00:00:00Z"],
    "until": ["2099-01-01T00:00:00Z"],
    "kind": ["nothing"],
    "system": ["true"],
}
"""Values of filters that few rows, or none, have; a name or an id else."""


def filters(web: FastAPI) -> dict[str, list[str]]:
    """The filters of each list, as the routes declare them."""
    paths = web.openapi()["paths"]
    return {
        path: sorted(
            each["name"]
            for each in paths[path]["get"]["parameters"]
            if each["in"] == "query" and each["name"] not in NO_FILTERS
        )
        for path in LARGE
    }


def requests(web: FastAPI) -> Iterator[tuple[str, dict[str, str]]]:
    """Each filter alone and each pair of filters, with each of their values."""
    for path, names in filters(web).items():
        for pair in [*((name,) for name in names), *combinations(names, 2)]:
            values: list[dict[str, str]] = [{}]
            for name in pair:
                rare = RARE.get(name, [str(uuid4()) if name.endswith("_id") else "rare"])
                values = [known | {name: value} for known in values for value in rare]
            yield from ((path, each) for each in values)


async def test_all_pairs_are_answered_or_refused_with_the_reason(
    web: FastAPI, client: httpx.AsyncClient
) -> None:
    assert all(filters(web).values())
    refused = set()
    for path, query in requests(web):
        answer = await client.get(path, params=query)
        if answer.status_code == 422:
            assert "no index" in answer.json()["detail"]
            assert "Give " in answer.json()["detail"]
            refused.add((path, tuple(sorted(query))))
        else:
            assert answer.status_code == 200, f"{path} {query}: {answer.text}"
    names = {query for path, query in refused}
    assert {path for path, _ in refused} == {"/api/audit"}
    assert names == {("object_id",), ("object_id", "user")}


async def test_a_page_reads_a_bounded_number_of_runs(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newest, "SCANNED", 3)
    environment = await made(client, "environments", name="production")
    ids = []
    for name in ("needle", "b", "c", "d", "e", "needle 2"):
        command = await made(client, "commands", name=name, shell_command="true", overlap="allow")
        run = {"environment_id": environment["id"]}
        ids.append((await made(client, f"commands/{command['id']}/run", **run))["id"])
    first = (await client.get("/api/runs", params={"text": "needle"})).json()
    assert ([run["id"] for run in first["items"]], first["next"]) == ([ids[5]], ids[3])
    query = {"text": "needle", "after": first["next"]}
    second = (await client.get("/api/runs", params=query)).json()
    assert ([run["id"] for run in second["items"]], second["next"]) == ([ids[0]], ids[0])
    query["after"] = second["next"]
    assert (await client.get("/api/runs", params=query)).json() == {"items": [], "next": None}


async def test_a_histogram_of_too_many_runs_is_refused(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elihu.web.reads.runs.MOST", 1)
    environment = await made(client, "environments", name="production")
    command = await made(client, "commands", name="a", shell_command="true", overlap="allow")
    moment = datetime.now(UTC)
    query: dict[str, Any] = {
        "since": (moment - timedelta(hours=1)).isoformat(),
        "until": (moment + timedelta(hours=1)).isoformat(),
    }
    assert (await client.get("/api/runs/histogram", params=query)).status_code == 200
    for _ in range(2):
        run = {"environment_id": environment["id"]}
        await made(client, f"commands/{command['id']}/run", **run)
    answer = await client.get("/api/runs/histogram", params=query)
    assert answer.status_code == 422
    assert "give a shorter time, or a command" in answer.json()["detail"]


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
async def test_any_time_may_be_given(client: httpx.AsyncClient, since: str) -> None:
    for name in ("since", "until"):
        assert (await client.get("/api/runs", params={name: since})).status_code == 200


READ = """
SELECT sum(seq_scan) FILTER (WHERE relname IN ('job', 'command_job'))::bigint AS whole,
  sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint AS rows
FROM pg_stat_user_tables
"""


PAGES = (
    "/", "/runs", "/runs?view=failed", "/runs?group=command", "/commands", "/schedules", "/jobs",
    "/jobs/500000", "/queues", "/nodes", "/triggers", "/audit", "/api/overview",
    "/api/system/jobs/counts", "/api/system/queues", "/api/system/failures",
)  # fmt: skip
ROWS_OF_A_PAGE = 50_000
"""Counts end at 10,000 jobs of a state; most of them need no rows."""

Asked = tuple[str, dict[str, str]]


def page(path: str, _web: FastAPI) -> list[Asked]:
    """One page."""
    return [(path, {})]


async def rows_read(url: str, asked: Callable[[FastAPI], Iterable[Asked]]) -> tuple[int, int]:
    """Ask for all of this; how much was asked, and how many rows the server read for it, no
    table of jobs or runs as a whole. A connection that ends has written its counters.
    """
    connection = await asyncpg.connect(url)
    before = await connection.fetchrow(READ)
    number = 0
    async with Elihu(url) as app:
        web = create_app(app, open_on_loopback=True)
        transport = httpx.ASGITransport(web, client=("127.0.0.1", 1))
        async with (
            lifespan(web),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            for path, query in asked(web):
                answer = await client.get(path, params=query, timeout=60)
                assert answer.status_code in {200, 422}, f"{path} {query}"
                number += 1
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    after = await connection.fetchrow(READ)
    await connection.close()
    assert after["whole"] == before["whole"]
    return number, after["rows"] - before["rows"]


@pytest.mark.more
@pytest.mark.timeout(600)
async def test_lists_and_pages_read_a_bounded_number_of_a_million_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server's own counters say what was read."""
    monkeypatch.setattr(guard.Rates, "wait", lambda _self, _address: 0.0)
    with PostgresServer() as server:
        url = server.create_database("filters")
        async with Elihu(url) as app:
            await fill(app, 1_000_000, 1_000_000)
        number, rows = await rows_read(url, requests)
        assert number > 60
        assert rows <= number * 2 * (newest.SCANNED + 100)
        for path in PAGES:
            _, rows = await rows_read(url, partial(page, path))
            assert rows <= ROWS_OF_A_PAGE, path
