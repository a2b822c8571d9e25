"""Fields that log records of a running attempt carry, whatever logger makes them."""

import functools
import logging
from typing import Any, Final

from elihu.attempt_waits import current_attempt

FIELDS: Final = ("job_id", "task", "attempt", "queue", "node")

_OWN: Final = "elihu"
_MARK: Final = "_elihu_adds_fields"


def add_fields() -> None:
    """Let each record that is made while a task runs carry ``FIELDS`` as attributes. A
    second call does nothing.

    The method is wrapped, since a record factory that sets ``task`` or ``queue`` makes
    ``extra={"task": …}`` of user code raise ``KeyError``. Here ``extra`` wins.
    """
    original = logging.Logger.makeRecord
    if hasattr(original, _MARK):
        return

    @functools.wraps(original)
    def make_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = original(*args, **kwargs)
        attempt = current_attempt.get()
        if attempt is not None:
            carried = vars(record)
            for name, value in attempt.log_fields.items():
                carried.setdefault(name, value)
        return record

    setattr(make_record, _MARK, True)
    logging.Logger.makeRecord = make_record  # type: ignore[method-assign]


def enable_own_loggers() -> None:
    """Enable the loggers of this package. ``logging.config.dictConfig`` disables loggers
    that exist, if ``disable_existing_loggers`` is left out, and failures would be silent.
    """
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.partition(".")[0] == _OWN:
            logger.disabled = False
