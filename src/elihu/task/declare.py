"""From a function to a task: its name, how it runs, and what cannot be a task."""

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import ParamSpec, TypeVar, cast

from elihu.errors import InvalidOption, InvalidTask
from elihu.task.codec import Codec
from elihu.task.importable import check_importable, module_of
from elihu.task.options import (
    TaskKeywords,
    check_known,
    check_name,
    check_names,
    parse_task_options,
)
from elihu.task.signature import read_signature
from elihu.task.task import RunIn, Task

P = ParamSpec("P")
R = TypeVar("R")


def declare(
    fn: Callable[P, R],
    options: TaskKeywords,
    *,
    prefix: str = "",
    codec: type[Codec] = Codec,
) -> Task[P, R]:
    """Make a task of ``fn``. Raises ``InvalidTask`` and ``InvalidOption``.

    Its name is ``prefix`` with the option ``name``, or with the function's module and
    qualified name. ``aliases`` are whole names, without the prefix. ``codec`` reads and
    writes its arguments.
    """
    name = _name_of(_function(fn), options.get("name"), prefix)
    what = f"task {name}"
    check_known(what, options, TaskKeywords.__optional_keys__)
    run_in = _check_run_in(what, cast(FunctionType, fn), options.get("run_in"))
    signature = read_signature(fn, name)
    aliases = tuple(
        alias
        for alias in check_names(f"{what}: aliases", options.get("aliases", ()))
        if alias != name
    )
    return Task(
        fn,
        name,
        aliases,
        run_in,
        signature,
        parse_task_options(what, options, signature.parameters),
        codec(signature),
    )


def _function(fn: object) -> FunctionType:
    advice = "expected a function written with def or async def"
    if isinstance(fn, Task):
        raise InvalidTask(
            f"{advice}, got the task {fn.name}: declare a function once, and give the task "
            "aliases for other names"
        )
    if not isinstance(fn, FunctionType):
        shown = (
            f"a functools.partial of {fn.func!r}" if isinstance(fn, functools.partial) else repr(fn)
        )
        raise InvalidTask(f"{advice}, got {shown}; write a function that calls it")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise InvalidTask(f"{advice} that returns, got {fn.__qualname__}, a generator")
    if inspect.iscoroutinefunction(inspect.unwrap(fn)) and not inspect.iscoroutinefunction(fn):
        raise InvalidTask(
            f"{advice}, got {fn.__qualname__}, an async function inside a plain wrapper: write "
            "the wrapper with async def too"
        )
    return fn


def _name_of(fn: FunctionType, given: object, prefix: str) -> str:
    qualname = fn.__qualname__
    if given is not None:
        return check_name(
            f"task {qualname}: name", prefix + check_name(f"task {qualname}: name", given)
        )
    if "<" in qualname:
        raise InvalidTask(
            f"task {qualname}: expected name= for a lambda or a function inside a function, got "
            "none: its own name is not stable"
        )
    return check_name(f"task {qualname}: name", f"{prefix}{module_of(fn)}.{qualname}")


def _check_run_in(what: str, fn: FunctionType, given: object) -> RunIn:
    own: RunIn = "loop" if inspect.iscoroutinefunction(fn) else "thread"
    if given is None or given == own:
        return own
    if given == "process":
        check_importable(what, fn)
        return "process"
    if given == "thread":
        raise InvalidOption(
            f'{what}: run_in: expected "loop" or "process" for an async def, got "thread"'
        )
    if given == "loop":
        raise InvalidOption(
            f'{what}: run_in: expected "thread" or "process" for a def, which would block the '
            'event loop, got "loop"'
        )
    raise InvalidOption(f'{what}: run_in: expected "loop", "thread" or "process", got {given!r}')
