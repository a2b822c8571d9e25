"""From validated jobs to rows."""

from elihu.enqueue.bulk import Enqueued, check_new, store_all
from elihu.enqueue.carriers import Carriers
from elihu.enqueue.in_transaction import TransactionInserter
from elihu.enqueue.inserter import Inserter
from elihu.enqueue.stored import stored_job
from elihu.enqueue.write_lock import check_free, hold, holding

__all__ = [
    "Carriers",
    "Enqueued",
    "Inserter",
    "TransactionInserter",
    "check_free",
    "check_new",
    "hold",
    "holding",
    "store_all",
    "stored_job",
]
