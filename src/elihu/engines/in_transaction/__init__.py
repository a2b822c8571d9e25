"""Callers' own connections, of any driver: jobs are stored and completed in a transaction
of the caller.
"""

from elihu.engines.in_transaction.session import Session, open_session
from elihu.engines.in_transaction.steps import Answer, Completion, Stored

__all__ = ["Answer", "Completion", "Session", "Stored", "open_session"]
