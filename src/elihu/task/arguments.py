"""Named, typed values ↔ a JSON object that both databases can hold and that gives back
equal values.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Final, NotRequired, Union, cast, get_args, get_origin
from uuid import UUID

import typing_extensions
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreConfig, ErrorDetails, SchemaSerializer, core_schema, from_json

from elihu.errors import InvalidArguments
from elihu.task.json_paths import Path, dotted, find, find_changed, show
from elihu.task.plain_json import NotPlainJson, Plain

_CONFIG: Final = ConfigDict(
    extra="forbid", allow_inf_nan=False, ser_json_bytes="base64", val_json_bytes="base64"
)
_EXACT: Final = (
    str,
    int,
    float,
    bool,
    bytes,
    NoneType,
    date,
    timedelta,
    UUID,
    Decimal,
)
_SUSPECT: Final = re.compile(rb"\\u0000|NaN|Infinity|" + "\ufffd".encode())
_LONGEST_NUMBER: Final = 4300
_TOO_LARGE: Final = 10 ** (_LONGEST_NUMBER - 1)


class JsonFields:
    """Validates, writes and reads a dictionary with these names and types.

    The type of an optional field is wrapped in ``NotRequired``. The constructor raises
    what pydantic raises, and ``TypeError`` for a type that is not fully defined.
    """

    def __init__(self, what: str, types: Mapping[str, Any]) -> None:
        typed_dict = cast(Any, typing_extensions.TypedDict)("Arguments", dict(types))
        typed_dict.__pydantic_config__ = _CONFIG
        adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(typed_dict)
        if not adapter.pydantic_complete:
            raise TypeError(
                "expected a fully defined type, got a forward reference to an undefined name"
            )
        self._what = what
        self._names = tuple(types)
        self._validate = adapter.validator.validate_python
        self._parse = adapter.validator.validate_json
        # The adapter's own serializer does not apply the configuration of a typed
        # dictionary to its fields.
        self._write = SchemaSerializer(
            adapter.core_schema, CoreConfig(ser_json_bytes="base64")
        ).to_json
        self._exact = all(map(_is_exact, types.values()))
        self._adapter = adapter

    def dump(self, values: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The validated values and their JSON. Raises ``InvalidArguments`` for a value
        that does not fit or cannot be stored.
        """
        try:
            valid = self._validate(values, by_alias=True, by_name=True)
        except ValidationError as error:
            raise self._refusal(error) from error
        try:
            data = self._write(valid, round_trip=True, by_alias=False, warnings=False)
        except (ValueError, TypeError, RecursionError) as error:
            self._check_surrogates(valid)
            raise self._unwritable(valid, error) from error
        if _SUSPECT.search(data):
            self._check_text(valid, data)
        if not self._exact:
            self._check_return(valid, data)
        elif len(data) > _LONGEST_NUMBER:
            self._check_numbers(valid, data)
        return valid, data

    def load(self, text: str | bytes) -> dict[str, Any]:
        """The values of a JSON text, with their types. Raises ``InvalidArguments``."""
        try:
            values: dict[str, Any] = self._parse(text, by_alias=True, by_name=True)
        except ValidationError as error:
            raise self._refusal(error) from error
        return values

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of what ``load`` takes. Raises pydantic's errors for
        a type that has none.
        """
        schema = self._adapter.json_schema(schema_generator=_LinearPatterns)
        schema.pop("title", None)
        return schema

    def refuse(self, problem: str, path: Path = ()) -> InvalidArguments:
        """The exception for a problem at ``path``. Its text starts with the task's name."""
        field = dotted(path) or None
        return InvalidArguments(
            ": ".join(part for part in (self._what, field, problem) if part), field=field
        )

    def _check_text(self, valid: dict[str, Any], data: bytes) -> None:
        self._check_surrogates(valid)
        try:
            tree = from_json(data, allow_inf_nan=False)
        except ValueError as error:
            self._check_finite(valid)
            raise self.refuse(
                f"expected values that can be read back from JSON, got {error}"
            ) from error
        path = find(tree, lambda part: isinstance(part, str) and "\0" in part)
        if path is not None:
            raise self.refuse("expected text without NUL characters, got one", path)

    def _check_surrogates(self, valid: dict[str, Any]) -> None:
        path = find(valid, _has_surrogate)
        if path is not None:
            raise self.refuse("expected text without lone surrogates, got one", path)

    def _check_finite(self, valid: dict[str, Any]) -> None:
        path = find(valid, lambda part: isinstance(part, float) and not math.isfinite(part))
        if path is not None:
            raise self.refuse("expected a finite number, got NaN or infinity", path)

    def _check_numbers(self, valid: dict[str, Any], data: bytes) -> None:
        try:
            from_json(data)
        except ValueError as error:
            path = find(valid, lambda part: isinstance(part, int) and abs(part) >= _TOO_LARGE) or ()
            raise self.refuse(
                f"expected a number of fewer than {_LONGEST_NUMBER} digits, got a longer one", path
            ) from error

    def _check_return(self, valid: dict[str, Any], data: bytes) -> None:
        try:
            rebuilt = self._parse(data, by_alias=True, by_name=True)
        except ValidationError as error:
            self._check_finite(valid)
            raise self._refusal(
                error, "expected a value that can be read back from JSON; there: "
            ) from error
        if changed := find_changed(valid, rebuilt):
            self._check_finite(valid)
            path, before, after = changed
            kind = type(before).__qualname__
            advice = f"use a type that only a {kind} fits"
            if isinstance(before, dict) and isinstance(after, dict):
                advice = "use texts for keys, or annotate their type (dict[int, …])"
            elif isinstance(before, type(after)):
                advice = "what validators and serializers change must not change again"
            raise self.refuse(
                f"expected a value that comes back equal from JSON, got {show(before)}, which "
                f"comes back as {show(after)}: {advice}",
                path,
            )

    def _unwritable(self, valid: dict[str, Any], error: Exception) -> InvalidArguments:
        for name, value in valid.items():
            try:
                self._write({name: value}, round_trip=True, by_alias=False, warnings=False)
            except (ValueError, TypeError, RecursionError) as cause:
                return self.refuse(
                    f"expected a value that JSON can hold, got {show(value)} ({cause})", (name,)
                )
        return self.refuse(f"expected values that JSON can hold, got an error: {error}")

    def _refusal(self, error: ValidationError, before: str = "") -> InvalidArguments:
        problems = list(self._problems(error))
        path = problems[0][0]
        texts = [problems[0][1]]
        texts += [f"{dotted(place)}: {text}" for place, text in problems[1:3]]
        if len(problems) > 3:
            texts.append(f"and {len(problems) - 3} more")
        return self.refuse(before + "; ".join(texts), path)

    def _problems(self, error: ValidationError) -> Iterator[tuple[Path, str]]:
        for details in error.errors(include_url=False):
            yield self._problem(details)

    def _problem(self, details: ErrorDetails) -> tuple[Path, str]:
        path: Path = details["loc"]
        match details["type"]:
            case "missing":
                return path, "expected a value, got none"
            case "extra_forbidden" if len(path) == 1:
                return (
                    path,
                    (
                        f"expected one of {', '.join(self._names) or 'no arguments'}, got an "
                        "argument of another name"
                    ),
                )
            case "json_invalid":
                return path, f"expected JSON that can be read, got {details['msg']}"
            case "extra_forbidden":
                return path, "expected no field of this name, got one"
        cause = details.get("ctx", {}).get("error")
        if isinstance(cause, NotPlainJson):
            return path + cause.path, f"expected {cause.expected}, got {_shown(cause.value)}"
        expected = details["msg"].removeprefix("Input should be ")
        return path, f"expected {expected}, got {_shown(details['input'])}"


class _LinearPatterns(GenerateJsonSchema):
    """Omits the pattern that some versions of pydantic write for decimal numbers: it
    has a look-ahead, which linear-time patterns do not support.
    """

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> dict[str, Any]:
        found = super().decimal_schema(schema)
        for each in found.get("anyOf", ()):
            each.pop("pattern", None)
        return found


def _shown(value: Any) -> str:
    if not _is_record(value):
        return show(value)
    return f"{show(value)}, a record: pass its key, and fetch the record inside the task"


def _is_record(value: Any) -> bool:
    """Whether it is an object of Django's or SQLAlchemy's models."""
    kind = type(value)
    return hasattr(kind, "_sa_class_manager") or (hasattr(kind, "_meta") and hasattr(kind, "pk"))


def _has_surrogate(value: Any) -> bool:
    return isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value)


def _is_exact(annotation: Any) -> bool:
    """Whether JSON is known to give back every value of this type equal, so that
    ``dump`` need not try it.
    """
    if annotation is Plain or any(annotation is exact for exact in _EXACT):
        return True
    inner = get_args(annotation)
    match get_origin(annotation):
        case origin if origin is NotRequired or origin is list:
            return _is_exact(inner[0])
        case origin if origin is dict:
            return inner[0] is str and _is_exact(inner[1])
        case origin if origin is Union or origin is UnionType:
            others = [part for part in inner if part is not NoneType]
            return len(others) == 1 and _is_exact(others[0])
    return False
