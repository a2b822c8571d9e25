"""How many exchanges of one queue are under way, and how large they are.

A node that waits for each exchange leaves the database idle while it runs what it got. So
while a queue is deep, a second exchange starts before the first has answered, and each
fetches for a third of the slots: two thirds are under way, and one runs.

Small exchanges cost both sides more for each job. That pays where a core is free
meanwhile, and loses on a busy machine. So the other way is tried every few seconds, and
kept where it brings more ends. Two are the first way, for longer than a trial, since the
second connection must be made meanwhile. There is no second exchange while ends come one
by one or are written elsewhere, for few slots, or on an engine with one writer.

The exchanges of several nodes overlap anyway. A node that adds a second one gains, and all
together lose: each fetch passes what the others are fetching. So beside more than
``MOST_OTHERS`` nodes there is one.

An attempt that ended in its own transaction leaves a free slot and nothing to send. An
exchange for that slot alone costs as much as one for ten. So it waits for half of the
slots, and at most as long as the last exchange took: a slot is empty that long anyway.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from elihu.clock import SystemClock

FEWEST: Final = 60
"""The fewest slots with which two exchanges are faster than one."""
FIRST: Final = 0.3
"""Seconds of two exchanges before one is tried for the first time."""
MOST_OTHERS: Final = 7
"""The most other nodes beside which a node has two exchanges."""
TRIAL: Final = 0.1
"""Seconds for which the other way is tried."""
MARGIN: Final = 1.1
"""So many times more ends one exchange has to bring to be kept, since a trial is short."""
UNMEASURED: Final = 2
"""Answers after a change of the way that are not measured: they bring ends of the way before."""
KEPT: Final = 2.0
"""Seconds for which the faster way is kept until the other one is tried."""


class Work(Protocol):
    """What a lane does: the producer."""

    @property
    def may_send(self) -> bool:
        """Whether ends or free slots make an exchange now."""
        ...

    async def round(self) -> None:
        """One exchange."""
        ...

    def failed_beside(self, error: BaseException) -> None:
        """An exchange of the second lane has failed."""
        ...


class Lanes:
    """``under_way`` exchanges fetch for ``reserved`` slots. The producer's own task sends
    the first; ``start_second`` starts a task that sends others while the queue is deep.
    ``others`` is how many other nodes there are. ``woken`` is set when there may be
    something to send.
    """

    def __init__(
        self, work: Work, *, two: bool, woken: asyncio.Event, others: Callable[[], int]
    ) -> None:
        self.under_way = 0
        self.reserved = 0
        self._work = work
        self._two = two
        self._others = others
        self._woken = woken
        self._deep = False
        self._both = False
        self._phases = _Phases()
        self._second: asyncio.Task[None] | None = None
        self._clock = SystemClock()
        self._took = 0.0
        self._gathering: asyncio.TimerHandle | None = None

    def freed(self) -> None:
        """A slot is free, and the end of its attempt is written: send soon."""
        if self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(self._took, self.wake)
        self._woken.set()

    def wake(self) -> None:
        """Send for the free slots now, however few they are."""
        self._stop_gathering()
        self._woken.set()

    def start_second(self, name: str) -> None:
        """Send from a second task too, where that is faster."""
        if self._both and self._second is None:
            self._second = asyncio.create_task(self._serve(), name=name)

    def may_send(self, ends: int, free: int, running: int, limit: int) -> bool:
        """Whether so many ends and free slots make an exchange now. While attempts run, a
        second exchange waits for their ends, so that it has many.
        """
        if self.under_way == 0:
            waits = self._gathering is not None and running > 0 and 2 * free < limit
            return ends > 0 or (free > 0 and not waits)
        if not self._both or self.under_way > 1:
            return False
        return (ends if running else max(ends, free)) >= limit // 3

    def size(self, free: int, limit: int) -> int:
        """For how many of these slots one exchange fetches."""
        return min(free, limit // 3) if self._both else free

    @contextmanager
    def exchange(self, free: int) -> Iterator[None]:
        """One that fetches for so many slots is under way inside. Where it fails, the
        next one is alone.
        """
        self.under_way += 1
        self.reserved += free
        self._stop_gathering()
        began = self._clock.monotonic()
        try:
            yield
            self._took = self._clock.monotonic() - began
        except BaseException:
            self._set_deep(False)
            raise
        finally:
            self.under_way -= 1
            self.reserved -= free
            if self._second is not None:
                self._woken.set()

    def fetched(self, asked: int, claimed: int, limit: int, ends: int, now: float) -> None:
        """Note how many jobs came for how many slots, and how many ends were written. The
        queue is deep after an answer that filled a third of the slots.
        """
        if claimed < asked:
            self._set_deep(False)
        elif asked >= limit // 3 or limit < FEWEST:
            two = self._two and limit >= FEWEST and self._others() <= MOST_OTHERS
            self._set_deep(two)
        if self._deep and (ends or self._both):
            self._both = self._phases.both(ends, now)

    def close(self) -> None:
        """Send one at a time from now on."""
        self._two = False
        self._stop_gathering()
        self._set_deep(False)

    def _stop_gathering(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def _set_deep(self, deep: bool) -> None:
        if deep != self._deep:
            self._deep, self._both = deep, False
            self._phases.restart()

    async def stop(self) -> None:
        """End the second task, also while it waits for an answer."""
        if (second := self._second) is not None:
            second.cancel()
            await asyncio.wait([second])

    async def _serve(self) -> None:
        """Where an exchange fails, the first task backs off for both."""
        try:
            while self._both:
                if self._work.may_send:
                    await self._work.round()
                else:
                    self._woken.clear()
                    await self._woken.wait()
        except Exception as error:
            self._work.failed_beside(error)
        finally:
            self._second = None
            self._woken.set()


class _Phases:
    """Two exchanges at a time or one, whichever brings more ends a second."""

    def __init__(self) -> None:
        self._kept = True
        self._length = FIRST
        self.restart()

    def restart(self) -> None:
        """Measure anew, and go on with the way that was kept."""
        self._rate: float | None = None  # of the way that is kept, while the other is tried
        self._begin()

    def _begin(self) -> None:
        self._since: float | None = None
        self._answers = 0
        self._ends = 0

    def both(self, ends: int, now: float) -> bool:
        """Whether two exchanges are under way from now on, after so many ends more."""
        if self._since is None:
            self._answers += 1
            if self._answers == UNMEASURED:
                self._since = now
        else:
            self._ends += ends
            self._compare(now - self._since, now)
        return self._kept if self._rate is None else not self._kept

    def _compare(self, seconds: float, now: float) -> None:
        if seconds < (self._length if self._rate is None else TRIAL):
            return
        rate = self._ends / seconds
        if self._rate is None:
            self._rate = rate
        else:
            two, one = (self._rate, rate) if self._kept else (rate, self._rate)
            self._kept, self._rate, self._length = two * MARGIN > one, None, KEPT
        self._begin()
