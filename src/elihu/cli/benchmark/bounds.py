"""What bounds a figure, from the shares of its time."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from elihu.cli.benchmark.subjects import Measured


class Bound(StrEnum):
    """What most of the time went to."""

    PYTHON = "Python"
    BUSY_MACHINE = "a busy machine"
    ROUND_TRIPS = "round trips"
    DISK_FLUSH = "disk flush"
    CONNECTIONS = "connections"
    DATABASE = "the database's own work"


_ADVICE: Final = {
    Bound.PYTHON: "start more processes: elihu start --processes, or more nodes",
    Bound.BUSY_MACHINE: "measure again when less else runs here",
    Bound.ROUND_TRIPS: "run nearer to the database, or let a call carry more jobs: callers at "
    "the same time, enqueue_many, more slots",
    Bound.DISK_FLUSH: "a disk that flushes faster helps, and so does what shares a commit: callers "
    "at the same time, enqueue_many, more slots",
    Bound.CONNECTIONS: "raise connections, as far as the server allows",
    Bound.DATABASE: "look at the processors of the database, and at what else it does",
}
_ALL_BUSY: Final = 0.8
"""From this share of what the connections allow, they are the bound."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of a call that reads one row, and what a commit adds to it; how many calls
    can be under way at the same time, None where that is no setting.
    """

    round_trip: float
    flush: float
    connections: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What bounds a figure, the share of the time that it took, and why in words."""

    bound: Bound
    share: float
    text: str


def bound_of(measured: Measured, costs: Costs, *, commits: bool) -> Finding:
    """What bounds a figure whose calls commit, or only read.

    Python is what the thread of the event loop computed; a busy machine is where it was
    ready and got no processor. The rest of the time it waited for the database: for round
    trips and flushes at their measured cost, at most for all of the rest. What still
    remains is the database's own work. Calls that only read are bound by the connections
    where these were all busy and the thread was not.
    """
    python = min(1.0, measured.processor / measured.seconds)
    ready = min(1.0 - python, measured.ready / measured.seconds)
    if not commits and costs.connections is not None and python + ready < _ALL_BUSY:
        allowed = costs.connections / costs.round_trip
        share = min(1.0, measured.rate / allowed)
        if share >= _ALL_BUSY:
            return _finding(
                Bound.CONNECTIONS,
                share,
                f"{costs.connections} connections of {_ms(costs.round_trip)} a call allow "
                f"{allowed:,.0f} calls a second, {measured.rate:,.0f} were reached",
            )
    waited = 1.0 - python - ready
    trips = measured.calls * costs.round_trip / measured.seconds
    flushes = measured.calls * costs.flush / measured.seconds if commits else 0.0
    fits = min(1.0, waited / (trips + flushes)) if trips + flushes else 1.0
    shares = {
        Bound.PYTHON: python,
        Bound.BUSY_MACHINE: ready,
        Bound.ROUND_TRIPS: trips * fits,
        Bound.DISK_FLUSH: flushes * fits,
        Bound.DATABASE: waited - (trips + flushes) * fits,
    }
    bound = max(shares, key=lambda each: shares[each])
    why = {
        Bound.PYTHON: "in which this process computed",
        Bound.BUSY_MACHINE: "in which this process was ready and waited for a processor",
        Bound.ROUND_TRIPS: f"for {measured.calls:,} calls of {_ms(costs.round_trip)}",
        Bound.DISK_FLUSH: f"for {measured.calls:,} commits of {_ms(costs.flush)}",
        Bound.DATABASE: "in which this process waited for more than round trips and flushes",
    }
    return _finding(bound, shares[bound], f"{shares[bound]:.0%} of the time, {why[bound]}")


def _finding(bound: Bound, share: float, text: str) -> Finding:
    return Finding(bound, share, f"{text}; {_ADVICE[bound]}")


def _ms(seconds: float) -> str:
    return f"{seconds * 1_000:.2g} ms"
