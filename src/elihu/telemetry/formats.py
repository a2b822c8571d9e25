"""The two formats of log lines: text and JSON."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from elihu.telemetry.records import FIELDS

LogFormat = Literal["text", "json"]

_STANDARD: Final = frozenset(
    {*vars(logging.makeLogRecord({})), *FIELDS, "message", "asctime", "taskName"}
)


class TextFormatter(logging.Formatter):
    """``TIME LEVEL LOGGER [job_id=1 task=… attempt=1 queue=… node=…]: MESSAGE``, with the
    brackets only while a task runs, and the traceback in the lines below.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        carried = vars(record)
        fields = " ".join(f"{name}={carried[name]}" for name in FIELDS if name in carried)
        where = f"{record.name} [{fields}]" if fields else record.name
        return f"{self.formatTime(record)} {record.levelname} {where}: {record.message}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time level logger message``, ``FIELDS`` while a task runs,
    what the caller gave as ``extra``, ``traceback`` and ``stack``.
    """

    def format(self, record: logging.LogRecord) -> str:
        carried = vars(record)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: plain(carried[name]) for name in FIELDS if name in carried}
        line |= {
            name: plain(value)
            for name, value in carried.items()
            if name not in _STANDARD and name not in line and not name.startswith("_")
        }
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["traceback"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, ensure_ascii=False)


FORMATTERS: Final[Mapping[LogFormat, Callable[[], logging.Formatter]]] = {
    "text": TextFormatter,
    "json": JsonFormatter,
}


def plain(value: Any) -> Any:
    """The value where JSON has it, else its text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except Exception:
        return _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"a {type(value).__qualname__} whose text cannot be read"
