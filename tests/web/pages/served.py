"""The pages on a real server beside a real node, in a real Chromium."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from elihu import Elihu
from elihu.commands import CommandScheduler
from elihu.web import create_app

WHERE = "install Debian's chromium, or name one by ELIHU_TEST_CHROMIUM"
NEEDED = "ELIHU_TEST_BROWSER"
"""Set where a missing browser is a failure."""


def chromium() -> str:
    """The path of a Chromium; skips the test where there is none."""
    names = (
        os.environ.get("ELIHU_TEST_CHROMIUM", ""),
        "chromium",
        "chromium-browser",
        "google-chrome",
    )
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        if os.environ.get(NEEDED):
            pytest.fail(f"no Chromium: {WHERE}")
        pytest.skip(f"no Chromium: {WHERE}")
    return found


@asynccontextmanager
async def serving(app: Elihu) -> AsyncIterator[str]:
    """The address of a server that runs commands too."""
    scheduler = CommandScheduler(app)
    bound = socket.socket(proto=socket.IPPROTO_TCP)  # its parts are sent at once
    bound.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(app, open_on_loopback=True), log_level="warning", lifespan="on",
            timeout_graceful_shutdown=1,
        )
    )  # fmt: skip
    async with scheduler, app.running(queues={"default": 2, **scheduler.queues}):
        task = asyncio.create_task(server.serve([bound]))
        async with asyncio.timeout(60):
            while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
                await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.wait([task], timeout=20)
            bound.close()


@asynccontextmanager
async def browsing(**options: Any) -> AsyncIterator[tuple[Any, list[str]]]:
    """A page of a browser, and what it refused or failed at."""
    path = chromium()
    api = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    troubles: list[str] = []
    async with api.async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        context = await browser.new_context(
            timezone_id="Europe/Oslo", locale="en-GB", reduced_motion="reduce", **options
        )
        page = await context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: (
                troubles.append(message.text) if "Content Security Policy" in message.text else None
            ),
        )
        try:
            yield page, troubles
        finally:
            await browser.close()
