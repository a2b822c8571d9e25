"""The app of node processes with a trigger: an action that counts, and one that fails."""

import os
from typing import Any

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from elihu import Elihu
from elihu.telemetry.events import Event, JobStarted, NodeStarted, Ticked

URL = os.environ["ELIHU_DATABASE_URL"]
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


class Base(DeclarativeBase): ...


class Invoice(Base):
    """``acts`` and ``errors`` count what the trigger committed."""

    __tablename__ = "invoice"

    id: Mapped[int] = mapped_column(primary_key=True)
    fails: Mapped[bool] = mapped_column(default=False)
    acts: Mapped[int] = mapped_column(default=0)
    errors: Mapped[int] = mapped_column(default=0)


scheme, rest = URL.split(":", 1)
timeout = {"connect_args": {"timeout": 30}} if scheme == "sqlite" else {}
engine = create_async_engine(f"{DRIVERS[scheme]}:{rest}", **timeout)
sessions = async_sessionmaker(engine)
app = Elihu(sessions=sessions, queues={"triggers": 4})


async def count_error(invoice: Invoice, error: Exception) -> None:
    invoice.errors += 1


@app.trigger(
    Invoice,
    name="count",
    where=(Invoice.acts == 0) & (Invoice.errors == 0),
    cron=None,
    queue="triggers",
    on_error=count_error,
    worker_opts={"max_orphans": 100},
)
async def count(invoice: Invoice, *, session: Any) -> None:
    invoice.acts += 1
    if invoice.fails:
        raise ValueError("fails")


def show(event: Event) -> None:
    if isinstance(event, JobStarted):
        print(f"began {event.task}", flush=True)
    elif isinstance(event, Ticked):
        print("tick", flush=True)
    else:
        print(f"event {type(event).__name__}", flush=True)


for kind in (NodeStarted, JobStarted, Ticked):
    app.on(kind, show)
