"""The primary key of a model, as it is stored in a job."""

from collections.abc import Sequence
from typing import Any

from pydantic import Base64UrlBytes, TypeAdapter
from sqlalchemy import ColumnElement, and_, bindparam, inspect, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from elihu.errors import InvalidTrigger

_SAME_IN_JSON = (int, str, bool)


class RecordKey:
    """Reads and writes the primary key of ``model`` as a list of JSON values.

    Raises ``InvalidTrigger`` for a class that is no mapped model.
    """

    def __init__(self, model: type[Any]) -> None:
        mapper = inspect(model, raiseerr=False) if isinstance(model, type) else None
        if mapper is None or not hasattr(mapper, "primary_key"):
            raise InvalidTrigger(f"model: expected a mapped class of SQLAlchemy, got {model!r}")
        self.model = model
        self.mapper = mapper
        properties = [mapper.get_property_by_column(column) for column in mapper.primary_key]
        self.attributes: tuple[InstrumentedAttribute[Any], ...] = tuple(
            getattr(model, each.key) for each in properties
        )
        self._names = tuple(each.key for each in properties)
        self._parameters = tuple(f"elihu_key_{name}" for name in self._names)
        types = [_python_type(column) for column in mapper.primary_key]
        self._types = types
        self._plain = all(each in _SAME_IN_JSON for each in types)
        self._adapters = [TypeAdapter[Any](each) for each in types]

    def of(self, record: object) -> list[Any]:
        """The key of a record. Raises ``InvalidTrigger`` for one of another class, or
        one that has no key yet.
        """
        if not isinstance(record, self.model):
            raise InvalidTrigger(
                f"expected a record of {self.model.__name__}, got {type(record).__name__}"
            )
        values = [getattr(record, name) for name in self._names]
        if None in values:
            raise InvalidTrigger(
                f"expected a record of {self.model.__name__} with a primary key, got one without: "
                "flush its session first"
            )
        return self.dump(values)

    def values(self, record: object) -> tuple[Any, ...]:
        """The key of a record as ``load`` returns it."""
        return tuple(getattr(record, name) for name in self._names)

    def dump(self, values: Sequence[Any]) -> list[Any]:
        """The JSON values of a key as it comes from the database."""
        if self._plain:
            return list(values)
        return [
            adapter.dump_python(value, mode="json")
            for adapter, value in zip(self._adapters, values, strict=True)
        ]

    def load(self, stored: Sequence[Any]) -> tuple[Any, ...]:
        """The values of a stored key. Raises ``InvalidTrigger`` for one of another
        model.
        """
        if len(stored) != len(self._adapters):
            raise InvalidTrigger(
                f"key: expected {len(self._adapters)} values for {self.model.__name__}, got "
                f"{list(stored)!r}"
            )
        if self._plain and [type(value) for value in stored] == self._types:
            return tuple(stored)
        try:
            return tuple(
                adapter.validate_python(value)
                for adapter, value in zip(self._adapters, stored, strict=True)
            )
        except ValueError as error:
            raise InvalidTrigger(
                f"key: expected a key of {self.model.__name__}, got {list(stored)!r}"
            ) from error

    def equals(self, stored: Sequence[Any]) -> ColumnElement[bool]:
        """The condition that a record has this stored key."""
        return self.among([stored])

    @property
    def equals_parameters(self) -> ColumnElement[bool]:
        """The condition that a record has the key in ``parameters``."""
        return and_(
            *(
                attribute == bindparam(name)
                for attribute, name in zip(self.attributes, self._parameters, strict=True)
            )
        )

    def parameters(self, stored: Sequence[Any]) -> dict[str, Any]:
        """A stored key as the values of ``equals_parameters``."""
        return dict(zip(self._parameters, self.load(stored), strict=True))

    def among(self, stored: Sequence[Sequence[Any]]) -> ColumnElement[bool]:
        """The condition that a record has one of these stored keys."""
        values = [self.load(each) for each in stored]
        if len(self.attributes) == 1:
            return self.attributes[0].in_([value for (value,) in values])
        return tuple_(*self.attributes).in_(values)


def _python_type(column: ColumnElement[Any]) -> Any:
    try:
        found = column.type.python_type
    except NotImplementedError:
        return Any
    return Base64UrlBytes if found is bytes else found
