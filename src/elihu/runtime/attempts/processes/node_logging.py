"""The log of a child process, shown by its node where the child itself does not show it.

A child imports the app and enters its lifespan, so it has the handlers that these make,
and uses them. A record reaches the node where the node has handlers that the child has
not: those that the program made outside of the app, and the node's own terminal.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from elihu.runtime.attempts.processes.channel import Channel
from elihu.storable_text import clean
from elihu.telemetry.formats import plain
from elihu.telemetry.logs import (
    LogSettings,
    current_settings,
    is_taken,
    loggers,
    prefer,
    terminal,
    writes,
)
from elihu.telemetry.records import add_fields

ALL: Final = ["all"]
TERMINAL: Final = ["terminal"]

RECORD_LIMIT: Final = 65_536
"""The most characters of a text of a record that cross."""

_DROPPED: Final = {"args", "exc_info", "msg", "message", "asctime", "relativeCreated"}


def describe_logging() -> dict[str, Any]:
    """What a child has to know of the logging of this node."""
    return {
        "disable": logging.root.manager.disable,
        "settings": current_settings(),
        "terminal": terminal() in logging.root.handlers,
        "loggers": {
            each.name: {
                "level": each.level,
                "propagate": each.propagate,
                "disabled": each.disabled,
                "handled": any(map(writes, each.handlers)),
            }
            for each in loggers()
            if each.level or each.handlers or each.disabled or not each.propagate
        },
    }


def begin_logging(described: Mapping[str, Any], channel: Channel) -> None:
    """Send records to the node until the app is imported: what imports and the lifespan
    log before they configure logging.
    """
    add_fields()
    logging.lastResort = ToNode(channel, ALL)
    root = described["loggers"].get("root")
    if root is not None:
        logging.root.setLevel(root["level"])


def app_imported(described: Mapping[str, Any], channel: Channel) -> None:
    """Take account of what the app has configured at its import: the level and format
    that the node was started with win.
    """
    if logging.root.handlers:
        _add_terminal(described, channel)
    if described["settings"] is not None:
        prefer(LogSettings(*described["settings"]))


def adopt_logging(described: Mapping[str, Any], channel: Channel) -> None:
    """Log as the node does: from the same levels on, and by its handlers where this
    process has none.
    """
    logging.disable(described["disable"])
    for name, as_there in described["loggers"].items():
        here = logging.getLogger(None if name == "root" else name)
        here.setLevel(as_there["level"])
        here.propagate = as_there["propagate"]
        here.disabled = as_there["disabled"]
        if as_there["handled"] and not any(map(writes, here.handlers)):
            here.addHandler(ToNode(channel, [here.name]))
    _add_terminal(described, channel)
    app_imported(described, channel)


def _add_terminal(described: Mapping[str, Any], channel: Channel) -> None:
    present = any(isinstance(each, ToTerminal) for each in logging.root.handlers)
    if described["terminal"] and not present:
        logging.root.addHandler(ToTerminal(channel, TERMINAL))


def receive_record(target: list[str], fields: Mapping[str, Any]) -> None:
    """Hand a record of a child to the handlers in this node that the child lacks."""
    record = logging.makeLogRecord(fields)
    if target == ALL:
        logging.getLogger(record.name).callHandlers(record)
    elif target == TERMINAL:
        if (shown := terminal()) is not None:
            shown.handle(record)
    else:
        for handler in logging.getLogger(None if target == ["root"] else target[0]).handlers:
            if writes(handler) and record.levelno >= handler.level:
                handler.handle(record)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The record as plain JSON, to be rebuilt in the node."""
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    fields = {name: plain(value) for name, value in vars(record).items() if name not in _DROPPED}
    fields["msg"] = record.getMessage()
    for name in ("msg", "exc_text", "stack_info"):
        fields[name] = fields[name] and clean(fields[name], RECORD_LIMIT)
    return fields


class ToNode(logging.Handler):
    """Sends each record to the node, for the handlers that ``target`` names."""

    def __init__(self, channel: Channel, target: list[str]) -> None:
        super().__init__()
        self._channel = channel
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._channel.send("record", self._target, fields_of(record))
        except OSError:
            return  # the node has ended, and ends this process
        except Exception:
            self.handleError(record)


class ToTerminal(ToNode):
    """Sends what no handler of this process takes."""

    def emit(self, record: logging.LogRecord) -> None:
        if not is_taken(record, self):
            super().emit(record)
