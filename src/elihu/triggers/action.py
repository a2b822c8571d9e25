"""The function of a trigger: what it takes, and how it is called."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import Parameter
from typing import Any, Final

from elihu.context import Context
from elihu.errors import InvalidArguments, InvalidTrigger
from elihu.task import Codec
from elihu.task.signature import TaskSignature, read_signature

_OWN: Final = frozenset({"session", "metadata"})


class Action:
    """A user's function that a trigger calls with a record, or with a list of records.

    Its first parameter is the record. ``session``, ``metadata`` and a ``Context`` come
    by keyword where it has such parameters; every other parameter is input. Raises
    ``InvalidTrigger`` for a signature that cannot be called so.
    """

    def __init__(self, function: Callable[..., Any], what: str) -> None:
        if not inspect.isfunction(function):
            raise InvalidTrigger(f"{what}: expected a function, got {function!r}")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidTrigger(f"{what}: expected a function that returns, got a generator")
        self.function = function
        self.what = what
        self.asynchronous = inspect.iscoroutinefunction(function)
        signature = read_signature(function, what)
        names = list(signature.parameters)
        if not names:
            raise InvalidTrigger(
                f"{what}: expected a function that takes a record first, got one without parameters"
            )
        first = signature.parameters[names[0]]
        if first.kind not in {Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD}:
            raise InvalidTrigger(
                f"{what}: expected a function that takes a record first, by position, got "
                f"{first.name}, which is {first.kind.description}"
            )
        self._context = signature.context.name if signature.context else None
        if self._context is None and "ctx" in names:
            raise InvalidTrigger(
                f"{what}: parameter ctx: expected the annotation Context, got none"
            )
        self._own = frozenset(names) & _OWN
        self.takes_metadata = "metadata" in self._own
        self._codec = Codec(_input_of(signature, names[0]))

    def encode(
        self, action_input: Mapping[str, Any], metadata: Mapping[str, Any] | None, limit: int
    ) -> bytes:
        """The JSON of the input: ``metadata`` goes over it unless the function takes it
        whole. Raises ``InvalidArguments``.
        """
        given = dict(action_input)
        if metadata and not self.takes_metadata:
            given |= metadata
        return self._codec.encode_values((), given, limit)[1]

    def check(self, action_input: Mapping[str, Any], *, complete: bool) -> None:
        """Raise ``InvalidTrigger`` for input that the function does not take;
        ``complete`` where nothing is added to it later.
        """
        if unknown := sorted(set(action_input) - self._codec.names):
            raise InvalidTrigger(
                f"{self.what}: action_input: expected parameters of the action "
                f"({', '.join(sorted(self._codec.names)) or 'it has none'}), got "
                f"{', '.join(unknown)}"
            )
        if not complete:
            return
        try:
            self.encode(action_input, None, 2**31)
        except InvalidArguments as error:
            raise InvalidTrigger(f"{self.what}: action_input: {error}") from error

    def arguments(
        self,
        text: str,
        *,
        session: Any,
        ctx: Context,
        metadata: Mapping[str, Any] | None,
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What to call the function with behind the record: input from its JSON text,
        and what it takes of ``session``, ``ctx`` and ``metadata``. Raises
        ``InvalidArguments``.
        """
        args, kwargs = self._codec.decode(text)
        if "session" in self._own:
            kwargs["session"] = session
        if self.takes_metadata:
            kwargs["metadata"] = dict(metadata or {})
        if self._context is not None:
            kwargs[self._context] = ctx
        return args, kwargs


def _input_of(signature: TaskSignature, first: str) -> TaskSignature:
    left_out = {first, *_OWN}
    return replace(
        signature,
        parameters={
            name: parameter
            for name, parameter in signature.parameters.items()
            if name not in left_out
        },
    )


def check_callback(
    function: Callable[..., Any], what: str, *, positional: int, named: frozenset[str]
) -> None:
    """Raise ``InvalidTrigger`` unless the function can be called with ``positional``
    arguments and any of the ``named`` that it has.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise InvalidTrigger(f"{what}: expected a function, got {function!r}") from error
    by_position = [
        p
        for p in parameters
        if p.kind in {Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD}
        and p.name not in named
    ]
    variadic = any(p.kind is Parameter.VAR_POSITIONAL for p in parameters)
    needed = [p for p in by_position if p.default is Parameter.empty]
    strange = [
        p.name
        for p in parameters
        if p.kind is Parameter.KEYWORD_ONLY and p.default is Parameter.empty and p.name not in named
    ]
    if strange or len(needed) > positional or (len(by_position) < positional and not variadic):
        raise InvalidTrigger(
            f"{what}: expected a function of {positional} arguments and of the keywords "
            f"{', '.join(sorted(named)) or 'none'}, got {inspect.signature(function)}"
        )


def keywords_of(function: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``offered`` that the function takes."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values()):
        return dict(offered)
    return {name: value for name, value in offered.items() if name in parameters}
