"""Callers' own connections, of any driver: jobs are stored and completed in a transaction
of the caller.
"""

from elihu.engines.in_transaction.session import Session, open_session
from elihu.engines.in_transaction.steps import Act, Answer, Completion, Stored

__all__ = ["Act", "Answer", "Completion", "Session", "Stored", "open_session"]
