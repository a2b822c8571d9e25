"""Conditions of bulk verbs, made of constant pieces. Every value is a parameter."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from elihu.job import JobFilter, JobState

SMALLEST_ID: Final = -(2**63)
LARGEST_ID: Final = 2**63 - 1


class Where(NamedTuple):
    """Conditions that begin with AND, and the values of their parameters."""

    sql: str
    values: tuple[Any, ...]


def conditions(filter_: JobFilter, states: Collection[JobState], first: int) -> Where | None:
    """The conditions of ``filter_`` among ``states``, with parameters numbered from
    ``first``. None if no job can match.

    States are constants in the text: only then does the planner use partial indexes.
    """
    wanted = [
        state
        for state in JobState
        if state in states and (filter_.state is None or state in filter_.state)
    ]
    nodes = None if filter_.node is None else _uuids(filter_.node)
    ids = None if filter_.ids is None else storable_ids(filter_.ids)
    since = None if filter_.since is None else (filter_.since,)
    values = (
        ids, filter_.queue, filter_.task, filter_.tags, filter_.template, nodes, since,
        filter_.not_queue,
    )  # fmt: skip
    if not wanted or any(value is not None and len(value) == 0 for value in values):
        return None
    given = _Numbered(first)
    pieces = [] if len(wanted) == len(JobState) else [_state_is(wanted)]
    for value, piece in zip(values, _PIECES, strict=True):
        if value is not None:
            pieces.append(piece(given.next(list(value))))
    return Where(" ".join(pieces), tuple(given.values))


def storable_ids(ids: Iterable[int]) -> list[int]:
    """The ids that fit the column, ascending, each once."""
    return sorted({value for value in ids if SMALLEST_ID <= value <= LARGEST_ID})


class _Numbered:
    """Numbers values as parameters."""

    def __init__(self, first: int) -> None:
        self.values: list[Any] = []
        self._first = first

    def next(self, value: Any) -> str:
        self.values.append(value)
        return f"${self._first + len(self.values) - 1}"


_PIECES: Final[tuple[Callable[[str], str], ...]] = (
    lambda number: f"AND id = ANY({number}::bigint[])",
    lambda number: f"AND queue = ANY({number}::text[])",
    lambda number: f"AND task = ANY({number}::text[])",
    lambda number: f"AND tags && {number}::text[]",
    lambda number: f"AND template = ANY({number}::text[])",
    lambda number: f"AND node = ANY({number}::uuid[])",
    lambda number: f"AND inserted_at >= ALL({number}::timestamptz[])",
    lambda number: f"AND queue <> ALL({number}::text[])",
)


def _state_is(states: Sequence[JobState]) -> str:
    names = ", ".join(f"'{state.value}'" for state in states)
    return f"AND state IN ({names})"


def _uuids(texts: Iterable[str]) -> list[UUID]:
    found = []
    for text in texts:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found
