"""Runs in steps of time, on both engines."""

from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID

import pytest

from elihu.commands.models import CommandJob, Status
from elihu.orm.sessions import Sessions
from elihu.web.reads import run_figures
from elihu.web.reads.run_figures import counts, in_steps


async def test_runs_are_counted_in_steps(sessions: Sessions) -> None:
    assert "lost" in get_args(Status)
    since = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=4)
    made = ((0.5, "succeeded", False), (1.0, "failed", False), (1.9, "lost", True),
            (3.999, "queued", True), (-0.5, "failed", False))  # fmt: skip
    async with sessions.begin() as session:
        for hours, status, late in made:
            at = since + timedelta(hours=hours)
            number = int(at.timestamp() * 1_000) << 80
            session.add(
                CommandJob(
                    id=UUID(int=number),
                    command_name="c", environment_name="e", shell_command="true", mode="shell",
                    source="now", max_attempts=1, created_at=at, due_at=at, status=status,
                    late_at=at if late else None,
                )
            )  # fmt: skip
    async with sessions.read() as session:
        found = await in_steps(session, since, 3_600, 4)
    assert found.runs == [1, 2, 0, 1]
    assert found.failed == [0, 2, 0, 0]
    assert found.late == [0, 1, 0, 1]
    assert not found.more


async def test_runs_of_each_view_are_counted_up_to_a_bound(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime.now(UTC)
    async with sessions.begin() as session:
        for status in ("queued", "failed", "failed", "lost", "succeeded"):
            session.add(
                CommandJob(
                    command_name="c", environment_name="e", shell_command="true", mode="shell",
                    source="now", max_attempts=1, created_at=at, due_at=at, status=status,
                )
            )  # fmt: skip
    groups = {"some": ("queued", "running"), "bad": ("failed", "lost"), "none": ("skipped",)}
    async with sessions.read() as session:
        assert await counts(session, groups) == {
            "some": (1, False), "bad": (3, False), "none": (0, False)
        }  # fmt: skip
        monkeypatch.setattr(run_figures, "MOST", 2)
        assert (await counts(session, groups))["bad"] == (2, True)
