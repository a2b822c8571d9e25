"""A cron entry that the code declares."""

from datetime import date
from typing import Any

from elihu import (
    Elihu,
    Task,
    Unique,
)


async def nightly(app: Elihu) -> Task[..., Any]:
    """An entry of the code, with the row that a node would write."""

    @app.cron(
        "0 3 * * *",
        tz="Europe/Oslo",
        name="nightly",
        args={"day": date(2026, 1, 1)},
        queue="slow",
        tags=["Night"],
    )
    @app.task(name="report", priority=2, unique=Unique())
    def report(day: date, full: bool = False) -> None: ...

    async with app.running():
        pass
    return report
