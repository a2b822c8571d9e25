"""Texts of attackers in every field that reaches a page, in a real browser."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI

from elihu import Elihu
from elihu.commands.rules import commands, history, runs
from elihu.orm.sessions import Sessions
from tests.web.pages.conftest import Things
from tests.web.pages.served import browsing, chromium, serving

TEXTS = (
    "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J",
    "\x1b]8;;javascript:window.pwned=1\x07link\x1b]8;;\x07 \x1b]52;c;cHduZWQ=\x07",
    "\u202egnitsixe\u202c \u2066a\u2069 \u200fb",
    "🦆👩‍👩‍👧‍👦 \uff1cscript\uff1e {{ 7 * 7 }} ${7*7} %00 '\" javascript:alert(1)",
)
HOSTILE = " ".join(TEXTS)
PATHS = ("/", "/runs?group=error", "/jobs", "/jobs?state=discarded", "/audit", "/queues", "/nodes")

pytestmark = [pytest.mark.timeout(240), pytest.mark.more]


async def output_of(page: Any) -> str:
    """All text that the list of lines shows now."""
    return str(await page.locator(".log.windowed").inner_text())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_hostile_texts_are_only_text(
    app: Elihu, web: FastAPI, sessions: Sessions, things: Things
) -> None:
    chromium()

    @app.task(name="hostile.fails", max_attempts=1)
    async def fails(text: str) -> None:
        raise ValueError(HOSTILE)

    job = await app.aenqueue(
        fails.using(tags=["<b>tag</b>"], meta={"x": HOSTILE}).build(text=HOSTILE)
    )
    octal = "".join(f"\\{byte:03o}" for byte in HOSTILE.encode())
    shell = (
        f"printf '{octal}\\n'; printf '{octal}\\n' >&2; "
        "head -c 1000000 /dev/zero | tr '\\0' 'x'; echo; echo after; exit 3"
    )
    async with sessions.begin() as session:
        command = await commands.create(session, name="Hostile output", shell_command=shell)
        run = await runs.run(
            session, web.state.elihu.host, command.id, environment_id=things.environment.id
        )
    one = (
        f"/commands/{things.command.id}", f"/environments/{things.environment.id}",
        f"/crons/{things.cron.id}", f"/schedules/{things.schedule.id}",
        f"/variables/{things.variable.id}", f"/alerts/{things.alert.id}", f"/jobs/{job.id}",
        f"/jobs/new?copy={job.id}", f"/runs/{run.id}", "/templates", "/templates/bill",
    )  # fmt: skip
    async with (
        serving(app) as address,
        browsing(viewport={"width": 360, "height": 900}) as (page, troubles),
    ):
        async with asyncio.timeout(60):
            while True:
                async with sessions.read() as session:
                    if (await history.get(session, run.id)).status == "failed":
                        break
                await asyncio.sleep(0.1)
        for path in (*PATHS, *one):
            await page.goto(address + path, wait_until="domcontentloaded")
            assert await page.evaluate("window.pwned") is None, path
            assert await page.locator("main img, main script").count() == 0, path
            assert await page.locator("main a[href^=javascript]").count() == 0, path
            wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
            assert not wide, f"{path} scrolls sideways"
        await page.goto(f"{address}/runs/{run.id}")
        await page.locator(".log.windowed .tx", has_text="after").wait_for()
        shown = await output_of(page)
        assert "<script>window.pwned=1</script>" in shown
        assert "\x1b" not in shown
        assert "]52;" not in shown
        assert "javascript:window.pwned" not in shown
        assert "more characters, in the download" in shown
        assert await page.locator(".log .a-r", has_text="red").count() > 0
        assert await page.evaluate("window.pwned") is None
        await page.goto(f"{address}/runs?q=" + "%3Cscript%3Ewindow.pwned%3D1%3C/script%3E")
        assert await page.evaluate("window.pwned") is None
        assert troubles == []
