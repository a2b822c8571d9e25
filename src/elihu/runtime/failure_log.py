"""Logs each failure once. A database that is away is one failure of the whole node, not
one of each service.
"""

import logging
import threading
from typing import Final

from elihu.errors import DatabaseTimeout, DatabaseUnavailable, ElihuError

logger = logging.getLogger("elihu")

HEARTBEAT: Final = "heartbeat"
"""The part that always queries the database: its success shows that the database
answers again.
"""


class FailureLog:
    """Logs when a part of the node begins to fail and when it works again; callable
    from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._away: set[str] = set()
        self._reported_away = False
        self._failing: set[str] = set()

    def failed(self, who: str, error: BaseException) -> None:
        """A part failed and tries again."""
        with self._lock:
            if isinstance(error, DatabaseUnavailable | DatabaseTimeout):
                self._away.add(who)
                if not self._reported_away:
                    self._reported_away = True
                    logger.warning(
                        "the database does not answer; the node keeps trying (%s: %s)",
                        who,
                        error,
                    )
            elif who not in self._failing:
                self._failing.add(who)
                surprise = None if isinstance(error, ElihuError) else error
                logger.warning(
                    "%s failed and is tried again: %s: %s",
                    who,
                    type(error).__name__,
                    error,
                    exc_info=surprise,
                )

    def worked(self, who: str) -> None:
        """A part that failed works."""
        with self._lock:
            self._away.discard(who)
            if who in self._failing:
                self._failing.discard(who)
                logger.info("%s works again", who)
            if who == HEARTBEAT and self._reported_away and not self._away:
                self._reported_away = False
                logger.info("the database answers again")
