"""From validated jobs to rows."""

from elihu.enqueue.bulk import Enqueued, check_new, chunked
from elihu.enqueue.inserter import Inserter
from elihu.enqueue.stored import stored_job
from elihu.enqueue.within import Within

__all__ = ["Enqueued", "Inserter", "Within", "check_new", "chunked", "stored_job"]
