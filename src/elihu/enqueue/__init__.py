"""From validated jobs to rows."""

from elihu.enqueue.bulk import Enqueued, check_new, chunked
from elihu.enqueue.in_transaction import TransactionInserter
from elihu.enqueue.inserter import Inserter
from elihu.enqueue.stored import stored_job

__all__ = ["Enqueued", "Inserter", "TransactionInserter", "check_new", "chunked", "stored_job"]
