"""Pages of matching records by key: each page starts behind the last record of the one
before, so that a scan of any length takes bounded memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, or_, select, true
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import UnaryExpression

from elihu.triggers.records.keys import RecordKey


@dataclass(frozen=True, slots=True)
class Order:
    """One expression of the order; ``nullable`` ones have their NULLs last."""

    expression: Any
    descending: bool = False
    nullable: bool = True

    def clauses(self) -> Iterator[Any]:
        """What ORDER BY takes, the same on every database."""
        if self.nullable:
            yield self.expression.is_(None)
        yield self.expression.desc() if self.descending else self.expression.asc()

    def behind(self, value: Any) -> ColumnElement[bool]:
        """The condition that the expression comes behind ``value``."""
        if value is None:
            return false()
        compared = self.expression < value if self.descending else self.expression > value
        return or_(compared, self.expression.is_(None)) if self.nullable else compared

    def at(self, value: Any) -> ColumnElement[bool]:
        """The condition that the expression is ``value``."""
        found: ColumnElement[bool] = (
            self.expression.is_(None) if value is None else self.expression == value
        )
        return found


def orders(given: Sequence[Any], key: RecordKey) -> list[Order]:
    """The order of a scan: what was given, and behind it the primary key."""
    found = []
    for each in given:
        expression, descending = each, False
        if isinstance(each, UnaryExpression) and each.modifier in {
            operators.asc_op,
            operators.desc_op,
        }:
            expression, descending = each.element, each.modifier is operators.desc_op
        found.append(Order(expression, descending))
    return [*found, *(Order(attribute, nullable=False) for attribute in key.attributes)]


def behind(order: Sequence[Order], values: Sequence[Any]) -> ColumnElement[bool]:
    """The condition that a record comes behind the one that has these values."""
    alternatives = []
    for place, (each, value) in enumerate(zip(order, values, strict=True)):
        same = [
            before.at(known) for before, known in zip(order[:place], values[:place], strict=True)
        ]
        alternatives.append(and_(*same, each.behind(value)))
    # The leading condition follows from the rest. It lets the database start in an index.
    first = order[0]
    leading = or_(first.behind(values[0]), first.at(values[0])) if len(order) > 1 else true()
    return and_(leading, or_(*alternatives))


class Pages:
    """The statement of one scan, page after page.

    ``base`` gives the SELECT to start from, ``whole`` asks for records in place of
    keys. Each row of a page is the record, or the values of its key.
    """

    def __init__(
        self,
        key: RecordKey,
        base: Callable[[], Select[Any]] | None,
        conditions: Sequence[ColumnElement[bool]],
        order_by: Sequence[Any],
        *,
        whole: bool,
    ) -> None:
        self._key = key
        self._order = orders(order_by, key)
        self.whole = whole
        statement = base() if base else select(key.model)
        columns = [each.expression for each in self._order]
        statement = (
            statement.add_columns(*columns)
            if whole
            else statement.with_only_columns(*columns, maintain_column_froms=True)
        )
        clauses = [clause for each in self._order for clause in each.clauses()]
        self._statement = statement.where(*conditions).order_by(None).order_by(*clauses)
        self._last: Sequence[Any] | None = None

    def statement(self, limit: int) -> Select[Any]:
        """The SELECT of the next page."""
        statement = self._statement.limit(limit)
        return statement if self._last is None else statement.where(behind(self._order, self._last))

    def take(self, rows: Sequence[Any]) -> list[Any]:
        """The records or keys in the rows of a page; the next page starts behind them."""
        if rows:
            self._last = tuple(rows[-1][-len(self._order) :])
        if self.whole:
            return [row[0] for row in rows]
        width = len(self._key.attributes)
        return [row[-width:] for row in rows]
