"""A task's arguments and result ↔ JSON text, by the signature of its function."""

from collections.abc import Mapping
from functools import cached_property
from inspect import Parameter
from types import GenericAlias, NoneType, UnionType
from typing import Any, NotRequired, Union, Unpack, get_args, get_origin

import typing_extensions
from pydantic import PydanticUserError

from elihu.errors import ArgumentsTooLarge, InvalidArguments, InvalidTask
from elihu.outcome import Outcome
from elihu.task.arguments import JsonFields
from elihu.task.plain_json import Plain
from elihu.task.signature import TaskSignature, resolve

RESULT = "result"
NOTHING = "null"


class ResultNotStored(Exception):
    """A return value that cannot be stored. ``reason`` says why; ``too_large`` means
    that only its size is wrong.
    """

    def __init__(self, reason: str, *, too_large: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.too_large = too_large


class Codec:
    """Writes the arguments of one task as a JSON object of keywords, and rebuilds them
    with their types.

    Positional arguments are stored under their names, ``*args`` as a list and
    ``**kwargs`` as an object. Defaults are written out. Validation is pydantic's lax
    mode. A parameter without annotation, or with ``Any``, takes plain JSON. Bytes are
    stored as base64. Raises ``InvalidTask`` for a type without a JSON form.
    """

    def __init__(self, signature: TaskSignature) -> None:
        self._signature = signature
        self._shape = _shape_of(signature)
        self._positional = signature.positional
        self._positional_only = signature.positional_only
        self._defaults = signature.defaults
        self._var_positional = signature.var_positional
        self._var_keyword = signature.var_keyword
        self._by_position_only = frozenset(self._positional_only)
        self._by_name = (
            frozenset(signature.parameters)
            - self._by_position_only
            - {self._var_positional, self._var_keyword}
        )
        self._by_keywords = not (self._positional_only or self._var_positional or self._var_keyword)
        self._check_defaults()

    @property
    def names(self) -> frozenset[str]:
        """The names of the stored arguments."""
        return frozenset(self._signature.parameters)

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], limit: int) -> str:
        """The JSON text of these arguments, at most ``limit`` bytes of UTF-8.

        Raises ``InvalidArguments``, which names the field, for a value that does not
        fit the signature, that JSON would change, or that no database holds (NaN,
        infinity, NUL, lone surrogates). Raises ``ArgumentsTooLarge`` above the limit.
        """
        return self.encode_values(args, kwargs, limit)[1].decode()

    def encode_values(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], limit: int
    ) -> tuple[dict[str, Any], bytes]:
        """The validated values by name, and their JSON as ``encode`` makes it."""
        valid, data = self._shape.dump(self._bind(args, kwargs))
        if len(data) > limit:
            raise ArgumentsTooLarge(
                f"{self._signature.task}: expected arguments of at most {limit:,} bytes of JSON, "
                f"got {len(data):,}"
            )
        return valid, data

    def decode(self, text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and keyword arguments of the call, from a JSON object of
        keywords.

        An absent argument gets its default. Raises ``InvalidArguments``.
        """
        values = self._shape.load(text)
        if self._by_keywords:
            return (), values
        rest = values.pop(self._var_positional, []) if self._var_positional else []
        names = self._positional if rest else self._positional_only
        args = tuple(values.pop(name) if name in values else self._defaults[name] for name in names)
        if self._var_keyword:
            values |= values.pop(self._var_keyword, {})
        return (*args, *rest), values

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of the arguments as an object of keywords. Raises
        ``InvalidTask`` for a type that has none.
        """
        try:
            return self._shape.json_schema()
        except PydanticUserError as error:
            raise InvalidTask(
                f"task {self._signature.task}: expected arguments that a JSON Schema can "
                f"describe, got {_reason(error)}"
            ) from error

    def encode_result(self, value: Any, limit: int) -> str:
        """The JSON text of a return value, at most ``limit`` bytes. Raises
        ``ResultNotStored``.
        """
        if value is None:
            return NOTHING
        if isinstance(self._result, str):
            raise ResultNotStored(self._result)
        try:
            data = self._result.dump({RESULT: value})[1]
        except InvalidArguments as error:
            raise ResultNotStored(str(error)) from error
        except BaseException as error:  # raised by the serializers of the value's own types
            raise ResultNotStored(
                f"expected a value that JSON can hold, got {type(error).__qualname__} while "
                "writing it"
            ) from error
        text = data[len(RESULT) + 4 : -1]
        if len(text) > limit:
            raise ResultNotStored(
                f"expected a result of at most {limit:,} bytes of JSON, got {len(text):,}",
                too_large=True,
            )
        return text.decode()

    def decode_result(self, text: str) -> Any:
        """A stored result with its declared type. Raises ``InvalidArguments`` if it
        does not fit that type.
        """
        if text == NOTHING:
            return None
        shape = (
            JsonFields(self._signature.task, {RESULT: Plain})
            if isinstance(self._result, str)
            else self._result
        )
        return shape.load(f'{{"{RESULT}":{text}}}')[RESULT]

    def check_result(self) -> None:
        """Raise ``InvalidTask`` if the type of the return value has no JSON form."""
        if isinstance(self._result, str):
            raise InvalidTask(f"task {self._signature.task}: {self._result}")

    @cached_property
    def _result(self) -> JsonFields | str:
        returns = self._signature.returns
        try:
            annotation = (
                returns
                if returns is Parameter.empty
                else _without_outcomes(resolve(self._signature.fn, returns))
            )
            return JsonFields(self._signature.task, {RESULT: _plain_or(annotation)})
        except Exception as error:
            return (
                "expected a return annotation that pydantic can write as JSON, got "
                f"{returns!r} ({_reason(error)})"
            )

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        values = dict(self._defaults)
        given = dict(zip(self._positional, args, strict=False))
        if self._var_positional:
            values[self._var_positional] = args[len(given) :]
        elif len(args) > len(self._positional):
            raise self._shape.refuse(
                f"expected at most {len(self._positional)} arguments by position, got {len(args)}"
            )
        values |= given
        if self._var_keyword:
            named = {name: value for name, value in kwargs.items() if name in self._by_name}
            values[self._var_keyword] = others = {
                name: value for name, value in kwargs.items() if name not in named
            }
            context = self._signature.context
            if context and context.name in others:
                raise self._shape.refuse(
                    "expected no Context (the node passes it when the task runs), got one",
                    (context.name,),
                )
            kwargs = named
        if given and not given.keys().isdisjoint(kwargs):
            name = next(name for name in given if name in kwargs)
            raise self._shape.refuse(
                "expected one value, got one by position and one by name", (name,)
            )
        if not self._by_keywords:
            for name in kwargs:
                if name in self._by_position_only:
                    raise self._shape.refuse(
                        "expected a value by position, got one by name", (name,)
                    )
                if name == self._var_positional:
                    raise self._shape.refuse(
                        "expected values by position, got one by name", (name,)
                    )
        values |= kwargs
        return values

    def _check_defaults(self) -> None:
        if not self._defaults:
            return
        try:
            _shape_of(self._signature, frozenset(self._defaults)).dump(self._defaults)
        except InvalidArguments as error:
            raise InvalidTask(
                f"task {error}: the default must fit the annotation and have a JSON form"
            ) from error


def _shape_of(signature: TaskSignature, only: frozenset[str] | None = None) -> JsonFields:
    types = {
        name: _stored_type(parameter)
        for name, parameter in signature.parameters.items()
        if only is None or name in only
    }
    try:
        return JsonFields(signature.task, types)
    except Exception as error:
        if len(types) > 1:
            for name in types:
                _shape_of(signature, frozenset({name}))
        places = ", ".join(types)
        advice = _advice(error, signature.parameters[places]) if len(types) == 1 else _reason(error)
        raise InvalidTask(f"task {signature.task}: parameter {places}: {advice}") from error


def _stored_type(parameter: Parameter) -> Any:
    kept = _plain_or(parameter.annotation)
    if parameter.kind is Parameter.VAR_POSITIONAL:
        kept = GenericAlias(list, (kept,))
    elif parameter.kind is Parameter.VAR_KEYWORD:
        kept = (
            get_args(kept)[0]
            if get_origin(kept) in {Unpack, typing_extensions.Unpack}
            else GenericAlias(dict, (str, kept))
        )
    elif parameter.default is Parameter.empty:
        return kept
    return NotRequired[kept]


def _plain_or(annotation: Any) -> Any:
    return Plain if annotation is Any or annotation is Parameter.empty else annotation


def _without_outcomes(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Outcome):
        return NoneType
    if get_origin(annotation) in {Union, UnionType}:
        kept = tuple(
            part
            for part in get_args(annotation)
            if not (isinstance(part, type) and issubclass(part, Outcome))
        )
        return Union[kept] if kept else NoneType  # noqa: UP007 (the members are known only now)
    return annotation


def _advice(error: Exception, parameter: Parameter) -> str:
    code = error.code if isinstance(error, PydanticUserError) else None
    annotation = parameter.annotation
    match code:
        case "typed-dict-version":
            return (
                f"expected typing_extensions.TypedDict, got one of typing's ({annotation!r}), "
                "which pydantic reads from Python 3.12 on"
            )
        case "schema-for-unknown-type":
            return (
                f"expected a type that pydantic can validate, got {annotation!r}; take its id or "
                "a plain value "
                "and fetch the object inside the task, or use a dataclass or pydantic model"
            )
    return f"expected a type that pydantic can validate, got {annotation!r} ({_reason(error)})"


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0]
