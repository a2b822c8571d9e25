"""Tasks of the project: those of the app, and Django's."""

import asyncio
import os
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

from elihu import Cancel, Context, Discard, Retry, Snooze, Unique
from elihu.contrib.django import app, task
from tests.django.project.shop.models import Order

ran: list[Any] = []
"""What tasks in this process have done."""


@app.task
def ship(order_id: int) -> int:
    return int(Order.objects.filter(pk=order_id).update(shipped=True))


@app.task(max_attempts=1)
def ask() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    ran.append("thread")


@app.task(max_attempts=1)
async def aask() -> None:
    await Order.objects.acount()
    ran.append("loop")


@app.task(max_attempts=1, run_in="process", record=True)
def pask() -> int:
    return int(Order.objects.count())


@app.task(max_attempts=1, run_in="process", record=True)
async def apask() -> int:
    return int(await sync_to_async(Order.objects.count)())


@app.task(queue="mail", unique=Unique())
def mail(to: str, text: str = "") -> None:
    ran.append(("mail", to))


@app.task
def untyped(value) -> None: ...


@app.task
async def chain(number: int) -> None:
    if number:
        await chain.aenqueue(number - 1)


@app.task(max_attempts=2)
def end(how: str, *, ctx: Context = Context()) -> Any:
    ran.append((how, ctx.job.attempt))
    match how:
        case "cancel":
            raise Cancel("not wanted")
        case "discard":
            return Discard("of no use")
        case "retry":
            raise Retry(delay=0)
        case "snooze" if len(ran) == 1:
            return Snooze(60)
        case "error":
            raise ValueError("a wrong value")
        case "database":
            with connection.cursor() as cursor:
                cursor.execute("SELECT nothing FROM nowhere")
    return None


@task
def add(a: int, b: int = 2) -> int:
    return a + b


@task
async def aadd(a: int, b: int = 2) -> int:
    return a + b


@task(run_in="process")
def where() -> int:
    return os.getpid()


@task(takes_context=True)
def attempt(context: Any, *, text: str = "") -> list[Any]:
    return [context.attempt, context.task_result.id, context.task_result.status, text]


@task(takes_context=True)
async def aattempt(context: Any) -> int:
    return int(context.attempt)


@task(max_attempts=2, backoff=0.1, takes_context=True)
def second_time(context: Any) -> int:
    if context.attempt == 1:
        raise LookupError("not yet")
    return len(context.task_result.errors)


@task
def fail() -> None:
    raise ValueError("a wrong value")


@task
async def afail() -> None:
    raise ValueError("a wrong value")


@task
def leave() -> None:
    raise SystemExit(1)


@task
def give(what: str) -> Any:
    return {"object": object(), "keys": {1: 2}, "large": "x" * 9_000_000}[what]


@task
def choose(how: str, raised: bool) -> Any:
    end = {"cancel": Cancel, "discard": Discard, "retry": Retry, "snooze": Snooze}[how]
    outcome = end(60) if how == "snooze" else end()
    if raised:
        raise outcome
    return outcome


@task
async def wait() -> None:
    ran.append("waits")
    await asyncio.Event().wait()


@task(backend="patient")
def fail_thrice() -> None:
    raise KeyError("missing")


@task(backend="once")
def once(number: int) -> None: ...


@task(queue_name="mail", priority=100)
def urgent() -> str:
    return "done"
