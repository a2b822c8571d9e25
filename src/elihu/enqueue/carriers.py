"""What each new job carries from the code that enqueues it."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic_core import from_json, to_json

from elihu.enqueue.bulk import check_new
from elihu.job import NewJob

Carrier = Callable[[NewJob], Mapping[str, str]]


class Carriers(list[Carrier]):
    """Functions of a new job, called in the context that enqueues it. What they return is
    added to the job's ``meta``; keys that it has already stay.
    """

    def apply(self, new: NewJob) -> NewJob:
        """The job with what they return. Raises ``InvalidOption`` for what is no job."""
        check_new(new)
        carried: dict[str, Any] = {}
        for carrier in self:
            carried |= carrier(new)
        if not carried:
            return new
        meta = from_json(new.meta) if new.meta else {}
        return replace(new, meta=to_json({**carried, **meta}).decode())

    def apply_all(
        self, jobs: Iterable[NewJob] | AsyncIterable[NewJob]
    ) -> Iterable[NewJob] | AsyncIterable[NewJob]:
        """A stream of jobs, each with what they return."""
        if isinstance(jobs, AsyncIterable):
            return self._stream(jobs)
        return self._each(jobs) if isinstance(jobs, Iterable) else jobs

    async def _stream(self, jobs: AsyncIterable[NewJob]) -> AsyncIterator[NewJob]:
        async for new in jobs:
            yield self.apply(new)

    def _each(self, jobs: Iterable[NewJob]) -> Iterator[NewJob]:
        for new in jobs:
            yield self.apply(new)
