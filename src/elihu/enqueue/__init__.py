"""From validated jobs to rows."""

from elihu.enqueue.bulk import Enqueued, check_new, chunked
from elihu.enqueue.inserter import Inserter

__all__ = ["Enqueued", "Inserter", "check_new", "chunked"]
