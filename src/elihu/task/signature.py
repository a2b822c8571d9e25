"""Reads a function's parameters: the job's arguments with their types, and the
``Context``.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import Parameter
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from elihu.context import Context
from elihu.errors import InvalidTask

_VARIADIC: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class TaskSignature:
    """The parameters of a function without its ``Context``, their annotations resolved.

    ``positional`` are the names that can be passed by position, in order;
    ``positional_only`` are those that must be. ``returns`` is the return annotation as
    written.
    """

    fn: Callable[..., Any]
    task: str
    parameters: Mapping[str, Parameter]
    context: Parameter | None
    context_index: int | None
    returns: Any

    @cached_property
    def positional(self) -> tuple[str, ...]:
        return tuple(
            p.name
            for p in self.parameters.values()
            if p.kind in {Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD}
        )

    @cached_property
    def positional_only(self) -> tuple[str, ...]:
        return tuple(
            p.name for p in self.parameters.values() if p.kind is Parameter.POSITIONAL_ONLY
        )

    @cached_property
    def var_positional(self) -> str | None:
        return self._of_kind(Parameter.VAR_POSITIONAL)

    @cached_property
    def var_keyword(self) -> str | None:
        return self._of_kind(Parameter.VAR_KEYWORD)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        return {
            p.name: p.default for p in self.parameters.values() if p.default is not Parameter.empty
        }

    def _of_kind(self, kind: Any) -> str | None:
        return next((p.name for p in self.parameters.values() if p.kind is kind), None)


def read_signature(fn: Callable[..., Any], task: str) -> TaskSignature:
    """The signature of ``fn``, the function behind ``task``.

    Raises ``InvalidTask`` for an annotation with an unknown name, for a method, and for
    a ``Context`` that cannot be passed by keyword.
    """
    try:
        signature = inspect.signature(fn)
    except (NameError, ValueError) as error:
        raise InvalidTask(
            f"task {task}: expected a function whose signature can be read, got {fn!r} ({error})"
        ) from error
    every = list(signature.parameters.values())
    if every and every[0].name in {"self", "cls"} and every[0].annotation is Parameter.empty:
        raise InvalidTask(
            f"task {task}: parameter {every[0].name}: expected a function, got a method; "
            "write it outside the class; ctx: Context gives access to the attempt"
        )
    resolved = {p.name: p.replace(annotation=_parameter_type(fn, task, p)) for p in every}
    context = _context_of(task, every, resolved)
    return TaskSignature(
        fn=fn,
        task=task,
        parameters={
            name: p for name, p in resolved.items() if context is None or name != context.name
        },
        context=context,
        context_index=every.index(signature.parameters[context.name])
        if context and context.kind is not Parameter.KEYWORD_ONLY
        else None,
        returns=signature.return_annotation,
    )


def resolve(fn: Callable[..., Any], annotation: Any) -> Any:
    """``annotation`` with its text evaluated in the module of ``fn``. Raises what the
    evaluation raises.
    """
    names = getattr(inspect.unwrap(fn), "__globals__", {})
    fallback = {} if "Context" in names else {"Context": Context}
    hints = get_type_hints(
        SimpleNamespace(__annotations__={"it": annotation}),
        globalns=names,
        localns=fallback,
        include_extras=True,
    )
    return hints["it"]


def _parameter_type(fn: Callable[..., Any], task: str, parameter: Parameter) -> Any:
    if parameter.annotation is Parameter.empty:
        return Parameter.empty
    try:
        return resolve(fn, parameter.annotation)
    except Exception as error:
        raise InvalidTask(
            f"task {task}: parameter {parameter.name}: expected an annotation that can be "
            f"evaluated at run time, got {parameter.annotation!r} ({error}); import or define its "
            "names at the top of the module, outside TYPE_CHECKING"
        ) from error


def _context_of(
    task: str, every: list[Parameter], resolved: Mapping[str, Parameter]
) -> Parameter | None:
    found = [p for p in resolved.values() if _asks_for_context(task, p)]
    if not found:
        return None
    if len(found) > 1:
        raise InvalidTask(
            f"task {task}: expected one Context parameter, got {', '.join(p.name for p in found)}"
        )
    context = found[0]
    by_keyword = context.kind is Parameter.KEYWORD_ONLY or (
        context.kind is Parameter.POSITIONAL_OR_KEYWORD
        and all(p.kind is not Parameter.VAR_POSITIONAL for p in every)
    )
    if not by_keyword:
        before = "" if context.kind in _VARIADIC else " before *args or /"
        raise InvalidTask(
            f"task {task}: parameter {context.name}: expected a Context that can be passed by "
            f"keyword, got one that is {context.kind.description}{before}; write it after a *"
        )
    return context


def _asks_for_context(task: str, parameter: Parameter) -> bool:
    annotation = parameter.annotation
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    members = (
        get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)
    )
    if Context not in members:
        return False
    if not set(members) <= {Context, NoneType}:
        raise InvalidTask(
            f"task {task}: parameter {parameter.name}: expected Context or Context | None, got "
            f"{parameter.annotation!r}"
        )
    return True
