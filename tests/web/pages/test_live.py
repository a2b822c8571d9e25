"""Pages that tabs ask for after a change: shared, never stale, and bounded in cost."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from elihu import Elihu
from elihu.accounts.roles import Actor, Role
from elihu.web import live
from elihu.web.live import LivePages
from tests.web.pages.conftest import Browser
from tests.web.pages.counting import counted

pytestmark = pytest.mark.sqlite_first

ANN = Actor("ann", Role.VIEW, "session")


def request(path: str = "/", query: str = "", **headers: str) -> Request:
    """A request of a tab."""
    return Request(
        {
            "type": "http", "method": "GET", "scheme": "http", "path": path,
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode())
                        for name, value in headers.items()],
        }
    )  # fmt: skip


class Reads:
    """Reads that wait until they are let go, and answer their number."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()
        self.begins: asyncio.Queue[None] = asyncio.Queue()

    async def __call__(self) -> Response:
        self.begun += 1
        number = self.begun
        self.begins.put_nowait(None)
        await self.go.wait()
        return Response(str(number))

    def ask(self, pages: LivePages, sent: Request, actor: Actor = ANN) -> asyncio.Task[Any]:
        return asyncio.create_task(pages.answer(sent, actor, self))


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "GATHER", 0.0)
    monkeypatch.setattr(live, "PACE", 0.0)


@pytest.mark.usefixtures("at_once")
async def test_a_tab_never_gets_a_read_that_began_before_it_asked() -> None:
    pages, reads = LivePages(), Reads()
    tabs = [reads.ask(pages, request()) for _ in range(3)]
    await reads.begins.get()
    late = [reads.ask(pages, request()) for _ in range(3)]
    await reads.begins.get()
    reads.go.set()
    assert [(await tab).body for tab in [*tabs, *late]] == [b"1"] * 3 + [b"2"] * 3
    await pages.aclose()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("sent", "actor"),
    [
        (request("/jobs"), ANN),
        (request(query="span=week"), ANN),
        (request(cookie="elihu_zone=Asia/Tokyo"), ANN),
        (request(hx_request="true"), ANN),
        (request(), Actor("ann", Role.EDIT, "session")),
        (request(), Actor("bob", Role.VIEW, "session")),
    ],
)
async def test_tabs_that_show_something_else_have_reads_of_their_own(
    sent: Request, actor: Actor
) -> None:
    pages, reads = LivePages(), Reads()
    reads.go.set()
    tabs = reads.ask(pages, request()), reads.ask(pages, sent, actor)
    assert {(await tab).body for tab in tabs} == {b"1", b"2"}


async def test_a_slow_page_is_read_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        at = 100.0

        def monotonic(self) -> float:
            return self.at

    clock, pauses = Clock(), list[float]()

    async def sleep(seconds: float) -> None:
        pauses.append(round(seconds, 3))
        clock.at += seconds

    async def slow() -> Response:
        clock.at += 0.3
        return Response()

    monkeypatch.setattr(live, "time", clock)
    monkeypatch.setattr("elihu.web.live.asyncio.sleep", sleep)
    pages = LivePages()
    for _ in range(2):
        await pages.answer(request(), ANN, slow)
    assert pauses == [0.05, 5.7]  # 20 times 0.3 seconds from one begin to the next


async def test_a_closed_application_gives_up_what_waits() -> None:
    pages, reads = LivePages(), Reads()
    reads.go.set()
    tab = reads.ask(pages, request())
    await asyncio.sleep(0)
    await pages.aclose()
    with pytest.raises(asyncio.CancelledError):
        await tab
    assert reads.begun == 0


async def test_eight_tabs_cost_what_one_does(
    app: Elihu, web: FastAPI, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elihu.web.context.LOOK_AGAIN", 60.0)
    tab = {"HX-Request": "true", "X-Live": "1"}
    await browser.get("/queues", **tab)
    calls = []
    for tabs in (1, 8):
        web.state.elihu.menu = None
        with counted(app) as found:
            shown = await asyncio.gather(*(browser.get("/queues", **tab) for _ in range(tabs)))
        assert {page.answer.status_code for page in shown} == {200}
        assert all("Queues" in page.answer.text for page in shown)
        calls.append(found.number)
    assert calls[0] == calls[1]
