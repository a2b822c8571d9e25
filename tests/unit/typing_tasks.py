"""What a type checker sees of tasks; checked by mypy, not run."""

from collections.abc import Coroutine
from typing import Any, assert_type

from elihu.context import Context
from elihu.job import Job, NewJob
from elihu.relay import Relay
from elihu.task.configured import ConfiguredTask
from elihu.task.task import Task
from elihu.triggers import Tasks

tasks = Tasks()


@tasks.task
async def bare(user_id: int, *, ctx: Context = Context()) -> str:
    return ""


@tasks.task(queue="mail", max_attempts=5)
def with_options(to: str, copies: int = 1) -> bytes:
    return b""


def called_directly(a: int, /) -> None: ...


direct = tasks.task(called_directly, priority=3)


async def calls() -> None:
    assert_type(await bare(7), str)
    coroutine: Coroutine[Any, Any, str] = bare(7)
    assert_type(await coroutine, str)
    assert_type(with_options("x", copies=2), bytes)
    assert_type(direct, Task[[int], None])
    assert_type(bare.enqueue(7), Job)
    assert_type(await bare.aenqueue(7), Job)
    assert_type(with_options.build("x"), NewJob)
    assert_type(with_options.using(delay="10m", priority=2, tags=["vip"]).enqueue("x"), Job)
    assert_type(direct.using(hold=True), ConfiguredTask[[int], None])
    assert_type(bare.submit(7), Relay[str])
    assert_type(await (await bare.asubmit(7)).aresult(), str)
    assert_type(with_options.using(delay="10m").submit("x").result(timeout=1), bytes)
    bare.enqueue("7")  # type: ignore[arg-type]
    bare.enqueue()  # type: ignore[call-arg]
    bare.using(priority=1).enqueue(user=7)  # type: ignore[call-arg]
    with_options.using(prioritty=1)  # type: ignore[call-arg]
    with_options.using(priority="high")  # type: ignore[arg-type]


@tasks.task(timeot=3)  # type: ignore[call-overload]
def not_yet() -> None: ...
