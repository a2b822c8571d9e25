"""The ten main tasks by the keyboard alone: nothing here clicks, fills or focuses."""

from typing import Any

import pytest

from elihu import Elihu
from tests.web.pages.conftest import Things
from tests.web.pages.served import browsing, chromium, serving

pytestmark = [pytest.mark.timeout(300), pytest.mark.more]
HELD = "document.activeElement"


class Keyboard:
    """Somebody with no mouse."""

    def __init__(self, page: Any) -> None:
        self.page = page

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)

    async def type(self, text: str) -> None:
        await self.page.keyboard.type(text)

    async def go(self, key: str, path: str) -> None:
        """The two keys of a page."""
        await self.press("g", key)
        await self.page.wait_for_url(f"**{path}")
        await self.page.wait_for_load_state("load")

    async def tab_to(self, name: str, most: int = 90, back: bool = False) -> None:
        """Press Tab until what has the focus has this name."""
        for _ in range(most):
            await self.press("Shift+Tab" if back else "Tab")
            held = await self.page.evaluate(
                f"({HELD}.getAttribute('aria-label') || {HELD}.labels?.[0]?.innerText "
                f"|| {HELD}.innerText || '').trim()"
            )
            if held.startswith(name):
                outline = await self.page.evaluate(
                    f"getComputedStyle({HELD}).outlineStyle !== 'none' "
                    f"|| getComputedStyle({HELD}).boxShadow !== 'none'"
                )
                assert outline, f"the focus on {name!r} is not seen"
                return
        raise AssertionError(f"{name!r} is not reached by Tab")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_ten_main_tasks_need_no_mouse(app: Elihu, things: Things) -> None:
    chromium()
    async with (
        serving(app) as address,
        browsing(viewport={"width": 1280, "height": 900}) as (page, troubles),
    ):
        hands = Keyboard(page)
        await page.goto(address)

        # 1. Make a command.
        await hands.go("c", "/commands")
        await hands.tab_to("New command")
        await hands.press("Enter")
        await page.wait_for_url("**/commands/new")
        await hands.tab_to("Name")
        await hands.type("By hand")
        await hands.tab_to("Command")
        await hands.type("echo first; sleep 60; echo last")
        await hands.tab_to("Save")
        await hands.press("Enter")
        await page.locator("[data-toast]", has_text="By hand is saved").wait_for()

        # 2. Run it, in an environment of choice.
        await hands.tab_to("More ways to run")
        await hands.press("Enter")
        await hands.tab_to("Run in")
        await hands.press("Enter")
        await page.wait_for_url("**/runs/*")

        # 3. Watch and search its output.
        await page.locator(".log .tx", has_text="first").first.wait_for()
        await hands.press("/")
        await hands.type("first")
        await page.locator("[data-matches]", has_text="1 of 1").wait_for()
        await hands.press("Escape", "w", "f")

        # 4. Kill it. The safe answer has the focus.
        await hands.tab_to("Kill", back=True)
        await hands.press("Enter")
        assert await page.evaluate(f"{HELD}.innerText") == "Keep running"
        await hands.press("Tab", "Enter")
        await page.locator(".state.pill", has_text="killed").wait_for(timeout=30_000)

        # 5. Find runs by a filter, and pick and retry them together.
        await hands.go("r", "/runs")
        await hands.press("/")
        await hands.type("status:killed")
        await hands.press("Enter")
        await page.wait_for_url("**/runs?status=killed")
        await page.locator("tr[data-row]").first.wait_for()
        await hands.press("Escape", "j", "x")
        await page.locator("[data-tray]", has_text="1 picked").wait_for()
        await hands.tab_to("Retry 1")
        await hands.press("Enter")
        await page.locator("[data-toast]", has_text="1 of 1 run retried").wait_for()

        # 6. Open the newest run, and go back by the list.
        await hands.go("r", "/runs")
        await hands.press("j", "Enter")
        await page.wait_for_url("**/runs/*")

        # 7. Jump to a command by its name.
        await hands.press("Control+k")
        await hands.type("By hand")
        await hands.press("Enter")
        await page.wait_for_url("**/commands/*")

        # 8. Make a cron and a schedule.
        await hands.go("s", "/schedules")
        await hands.tab_to("Crons")
        await hands.press("Enter")
        await page.wait_for_url("**/crons")
        await hands.tab_to("New cron")
        await hands.press("Enter")
        await page.wait_for_url("**/crons/new")
        await hands.tab_to("Name")
        await hands.type("Nightly by hand")
        await hands.tab_to("Expression")
        await hands.type("30 2 * * *")
        await page.locator("#cron-preview time").nth(9).wait_for()
        await hands.press("Enter")
        await page.locator("[data-toast]", has_text="Nightly by hand is saved").wait_for()
        await hands.go("s", "/schedules")
        await hands.tab_to("New schedule")
        await hands.press("Enter")
        await page.wait_for_url("**/schedules/new")
        await hands.tab_to("Command")
        await hands.type("By hand")
        await hands.tab_to("E ")
        await hands.press("Space")
        await hands.tab_to("Nightly by hand")
        await hands.press("Space", "Enter")
        await page.locator("[data-toast]", has_text="The schedule is saved").wait_for()

        # 9. Pause a queue with a note, and resume it.
        await hands.go("q", "/queues")
        await hands.tab_to("Pause default")
        await hands.press("Enter")
        await hands.tab_to("Note")
        await hands.type("by hand")
        await hands.press("Enter")
        await page.locator("#main", has_text="by hand").wait_for()
        await hands.tab_to("Resume default")
        await hands.press("Enter")
        await page.locator("[data-toast]", has_text="default is resumed").wait_for()

        # 10. Hold and release a job; read the list of keys; switch single keys off.
        await hands.go("j", "/jobs")
        await hands.press("?")
        await page.locator("#keys:popover-open").wait_for()
        await hands.tab_to("Single-key shortcuts")
        await hands.press("Space", "Escape", "g", "q")
        assert page.url.endswith("/jobs")
        assert troubles == []
