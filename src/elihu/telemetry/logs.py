"""The log of a process that runs jobs: where its lines go, from which level on, and in
which format.

A program that configures logging by itself keeps its handlers and levels. What none of
its handlers takes goes to standard error.
"""

import logging
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, TextIO, TypeVar, get_args

from elihu.errors import InvalidOption
from elihu.telemetry.events import Event, JobRaised, JobStarted, JobStopped, NodeStarted
from elihu.telemetry.formats import FORMATTERS, LogFormat, TextFormatter
from elihu.telemetry.records import FIELDS, add_fields, enable_own_loggers

E = TypeVar("E", bound=Event)

LEVELS: Final = ("debug", "info", "warning", "error", "critical")

logger = logging.getLogger("elihu.attempts")


class LogSettings(NamedTuple):
    """``level`` and ``format`` of a process's log, None where they are not given: ``info``
    and ``text``, unless the program says otherwise.
    """

    level: str | None = None
    format: LogFormat | None = None


class Terminal(logging.StreamHandler[TextIO]):
    """Writes to the current ``sys.stderr``, which a live display replaces, what no other
    handler takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(TextFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        if not is_taken(record, self):
            self.stream = sys.stderr
            super().emit(record)


def is_taken(record: logging.LogRecord, last: logging.Handler) -> bool:
    """Whether another handler than ``last`` writes the record."""
    at: logging.Logger | None = logging.getLogger(record.name)
    while at is not None:
        for handler in at.handlers:
            if handler is not last and writes(handler) and record.levelno >= handler.level:
                return True
        at = at.parent if at.propagate else None
    return False


def writes(handler: logging.Handler) -> bool:
    """Whether it is a handler of the program that does something."""
    return not isinstance(handler, logging.NullHandler | Terminal)


class _Process:
    """The log of this process. ``settings`` is None until ``set_up``."""

    settings: LogSettings | None = None
    terminal: Final = Terminal()


def current_settings() -> LogSettings | None:
    """What ``set_up`` was called with in this process, None before that."""
    return _Process.settings


def set_up(settings: LogSettings) -> None:
    """Show the log of this process. Call it after the app is imported, and ``adopt_configuration``
    after the program has had its last chance to configure logging.
    """
    _Process.settings = settings
    _Process.terminal.setFormatter(FORMATTERS[settings.format or "text"]())
    add_fields()
    # the last resort, not a handler of the root: basicConfig() in a lifespan does nothing
    # where the root has one
    logging.lastResort = _Process.terminal
    root = logging.getLogger()
    if root.level == logging.WARNING and all(each.level >= root.level for each in root.handlers):
        root.setLevel(logging.INFO)  # which no handler of the program sees
    if root.handlers:
        root.addHandler(_Process.terminal)
    prefer(settings)


def adopt_configuration() -> None:
    """Take account of what the program has configured meanwhile, in its lifespan too."""
    add_fields()
    enable_own_loggers()
    settings = _Process.settings
    if settings is None:
        return
    root = logging.getLogger()
    # behind any other handler there is no last resort, also where that takes errors only,
    # or is the NullHandler of a library
    root.addHandler(_Process.terminal)
    prefer(settings)


def terminal() -> Terminal | None:
    """What shows the log of this process, None before ``set_up``."""
    return _Process.terminal if _Process.settings else None


def prefer(settings: LogSettings) -> None:
    """Let what was asked for in words win over the program's own configuration."""
    enable_own_loggers()
    if settings.level is not None:
        logging.getLogger().setLevel(settings.level.upper())
    if settings.format is not None:
        for at in loggers():
            for handler in at.handlers:
                if _is_terminal(handler):
                    handler.setFormatter(FORMATTERS[settings.format]())


def loggers() -> list[logging.Logger]:
    """Every logger of this process, the root first."""
    known = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(each for each in known if isinstance(each, logging.Logger))]


def _is_terminal(handler: logging.Handler) -> bool:
    streams = (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)
    return isinstance(handler, Terminal) or (
        isinstance(handler, logging.StreamHandler)
        and not isinstance(handler, logging.FileHandler)
        and handler.stream in streams
    )


class App(Protocol):
    """The app, as this module uses it."""

    def on(self, event: type[E], handler: Callable[[E], None]) -> Callable[[], None]: ...


def instrument(app: App, *, format: LogFormat = "json", level: str | None = None) -> None:  # noqa: A002
    """Write the log of this program to standard error, one JSON object a line, with a line
    for each attempt that starts and ends. ``format`` is ``"json"`` or ``"text"``; with
    ``level`` the root logger has that level. Raises ``InvalidOption``.

    For a program that runs a node by itself. ``elihu start --log-format json`` does it for
    the command line, without the lines of attempts that succeed.
    """
    if format not in get_args(LogFormat):
        raise InvalidOption(f'format: expected "text" or "json", got {format!r}')
    if level is not None and level not in LEVELS:
        raise InvalidOption(f"level: expected one of {', '.join(LEVELS)}, got {level!r}")
    set_up(LogSettings(level, format))
    app.on(JobStarted, _started)
    app.on(JobStopped, _stopped)
    app.on(NodeStarted, lambda event: adopt_configuration())


def _started(event: JobStarted) -> None:
    logger.info(
        "job %d (%s) starts attempt %d",
        event.job_id,
        event.task,
        event.attempt,
        extra=_fields(event),
    )


def _stopped(event: JobStopped) -> None:
    if isinstance(event, JobRaised):
        return  # the attempt's own line says more
    logger.info(
        "job %d (%s) ended attempt %d: %s",
        event.job_id,
        event.task,
        event.attempt,
        event.outcome,
        extra={
            **_fields(event),
            "outcome": str(event.outcome),
            "state": str(event.state),
            "duration": event.duration,
        },
    )


def _fields(event: JobStarted | JobStopped) -> dict[str, Any]:
    return {name: getattr(event, name) for name in FIELDS}
