"""What pages say of what comes next, and of how long it took."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from elihu import Elihu
from elihu.web.pages.overview import _marks
from tests.web.pages.conftest import Browser, Things
from tests.web.pages.test_actions import COMMAND

NEXT = re.compile(r"\. Next [^.]*, in \d")


async def test_a_command_says_when_it_starts_next(browser: Browser, things: Things) -> None:
    page = await browser.get(f"/commands/{things.command.id}")
    assert NEXT.search(page.text())
    assert "HOME, LANG" in page.text()
    off = {"enabled": "0", "version": str(things.cron.version)}
    await browser.post(f"/crons/{things.cron.id}/enabled", sent_from="/crons", **off)
    assert not NEXT.search((await browser.get(f"/commands/{things.command.id}")).text())


async def test_a_later_week_is_shown_too(browser: Browser, things: Things) -> None:
    first = (await browser.get("/schedules")).text()
    assert "Week ahead" in first
    assert "today" in first
    assert "Earlier" not in first
    later = await browser.get("/schedules?week=52")
    assert "Week from" in later.text()
    assert "Earlier" in later.text()
    assert "today" not in later.text()
    assert "Later" not in later.text()
    assert (await browser.get("/schedules?week=53")).answer.status_code == 422


async def test_a_job_says_where_it_is(browser: Browser, things: Things) -> None:
    page = (await browser.get(f"/jobs/{things.job}")).text()
    assert f"job {things.job} in default , attempt 0 of" in page
    assert "or discarded after attempt" in page
    assert "SQLite, Elihu" in page or "PostgreSQL, Elihu" in page


async def test_a_queue_shows_how_long_its_jobs_waited(
    web: FastAPI, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def throughput(**_: object) -> list[Any]:
        moment = datetime.now(UTC)
        return [
            SimpleNamespace(at=moment, key="mail", jobs=2, wait_ms=9_000),
            SimpleNamespace(at=moment, key="default", jobs=2, wait_ms=2_000),
        ]

    monkeypatch.setattr(web.state.elihu.app.stats, "throughput", throughput)
    page = await browser.get("/queues")
    assert page.all("a", **{"href": "?queue=mail", "aria-current": "true"})
    assert "Jobs of mail waited 4.5" in page.answer.text
    other = await browser.get("/queues?queue=default")
    assert "Jobs of default waited 1.0" in other.answer.text
    unknown = await browser.get("/queues?queue=nothing")
    assert "Jobs of mail waited" in unknown.answer.text


async def test_jobs_of_tasks_and_their_crons_are_counted_too(app: Elihu, browser: Browser) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    @app.cron("30 * * * *", name="tidy up")
    @app.task(name="tidy")
    async def tidy() -> None:
        started.set()
        await go.wait()

    async with app.running():
        await tidy.aenqueue()
        await started.wait()
        page = await browser.get("/")
        go.set()
    assert "0 runs, 1 job of tasks on 1 node" in page.text()
    assert page.all("a", href="/jobs?state=executing")
    assert page.all("a", href="/entries/tidy%20up")
    assert "Nothing runs" not in page.text()
    assert "No start is planned" not in page.text()


async def test_a_new_installation_leads_to_the_first_command(browser: Browser) -> None:
    page = await browser.get("/")
    assert "No command is kept here yet." in page.text()
    assert page.all("a", href="/commands/new")
    await browser.post("/environments/new", sent_from="/environments/new", name="live")
    fields = {"name": "Hello", "shell_command": "echo hello", "timeout": "60"}
    await browser.post("/commands/new", sent_from="/commands/new", **COMMAND | fields)
    after = await browser.get("/")
    assert "Run a command" in after.text()
    assert not after.all("a", href="/commands/new")


def test_starts_that_touch_are_one_mark() -> None:
    left = datetime(2026, 7, 1, 12, tzinfo=UTC)
    minutely = [left + timedelta(minutes=number) for number in range(1_440)]
    assert _marks(minutely, left) == [(0.0, 1_443.0, "plan")]
    hourly = minutely[::60]
    assert _marks(hourly, left) == [(60.0 * hour, 4.0, "plan") for hour in range(24)]
