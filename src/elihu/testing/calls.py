"""Helpers that synchronous and asynchronous tests call alike."""

import functools
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from elihu.errors import ElihuError
from elihu.event_loop import in_loop

P = ParamSpec("P")
T = TypeVar("T")


class HelperNotAwaited(ElihuError):
    """A helper was called inside a running event loop, and its call was not awaited: it
    did nothing.
    """


class Call(Coroutine[Any, Any, T]):
    """The coroutine of a helper, which knows whether it was awaited."""

    def __init__(self, name: str, coroutine: Coroutine[Any, Any, T]) -> None:
        self.name = name
        self.awaited = False
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        self.awaited = True
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        self.awaited = True
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        self.awaited = True
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()


class Calls:
    """The calls of helpers that a running event loop has to await."""

    def __init__(self) -> None:
        self._made: list[Call[Any]] = []

    def add(self, call: Call[T]) -> Call[T]:
        """Remember a call until ``check``."""
        self._made = [made for made in self._made if not made.awaited]
        self._made.append(call)
        return call

    def check(self) -> None:
        """Raise ``HelperNotAwaited`` if a call was not awaited."""
        made, self._made = self._made, []
        forgotten = [call for call in made if not call.awaited]
        for call in forgotten:
            call.close()
        if forgotten:
            names = ", ".join(f"{call.name}()" for call in forgotten)
            raise HelperNotAwaited(
                f"expected every helper to be awaited in an asynchronous test, got {names} without "
                "await"
            )


class HasCalls(Protocol):
    """What the methods of ``in_both`` belong to."""

    @property
    def calls(self) -> Calls: ...

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any: ...


S = TypeVar("S", bound=HasCalls)


def in_both(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Any]:
    """The method for both kinds of tests. In synchronous code a call returns the result;
    inside a running event loop it returns a coroutine to await.
    """

    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        coroutine = method(self, *args, **kwargs)
        if in_loop():
            return self.calls.add(Call(method.__name__, coroutine))
        return self.run(coroutine)

    return call
