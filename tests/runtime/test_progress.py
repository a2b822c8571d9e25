"""Progress: what threads report at the moment of a write is not lost."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from elihu.runtime.attempts.progress import Progress
from tests.runtime.harness import NodeHarness

pytestmark = pytest.mark.sqlite_first


async def test_a_report_during_a_write_is_written_too(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    progress = Progress(harness.scope)
    entered, swapped = threading.Event(), threading.Event()
    written: list[tuple[int, int, str]] = []

    class Slow(dict[tuple[int, int], str]):
        def __setitem__(self, key: tuple[int, int], text: str) -> None:
            entered.set()
            swapped.wait(0.2)
            super().__setitem__(key, text)

    async def record(_: str, reports: Sequence[tuple[int, int, str]]) -> None:
        written.extend(reports)

    monkeypatch.setattr(harness.engine, "record_progress", record)
    progress._reports = Slow({(1, 1): "first"})
    reporting = asyncio.create_task(asyncio.to_thread(progress.report, (2, 1), "second"))
    await asyncio.to_thread(entered.wait, 5)
    await progress.tick()
    swapped.set()
    await reporting
    await progress.tick()
    assert written == [(1, 1, "first"), (2, 1, "second")]
