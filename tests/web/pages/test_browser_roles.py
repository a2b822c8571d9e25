"""What each role sees and does in a real browser, and what two tabs share."""

from typing import Any

import pytest
from fastapi import FastAPI

from elihu import Elihu
from elihu.commands.rules import commands, environments, runs
from elihu.orm.sessions import Sessions
from tests.web.conftest import PASSWORD, add_user
from tests.web.pages.conftest import Things
from tests.web.pages.served import browsing, chromium, serving

ROLES = ("view", "run", "edit", "admin")
DESK = {"viewport": {"width": 1280, "height": 700}}

pytestmark = pytest.mark.timeout(240)


async def enabled(page: Any, name: str) -> bool:
    """Whether a button or link of this name is there and offered."""
    found = page.locator("#main").get_by_text(name, exact=True).first
    if not await found.count():
        return False
    button = found.locator("xpath=ancestor-or-self::*[self::a or self::button or self::summary][1]")
    return await button.get_attribute("aria-disabled") != "true"


async def seen_by(page: Any, address: str, things: Things) -> dict[str, bool]:
    """What somebody who is signed in is offered."""
    await page.goto(f"{address}/")
    found = {"users": await page.locator(".nav a", has_text="Users").count() > 0}
    await page.goto(f"{address}/runs/{things.run.id}")
    found["run again"] = await enabled(page, "Run again")
    await page.goto(f"{address}/commands")
    found["new command"] = await enabled(page, "New command")
    await page.goto(f"{address}/queues")
    found["pause"] = await enabled(page, "Pause all")
    found["serve"] = await enabled(page, "Serve a queue")
    await page.goto(f"{address}/environments/{things.environment.id}")
    found["save"] = await enabled(page, "Save")
    return found


@pytest.mark.more
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_each_role_sees_and_does_what_it_may(
    app: Elihu, web: FastAPI, sessions: Sessions, things: Things
) -> None:
    chromium()
    for role in ROLES:
        await add_user(sessions, role, role)
    async with serving(app) as address, browsing(**DESK) as (page, troubles):
        offered = {}
        for role in ROLES:
            await page.context.clear_cookies()
            await page.goto(f"{address}/queues")
            await page.fill("#name", role)
            await page.fill("#password", PASSWORD)
            await page.keyboard.press("Enter")
            await page.wait_for_url("**/queues")
            offered[role] = await seen_by(page, address, things)
            answer = await page.goto(f"{address}/audit")
            assert (answer.status == 200) is (role == "admin")
            if role != "view":
                await page.goto(f"{address}/runs/{things.run.id}")
                await page.get_by_role("button", name="Run again", exact=True).click()
                await page.locator("[data-toast]", has_text="is queued").wait_for()
        runner = {"run again", "pause"}
        editor = runner | {"new command", "serve", "save"}
        allowed = {"view": set(), "run": runner, "edit": editor, "admin": editor | {"users"}}
        shown = {
            role: {name for name, there in each.items() if there} for role, each in offered.items()
        }
        assert shown == allowed
        assert troubles == []


async def filled(web: FastAPI, sessions: Sessions, count: int) -> Any:
    """A command with this many runs that wait for an hour."""
    async with sessions.begin() as session:
        place = await environments.create(session, name="here")
        command = await commands.create(
            session, name="Waits", shell_command="true", overlap="allow"
        )
    for _ in range(count):
        await wait_for_an_hour(web, sessions, command.id, place.id)
    return command, place


async def wait_for_an_hour(web: FastAPI, sessions: Sessions, command: Any, place: Any) -> None:
    """One more run that waits."""
    async with sessions.begin() as session:
        await runs.run_in(
            session, web.state.elihu.host, command, delay_seconds=3_600, environment_id=place
        )


@pytest.mark.more
async def test_two_tabs_show_the_same_and_keep_their_places(
    app: Elihu, web: FastAPI, sessions: Sessions
) -> None:
    chromium()
    command, _ = await filled(web, sessions, 40)
    async with serving(app) as address, browsing(**DESK) as (one, troubles):
        await one.goto(f"{address}/runs")
        await one.locator("[data-live]", has_text="Live").wait_for()
        await one.locator("tbody .pick").nth(30).check()
        await one.locator("details.menu", has_text="Status").locator("summary").click()
        place = await one.evaluate("window.scrollTo(0, 900), window.scrollY")
        assert place > 300
        other = await one.context.new_page()
        await other.goto(f"{address}/commands/{command.id}")
        await other.locator("[aria-label='More ways to run']").click()
        await other.locator(".menu[open] button", has_text="Run in here").click()
        await other.locator(".state.pill", has_text="succeeded").wait_for()
        await one.bring_to_front()
        await one.locator(".new-rows", has_text="Show 1 new").wait_for()
        assert await one.locator("tbody .pick:checked").count() == 1
        assert await one.locator("details.menu[open]").count() == 1
        assert abs(await one.evaluate("window.scrollY") - place) < 60
        # Another tab pauses a queue: the menu of this one says so.
        await one.goto(f"{address}/")
        await one.locator("[data-live]", has_text="Live").wait_for()
        await other.goto(f"{address}/queues")
        await other.get_by_role("button", name="Pause default", exact=True).click()
        await other.locator(".sheet:popover-open input[name=note]").fill("moving house")
        await other.locator(".sheet:popover-open").get_by_role("button", name="Pause").click()
        await other.locator("#main", has_text="moving house").wait_for()
        await one.bring_to_front()
        await one.locator("[data-count='/queues']", has_text="1 paused").wait_for(timeout=20_000)
        assert troubles == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_lost_server_is_told_and_a_blocked_stream_is_polled(
    app: Elihu, web: FastAPI, sessions: Sessions
) -> None:
    chromium()
    command, place = await filled(web, sessions, 1)
    async with serving(app) as address, browsing(**DESK) as (page, troubles):
        await page.goto(f"{address}/runs")
        await page.locator("[data-live]", has_text="Live").wait_for()
        await page.context.set_offline(True)
        await page.locator("[data-away]", has_text="does not answer").wait_for(timeout=30_000)
        await page.context.set_offline(False)
        await page.locator("[data-away]").wait_for(state="hidden", timeout=40_000)
        await page.route(
            "**/api/stream*", lambda route: route.fulfill(status=403, body="no streams")
        )
        await page.goto(f"{address}/runs")
        await page.locator("[data-live]", has_text="Polling").wait_for(timeout=20_000)
        rows = await page.locator("tr[data-row]").count()
        await wait_for_an_hour(web, sessions, command.id, place.id)
        await page.wait_for_function(
            f"() => document.querySelectorAll('tr[data-row]').length === {rows + 1}", timeout=20_000
        )
        assert troubles == []
