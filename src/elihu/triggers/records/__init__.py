"""All that triggers know of SQLAlchemy; no other room but those of models imports it."""

from elihu.triggers.records.calls import Calls, in_loop, inner
from elihu.triggers.records.keys import RecordKey
from elihu.triggers.records.pages import Pages
from elihu.triggers.records.sessions import Sessions, connect
from elihu.triggers.records.transactions import (
    before_first_write,
    begin_writing,
    locked,
    no_commit,
    still_matches,
    transaction_ended,
)
from elihu.triggers.records.turns import turn

__all__ = [
    "Calls",
    "Pages",
    "RecordKey",
    "Sessions",
    "before_first_write",
    "begin_writing",
    "connect",
    "in_loop",
    "inner",
    "locked",
    "no_commit",
    "still_matches",
    "transaction_ended",
    "turn",
]
