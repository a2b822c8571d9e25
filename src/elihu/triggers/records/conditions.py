"""The condition of a trigger, checked when it is declared and evaluated when needed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Select
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.visitors import ExternallyTraversible

from elihu.errors import InvalidTrigger
from elihu.triggers.records.keys import RecordKey


def conditions(
    key: RecordKey, where: Any, tenant_column: Any, tenant: Any, what: str
) -> list[ColumnElement[bool]]:
    """What a record must fulfil now: ``where``, called where it is a callable, and the
    tenant's column. Raises ``InvalidTrigger`` for what is no expression.
    """
    found = []
    if where is not None:
        value = where() if is_callable(where) else where
        found.append(check_expression(key, value, f"{what}: where"))
    if tenant_column is not None and tenant is not None:
        found.append(tenant_column == tenant)
    return found


def check_declared(
    key: RecordKey, where: Any, order_by: Sequence[Any], tenant_column: Any, what: str
) -> None:
    """Raise ``InvalidTrigger`` for a condition, an order or a tenant's column that is
    no expression, or one of another model. A callable is checked when it is called.
    """
    if where is not None and not is_callable(where):
        check_expression(key, where, f"{what}: where")
    for each in order_by:
        _check_element(key, each, f"{what}: order_by")
    if tenant_column is not None:
        if not isinstance(tenant_column, InstrumentedAttribute):
            raise InvalidTrigger(
                f"{what}: tenant_column: expected an attribute of {key.model.__name__}, got "
                f"{tenant_column!r}"
            )
        _check_columns(key, tenant_column, f"{what}: tenant_column")


def check_expression(key: RecordKey, value: Any, place: str) -> ColumnElement[bool]:
    """Return ``value``, a condition on the model. Raises ``InvalidTrigger``."""
    _check_element(key, value, place)
    condition: ColumnElement[bool] = value
    return condition


def check_select(key: RecordKey, value: Any, place: str) -> Select[Any]:
    """Return ``value``, a SELECT of the model. Raises ``InvalidTrigger``."""
    if not isinstance(value, Select):
        raise InvalidTrigger(f"{place}: expected a select(), got {value!r:.80}")
    entities = [each.get("entity") for each in value.column_descriptions]
    if entities[:1] != [key.model] or len(entities) != 1:
        raise InvalidTrigger(
            f"{place}: expected select({key.model.__name__}), got one of "
            f"{', '.join(str(each.get('name')) for each in value.column_descriptions)}"
        )
    return value


def _check_element(key: RecordKey, value: Any, place: str) -> None:
    element = getattr(value, "__clause_element__", lambda: value)()
    if not isinstance(element, ColumnElement):
        raise InvalidTrigger(
            f"{place}: expected an SQLAlchemy expression of {key.model.__name__}, got {value!r:.80}"
        )
    _check_columns(key, element, place)


def _check_columns(key: RecordKey, value: Any, place: str) -> None:
    """Every column outside of a subquery is one of the model's tables."""
    element = getattr(value, "__clause_element__", lambda: value)()
    tables = {table.name for table in key.mapper.tables}
    for part in _outside_of_subqueries(element):
        table = getattr(part, "table", None) if isinstance(part, Column) else None
        if table is not None and table.name not in tables:
            raise InvalidTrigger(
                f"{place}: expected columns of {key.model.__name__}, got {part} of another table: "
                "use exists() or a relationship's any() and has()"
            )


def _outside_of_subqueries(element: Any) -> list[Any]:
    found: list[Any] = []
    waiting = [element]
    while waiting:
        part = waiting.pop()
        if getattr(part, "is_select", False) or getattr(part, "is_select_base", False):
            continue
        found.append(part)
        waiting.extend(part.get_children() if isinstance(part, ExternallyTraversible) else ())
    return found


def is_callable(where: Any) -> bool:
    """Whether a condition is a function that returns one."""
    return callable(where) and not isinstance(where, ColumnElement | InstrumentedAttribute)
