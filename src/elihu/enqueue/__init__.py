"""From validated jobs to rows."""

from elihu.enqueue.bulk import Enqueued, chunked
from elihu.enqueue.inserter import Inserter

__all__ = ["Enqueued", "Inserter", "chunked"]
