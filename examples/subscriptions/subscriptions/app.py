"""The app: a trigger that reminds, one that sends receipts, and a scheduled action."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import Context, Elihu
from subscriptions.models import Base, Mail, Subscription, engine, in_days, sessions

SYSTEM = "system"


class Users:
    """An actor is the name of a user, and is stored as it is."""

    def store(self, actor: str) -> str:
        return actor

    def lookup(self, stored: str | None) -> str:
        return stored or SYSTEM


async def shops() -> list[str]:
    """The tenants: every shop that has a subscription."""
    async with sessions() as session:
        found = await session.scalars(select(Subscription.shop).distinct())
        return sorted(found)


def may_write(actor: str, _trigger: object, record: Subscription) -> bool:
    """The system writes to everybody, a user to customers of the own shop."""
    return actor == SYSTEM or actor.endswith(f"@{record.shop}")


@asynccontextmanager
async def lifespan(_app: Elihu) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = Elihu(
    sessions=sessions,
    tenants=shops,
    actor_persister=Users(),
    default_actor=SYSTEM,
    authorize=may_write,
    lifespan=lifespan,
)


def ends_soon() -> ColumnElement[bool]:
    """The condition at the moment of a scan."""
    return and_(Subscription.ends_at < in_days(3), Subscription.reminded.is_(False))


async def note_failure(subscription: Subscription, error: Exception) -> None:
    """The last resort: leave a note, and do not try again."""
    subscription.note = f"not reminded: {error}"
    subscription.reminded = True


@app.trigger(
    Subscription,
    where=ends_soon,
    order_by=Subscription.ends_at,
    tenant_column=Subscription.shop,
    on_error=note_failure,
    queue="mail",
    max_attempts=3,
    backoff=1,
)
async def remind(
    subscription: Subscription, *, session: AsyncSession, ctx: Context = Context()
) -> None:
    """Remind the owner. The message and the flag are committed together."""
    write(session, subscription, ctx, f"your subscription ends on {subscription.ends_at:%d %B}")
    subscription.reminded = True


@app.trigger(
    Subscription,
    where=Subscription.receipt_sent.is_(False),
    cron=None,
    tenant_column=Subscription.shop,
    queue="mail",
)
async def send_receipt(
    subscription: Subscription, *, session: AsyncSession, ctx: Context = Context()
) -> None:
    """Send the receipt of a new subscription."""
    write(session, subscription, ctx, "thank you")
    subscription.receipt_sent = True


send_receipt.run_on("insert")


@app.schedule("0 4 * * *", queue="default", tenants=shops)
async def forget_old_mail(*, ctx: Context = Context()) -> int:
    """Remove a shop's messages, each night."""
    async with sessions.begin() as session:
        result: Any = await session.execute(delete(Mail).where(Mail.shop == ctx.tenant))
        return int(result.rowcount)


def write(session: AsyncSession, subscription: Subscription, ctx: Context, text: str) -> None:
    """Send a message. Raises ``ValueError`` for what is no address."""
    if "@" not in subscription.email:
        raise ValueError(f"expected an address, got {subscription.email!r}")
    session.add(
        Mail(shop=subscription.shop, to=subscription.email, text=text, sent_by=str(ctx.actor))
    )
