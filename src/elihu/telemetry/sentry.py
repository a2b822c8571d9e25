"""Errors of jobs for Sentry. Needs ``elihu[sentry]``, and ``sentry_sdk.init(…)`` in the
program.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeVar

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.utils import event_from_exception

from elihu.attempt_waits import current_attempt
from elihu.context import Context
from elihu.job import FAILURES
from elihu.telemetry.events import Event, JobStopped
from elihu.telemetry.records import FIELDS

E = TypeVar("E", bound=Event)

_FRAME: Final = re.compile(
    r'^  File "(?P<file>.+)", line (?P<line>\d+), in (?P<name>.+)$', re.MULTILINE
)


class App(Protocol):
    """The app, as this module uses it."""

    def around(self, function: Any) -> Any: ...
    def on(self, event: type[E], handler: Callable[[E], None]) -> Callable[[], None]: ...


def instrument(app: App, *, retries: bool = False) -> None:
    """Send an event to Sentry for each job that fails for good, and with ``retries`` for
    each attempt that fails. What a task itself sends has the tags of its job, and no
    breadcrumbs of other jobs.

    Call it where the app is made, so that child processes do it too.
    """
    ignore_logger("elihu.attempts")  # whose errors are the events below
    app.around(_around)

    def stopped(event: JobStopped) -> None:
        if event.outcome in FAILURES and (retries or event.state != "retryable"):
            _capture(event)

    app.on(JobStopped, stopped)


@contextmanager
def _around(_: Context) -> Iterator[None]:
    attempt = current_attempt.get()
    with sentry_sdk.isolation_scope() as scope:
        scope.clear_breadcrumbs()
        for name, value in (attempt.log_fields if attempt else {}).items():
            scope.set_tag(f"elihu.{name}", str(value))
        yield


def _capture(event: JobStopped) -> None:
    with sentry_sdk.new_scope() as scope:
        for name in FIELDS:
            scope.set_tag(f"elihu.{name}", str(getattr(event, name)))
        scope.set_transaction_name(event.task)
        scope.set_context(
            "elihu",
            {"outcome": str(event.outcome), "state": str(event.state), "seconds": event.duration},
        )
        if event.error is None:
            sentry_sdk.capture_message(f"{event.task}: {event.outcome}", level="error")
            return
        content, hint = event_from_exception(
            event.error,
            client_options=sentry_sdk.get_client().options,
            mechanism={"type": "elihu", "handled": False},
        )
        if event.traceback is not None and event.error.__traceback__ is None:
            _add_frames(content, event.traceback)
        sentry_sdk.capture_event(content, hint=hint)


def _add_frames(content: Any, traceback: str) -> None:
    """Give the error of a child process the frames of its traceback's text."""
    values = content.get("exception", {}).get("values", [])
    if values:
        values[-1]["stacktrace"] = {
            "frames": [
                {
                    "abs_path": found["file"],
                    "filename": found["file"].rpartition("/")[2],
                    "lineno": int(found["line"]),
                    "function": found["name"],
                    "in_app": "site-packages" not in found["file"],
                }
                for found in _FRAME.finditer(traceback)
            ]
        }
