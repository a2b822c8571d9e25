"""The pages in a real browser: live values, output, keys, themes, readers of the screen."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi import FastAPI

from elihu import Elihu
from elihu.commands.rules import commands, runs
from elihu.orm.sessions import Sessions
from tests.web.pages.conftest import Things
from tests.web.pages.scene import fill, play
from tests.web.pages.served import browsing, chromium, serving

WIDTHS = (360, 768, 1280, 1600)
PAGES = (
    "/", "/runs", "/commands", "/commands/new", "/schedules", "/schedules/new", "/environments",
    "/variables", "/variables/new", "/crons", "/crons/new", "/alerts", "/alerts/new", "/jobs",
    "/jobs/new", "/queues", "/nodes", "/triggers", "/templates", "/templates/new",
    "/entries/new", "/schedules/import", "/audit", "/users", "/login", "/setup",
)  # fmt: skip
PICTURES = os.environ.get("ELIHU_TEST_PICTURES", "")
"""A folder: the pictures of the documentation are written there."""

pytestmark = [pytest.mark.timeout(180), pytest.mark.sqlite_first]


def axe() -> str:
    """The source of axe-core, which checks what a screen reader needs."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    return (Path(package.__file__).parent / "axe.min.js").read_text()


async def findings(page: Any, *, only: str = "") -> list[str]:
    """The serious findings of axe-core, of all rules or of one."""
    rules = f"runOnly: ['{only}']," if only else ""
    found = await page.evaluate(
        f"axe.run(document, {{{rules} resultTypes: ['violations']}}).then(all => all.violations)"
    )
    return [
        f"{each['id']}: {node['html'][:150]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"][:3]
    ]


@pytest.fixture
async def long_run(web: FastAPI, sessions: Sessions, things: Things) -> Any:
    """A run that prints many lines, and waits for a file before the last one."""
    text = (
        "printf '\\033[31mred\\033[0m <b>bold</b>\\n'; seq 1 50000; echo oops >&2; "
        "seq 1 2000; sleep 12; echo last"
    )
    async with sessions.begin() as session:
        command = await commands.create(session, name="Long output", shell_command=text)
        return await runs.run(
            session, web.state.elihu.host, command.id, environment_id=things.environment.id
        )


async def checked(page: Any, path: str, source: str, *, whole: bool) -> list[str]:
    """What is wrong with a page at each width: of all rules in light, of contrast in dark.
    Unless the check is ``whole``, the rules are read at one width each.
    """
    found = []
    await page.evaluate(source)
    for theme in ("light", "dark"):
        await page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found.append(f"{path} scrolls sideways at {width}")
            if whole or (theme, width) in {("light", 1280), ("dark", 360)}:
                only = "" if theme == "light" else "color-contrast"
                wrong = await findings(page, only=only)
                found += [f"{path} {theme} {width}: {each}" for each in wrong]
    return found


def paths_of(things: Things) -> tuple[str, ...]:
    return (
        f"/commands/{things.command.id}", f"/runs/{things.run.id}", f"/jobs/{things.job}",
        f"/schedules/{things.schedule.id}", f"/environments/{things.environment.id}",
        f"/crons/{things.cron.id}", f"/variables/{things.secret.id}", f"/alerts/{things.alert.id}",
        "/templates/bill", "/templates/bill/edit", "/entries/nightly",
    )  # fmt: skip


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.more)])
@pytest.mark.timeout(900)
async def test_each_page_fits_and_can_be_read_by_a_screen_reader(
    app: Elihu, things: Things, whole: bool
) -> None:
    chromium()
    await app.crons.create("nightly", "0 3 * * *", "invoices.render")
    source, found = axe(), []
    own = paths_of(things)
    paths = (*PAGES, *own) if whole else ("/", "/runs", "/schedules", own[1])
    async with serving(app) as address, browsing() as (page, troubles):
        for path in paths:
            await page.goto(address + path, wait_until="domcontentloaded")
            found += await checked(page, path, source, whole=whole)
        assert found == []
        assert troubles == []


async def test_output_is_live_found_and_linked(app: Elihu, long_run: Any) -> None:
    async with (
        serving(app) as address,
        browsing(viewport={"width": 1280, "height": 900}) as (page, troubles),
    ):
        await page.goto(f"{address}/runs/{long_run.id}")
        await page.wait_for_function(
            "() => document.querySelector('run-output').lines?.length > 52000"
        )
        await page.locator("[data-follow]:has-text('Following')").wait_for()
        assert await page.locator(".log li").count() < 100
        await page.locator(".log .tx", has_text="last").first.wait_for()
        await page.locator(".state.pill", has_text="succeeded").wait_for()
        await page.locator("[data-last-error]").click()
        await page.locator(".log li.err .tx", has_text="oops").wait_for()
        await page.keyboard.press("/")
        await page.fill("[data-find] input", "49999")
        await page.locator("[data-matches]", has_text="1 of 1").wait_for()
        await page.locator(".log mark.on", has_text="49999").wait_for()
        await page.locator(".log li:has(mark) .ln").click()
        assert page.url.endswith("#L50000")
        await page.reload()
        await page.locator(".log li.is-linked .tx", has_text="49999").wait_for()
        shown = await page.locator(".log li.is-linked .at").inner_text()
        sent = await page.evaluate(
            "new Date(document.querySelector('run-output').times[49999]).toISOString()"
        )
        local = datetime.fromisoformat(sent).astimezone(ZoneInfo("Europe/Oslo"))
        assert shown == local.isoformat(timespec="milliseconds")[11:23]
        await page.evaluate("document.querySelector('.log').scrollTop = 0")
        await page.locator(".log .a-r", has_text="red").wait_for()
        assert await page.locator(".log b").count() == 0
        assert troubles == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_command_from_its_form_to_its_end_with_keys_alone(
    app: Elihu, things: Things
) -> None:
    async with (
        serving(app) as address,
        browsing(viewport={"width": 1280, "height": 900}) as (page, troubles),
    ):
        await page.goto(address)
        await page.keyboard.press("g")
        await page.keyboard.press("c")
        await page.wait_for_url("**/commands")
        await page.goto(f"{address}/commands/new")
        await page.fill("#f-name", "From the keyboard")
        await page.fill("#f-shell_command", "echo hello $NOTHING")
        await page.locator("#preview .miss", has_text="$NOTHING").wait_for()
        await page.locator("[data-changes]", has_text="2 changed").wait_for()
        await page.focus("#f-name")
        await page.keyboard.press("Enter")
        await page.locator("[data-toast]", has_text="is saved").wait_for()
        await page.locator("[aria-label='More ways to run']").focus()
        await page.keyboard.press("Enter")
        await page.locator(".menu[open] .pop button").first.focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/runs/*")
        await page.locator(".crumbs a", has_text="Runs").wait_for()
        assert (await page.locator(".nav [aria-current]").inner_text()).startswith("Runs")
        await page.locator(".state.pill", has_text="succeeded").wait_for()
        await page.locator(".log .tx", has_text="hello").first.wait_for()
        await page.goto(f"{address}/crons/new")
        await page.fill("#f-expression", "0 2 * * *")
        await page.locator("#cron-preview time").nth(9).wait_for()
        await page.keyboard.press("Escape")
        await page.goto(f"{address}/runs")
        await page.keyboard.press("j")
        await page.keyboard.press("x")
        await page.locator("[data-tray]", has_text="1 picked").wait_for()
        await page.keyboard.press("Escape")
        assert await page.locator("[data-tray]").is_hidden()
        await page.keyboard.press("/")
        await page.keyboard.type("status:failed")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/runs?status=failed")
        await page.keyboard.press("Escape")
        await page.keyboard.press("?")
        await page.locator("#keys").wait_for()
        assert await page.locator("#keys").is_visible()
        await page.keyboard.press("Escape")
        await page.locator("label:has(#theme-dark)").click()
        await page.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
        assert troubles == []


async def test_lists_change_in_place_and_survive_a_lost_server(
    app: Elihu, web: FastAPI, sessions: Sessions, things: Things
) -> None:
    async with (
        serving(app) as address,
        browsing(viewport={"width": 1280, "height": 700}) as (page, troubles),
    ):
        await page.goto(f"{address}/runs/{things.run.id}")
        await page.locator(".state.pill", has_text="failed").wait_for()
        await page.goto(f"{address}/runs")
        await page.locator("[data-live]", has_text="Live").wait_for()
        await page.locator("tbody .pick").first.check()
        async with sessions.begin() as session:
            await runs.run(session, web.state.elihu.host, things.command.id)
        await page.locator(".new-rows", has_text="Show 1 new").wait_for()
        assert await page.locator("tbody .pick:checked").count() == 1
        await page.locator(".new-rows").click()
        await page.wait_for_function("() => document.querySelectorAll('tr[data-row]').length === 2")
        await page.route("**/runs", lambda route: route.abort())
        await page.evaluate("document.querySelector('[data-live]').click()")
        await page.evaluate("document.querySelector('[data-live]').click()")
        await page.locator("[data-away]", has_text="does not answer").wait_for()
        await page.unroute("**/runs")
        await page.evaluate("document.querySelector('[data-live]').click()")
        await page.evaluate("document.querySelector('[data-live]').click()")
        await page.locator("[data-away]").wait_for(state="hidden")
        assert troubles == []


@pytest.mark.skipif(not PICTURES, reason="ELIHU_TEST_PICTURES names no folder for the pictures")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_pictures_for_the_documentation(app: Elihu, web: FastAPI, sessions: Sessions) -> None:
    scene = await fill(app, web.state.elihu.host, sessions)
    options = {"viewport": {"width": 1280, "height": 860}}
    async with serving(app) as address, browsing(**options) as (page, troubles):
        await play(scene, web.state.elihu.host, sessions)
        for name, path in scene.pictures.items():
            await page.goto(address + path)
            await page.locator("[data-zone-switch]", has_text="Europe/Oslo").wait_for()
            await page.wait_for_load_state("networkidle" if name == "commands" else "load")
            await page.wait_for_timeout(1_500)
            await page.screenshot(path=Path(PICTURES) / f"{name}.png")
        assert troubles == []
