"""How values are kept on both databases, and ids."""

import os
import threading
import time
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import DateTime, Dialect, Float, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

SCHEMA: Final = "elihu"
"""The schema of the models; sessions put the app's own in its place."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_lock: Final = threading.Lock()
_last = 0


class Moment(TypeDecorator[datetime]):
    """A time with a zone. SQLite: Unix seconds, as in the tables of jobs."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(
            Float(53) if dialect.name == "sqlite" else DateTime(timezone=True)
        )

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return round((value - _EPOCH).total_seconds() * 1_000_000) / 1_000_000

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None or isinstance(value, datetime):
            return value
        return datetime.fromtimestamp(round(value * 1_000_000) / 1_000_000, UTC)


class Words(TypeDecorator[tuple[str, ...]]):
    """Words without commas, in order."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:
        return None if value is None else ",".join(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:
        return None if value is None else tuple(value.split(","))


def new_id() -> UUID:
    """A UUID of version 7 that is greater than every earlier one of this process."""
    global _last
    with _lock:
        # 48 bits of milliseconds and 12 bits of their fraction
        stamp = _last = max(time.time_ns() * 4_096 // 1_000_000, _last + 1)
    milliseconds, fraction = divmod(stamp, 4_096)
    tail = int.from_bytes(os.urandom(8), "big") & (2**62 - 1)
    return UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | tail)


def first_id(since: datetime, margin: float = 0.0) -> UUID:
    """An id below those of that time on, or of ``margin`` seconds later: ids begin with
    their time in milliseconds.
    """
    milliseconds = int((since.timestamp() + margin) * 1_000)
    return UUID(int=min(max(milliseconds, 0), 2**48 - 1) << 80)
