"""Who is measured: versions, and how each is set up. The versions are named here only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

OURS: Final = "elihu"
LIMIT: Final = "limit"
OWN: Final = (OURS, LIMIT)

UVLOOP: Final = "uvloop==0.23.0"
PSYCOPG: Final = "psycopg[binary]==3.3.9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One side of the comparison.

    ``requirements`` are installed into its environment; the first is its own package.
    ``engines`` are those it is measured on. ``slots`` are those of its best drain,
    ``scale`` divides the job counts, so that a slow side does not take most of the time.
    ``callers`` are the numbers of concurrent callers that its clients can be measured
    with: a synchronous client has one. ``imports`` is its package and its main class,
    and ``help`` the command that is timed with ``--help``. ``settings`` is what the
    report says of it.
    """

    name: str
    settings: str
    engines: Sequence[str] = ("postgresql",)
    requirements: Sequence[str] = ()
    least_python: tuple[int, int] = (3, 11)
    slots: int = 100
    scale: int = 1
    callers: Sequence[int] = (1, 10, 100)
    imports: tuple[str, str] | None = None
    help: Sequence[str] = ()


ELIHU: Final = Contestant(
    name=OURS,
    settings="uvloop; one node a process; SQLite with `synchronous = FULL`; history is kept",
    engines=("postgresql", "sqlite"),
    slots=500,
    imports=("elihu", "Elihu"),
    help=("elihu", "--help"),
)
PLAIN_SQL: Final = Contestant(
    name=LIMIT,
    settings="the same tables; one statement completes a batch and fetches the next; one "
    "statement stores the jobs of all callers; nothing is executed",
    engines=("postgresql", "sqlite"),
    slots=500,
)
BOUND: Final = Contestant(
    name="bound",
    settings="what bounds a row of Elihu's own; it stands in a table of its own",
    engines=("postgresql", "sqlite"),
)
PEERS: Final = (
    Contestant(
        name="pgqueuer",
        settings="asyncpg, uvloop; `batch_size` = slots, no bound on prefetch, durable tables; "
        "a pool of at most 20 connections for callers; `enqueue` of 5,000 for bulk",
        requirements=("pgqueuer==1.6.0", "asyncpg==0.32.0", UVLOOP),
        slots=500,
        imports=("pgqueuer", "PgQueuer"),
        help=("pgq", "--help"),
    ),
    Contestant(
        name="oban",
        settings="psycopg with its C part, uvloop; `limit` = slots; a pool of at most 20 "
        "connections for callers; `enqueue_many` of 1,000 for bulk",
        requirements=("oban==0.7.0", PSYCOPG, UVLOOP),
        least_python=(3, 12),
        scale=8,
        imports=("oban", "Oban"),
        help=("oban", "--help"),
    ),
    Contestant(
        name="procrastinate",
        settings="psycopg with its C part, uvloop; `concurrency` = slots; a pool of at most 20 "
        "connections; `batch_defer_async` of 1,000 for bulk",
        requirements=("procrastinate==3.10.0", PSYCOPG, UVLOOP),
        slots=20,
        scale=20,
        imports=("procrastinate", "App"),
        help=("procrastinate", "--help"),
    ),
    Contestant(
        name="chancy",
        settings="psycopg with its C part, uvloop; `AsyncExecutor`, `eager_polling`, "
        "`concurrency` = slots; a pool of at most 20 connections for callers; `push_many` of "
        "1,000 for bulk",
        requirements=("chancy[cli]==0.26.0", PSYCOPG, UVLOOP),
        least_python=(3, 12),
        scale=8,
        imports=("chancy", "Chancy"),
        help=("chancy", "--help"),
    ),
    Contestant(
        name="huey",
        settings="`SqliteHuey(fsync=True, results=False)`; one worker thread that looks every 1 "
        "to 5 ms; a job is deleted when it is fetched",
        engines=("sqlite",),
        requirements=("huey==3.5.4",),
        slots=1,
        scale=6,
        callers=(1,),
        imports=("huey", "SqliteHuey"),
        help=("huey_consumer", "--help"),
    ),
    Contestant(
        name="celery",
        settings="Redis with `appendfsync always`; pool `solo`, `task_acks_late`, prefetch 128, "
        "no results, no events, no gossip",
        engines=("redis",),
        requirements=("celery[redis]==5.7.0", "redis==8.1.0"),
        slots=1,
        scale=20,
        callers=(1,),
        imports=("celery", "Celery"),
        help=("celery", "--help"),
    ),
)
CONTESTANTS: Final = {each.name: each for each in (ELIHU, PLAIN_SQL, *PEERS)}
