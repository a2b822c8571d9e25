"""The web side: subscribe, and remind a customer now.

In this folder, after `pip install 'elihu[triggers]' fastapi uvicorn`:

    elihu up                                # in another terminal
    uvicorn subscriptions.web:api
    curl -X POST 'http://127.0.0.1:8000/tea/subscriptions?email=ada@example.org&days=2'
    curl -X POST 'http://127.0.0.1:8000/tea/subscriptions/1/remind?user=bob@tea'
    curl 'http://127.0.0.1:8000/tea/mail'

`script/up --example subscriptions --postgres` prints the URL of its database: set
ELIHU_DATABASE_URL to it before uvicorn starts.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from subscriptions.app import app, remind
from subscriptions.models import Base, Mail, Subscription, engine, in_days, sessions


@asynccontextmanager
async def lifespan(_api: FastAPI) -> AsyncIterator[None]:
    async with app:
        await app.migrate()
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()


async def transaction() -> AsyncIterator[AsyncSession]:
    """One transaction a request."""
    async with sessions.begin() as session:
        yield session


api = FastAPI(title="subscriptions", lifespan=lifespan)
InTransaction = Annotated[AsyncSession, Depends(transaction, scope="function")]


@api.post("/{shop}/subscriptions")
async def subscribe(shop: str, email: str, days: float, session: InTransaction) -> int:
    """Store a subscription. The job of its receipt is stored with it, or neither is."""
    subscription = Subscription(shop=shop, email=email, ends_at=in_days(days))
    session.add(subscription)
    await session.flush()
    return subscription.id


@api.post("/{shop}/subscriptions/{key}/remind")
async def remind_now(shop: str, key: int, user: str, session: InTransaction) -> int:
    """Remind a customer now, on behalf of a user."""
    subscription = await session.get(Subscription, key)
    if subscription is None or subscription.shop != shop:
        raise HTTPException(404, f"{shop} has no subscription {key}")
    job = await remind.arun(subscription, actor=user, conn=session)
    return int(job.id)


@api.get("/{shop}/mail")
async def mail(shop: str, session: InTransaction) -> list[dict[str, str]]:
    """The messages that a shop sent."""
    found = await session.scalars(select(Mail).where(Mail.shop == shop).order_by(Mail.id))
    return [{"to": each.to, "text": each.text, "sent_by": each.sent_by} for each in found]
