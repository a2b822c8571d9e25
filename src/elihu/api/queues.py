"""``app.queues``: read queues, and change how running nodes serve them."""

import asyncio
import builtins
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from elihu.api.nodes import living_nodes
from elihu.clients.client import Client
from elihu.engines.protocol import Engine, NodeRow, QueueOverride
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.errors import InvalidOption, UnknownNode, UnknownQueue
from elihu.options import check_range
from elihu.task import check_name

LARGEST_LIMIT: Final = 10_000
UNBOUNDED: Final = 2**62
PAUSE_TIMEOUT: Final = 5.0
"""Seconds for which ``pause`` waits for the nodes."""
PAUSE_POLL: Final = 0.05
"""Seconds between two looks at what the nodes fetch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOnNode:
    """How one node serves a queue: at most ``limit`` jobs at a time, and at most
    ``prefetch`` more wait in the node. ``executing`` jobs run or wait there now. A
    ``paused`` queue fetches none.
    """

    node: str
    limit: int
    paused: bool
    executing: int
    prefetch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue as it is now.

    ``limit``, ``paused`` and ``stopped`` are the stored settings for all nodes.
    ``limit`` None means that each node uses its configuration. ``longest_wait`` is how many
    seconds the available job that is due longest has waited, None without one. ``nodes``
    are the nodes that serve it.
    """

    name: str
    limit: int | None
    paused: bool
    stopped: bool
    available: int
    longest_wait: float | None
    executing: int
    nodes: tuple[QueueOnNode, ...]


class Queues:
    """Verbs on queues.

    Without ``node`` a change is stored: it applies to all nodes, also to those that
    start later, and replaces the same setting of single nodes. With ``node`` (an id, or
    the start of one) it applies to that node while it runs. Raises ``UnknownQueue``,
    ``UnknownNode`` and ``InvalidOption``, which list the known names; nothing is changed
    then.
    """

    def __init__(
        self, client: Callable[[], Client], configured: Callable[[], Collection[str]]
    ) -> None:
        self._client = client
        self._configured = configured

    async def list(self, *, node: str | None = None, most: int = UNBOUNDED) -> builtins.list[Queue]:
        """Every queue that a node serves, that has available or executing jobs, or that
        is configured or has stored settings. With ``node`` the queues that it serves.
        ``available`` is counted up to ``most``. Raises ``UnknownNode``.
        """
        check_range("most", most, 1, UNBOUNDED)
        engine = await self._engine()
        nodes = await living_nodes(engine)
        stored = {rule.queue: rule for rule in await engine.queue_overrides() if rule.node is None}
        found = await engine.queue_loads(most)
        loads = {(load.queue, load.node): load.jobs for load in found}
        waits = {load.queue: load.longest_wait for load in found if load.node is None}
        if node is None:
            names = {
                *self._configured(),
                *stored,
                *(queue for queue, _ in loads),
                *(name for each in nodes for name in _served(each)),
            }
        else:
            nodes = [_node_of(node, nodes)]
            names = {*_served(nodes[0])}
        queues = []
        for name in sorted(names):
            rule = stored.get(name, QueueOverride(name))
            queues.append(
                Queue(
                    name=name,
                    limit=rule.limit,
                    paused=bool(rule.paused),
                    stopped=rule.served is False,
                    available=loads.get((name, None), 0),
                    longest_wait=waits.get(name),
                    executing=sum(
                        jobs
                        for (queue, on), jobs in loads.items()
                        if queue == name and on is not None
                    ),
                    nodes=tuple(
                        QueueOnNode(
                            node=each.id,
                            limit=limit,
                            paused=name in _paused(each),
                            executing=loads.get((name, each.id), 0),
                            prefetch=_prefetch(each).get(name, 0),
                        )
                        for each in nodes
                        if (limit := _served(each).get(name)) is not None
                    ),
                )
            )
        return queues

    async def pause(self, name: str, *, node: str | None = None) -> builtins.list[str]:
        """Fetch no more jobs of the queue. Running jobs are not affected.

        Returns when every node that serves the queue has stopped fetching its jobs, or
        after 5 s, with the ids of the nodes that did not answer.
        """
        only = await self._change(QueueOverride(name, node, paused=True))
        engine = await self._engine()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PAUSE_TIMEOUT
        while True:
            fetching = [
                each.id
                for each in await living_nodes(engine)
                if only in {None, each.id} and name in _served(each) and name not in _paused(each)
            ]
            if not fetching or loop.time() > deadline:
                return fetching
            await asyncio.sleep(PAUSE_POLL)

    async def resume(self, name: str, *, node: str | None = None) -> None:
        """Fetch jobs of the queue again."""
        await self._change(QueueOverride(name, node, paused=False))

    async def scale(self, name: str, limit: int, *, node: str | None = None) -> None:
        """Let each node run at most ``limit`` (1 to 10,000) jobs of the queue at a
        time. Running jobs are not affected.
        """
        await self._change(
            QueueOverride(name, node, limit=check_range("limit", limit, 1, LARGEST_LIMIT))
        )

    async def start(self, name: str, limit: int | None = None, *, node: str | None = None) -> None:
        """Serve a queue, which may be new, with ``limit`` (1 to 10,000) jobs at a time.

        Without ``node`` all nodes serve it, except nodes that were started for some
        queues only. Without ``limit`` a stopped queue has its stored or configured
        limit again.
        """
        if limit is not None:
            check_range("limit", limit, 1, LARGEST_LIMIT)
        await self._change(QueueOverride(name, node, served=True, limit=limit))

    async def stop(self, name: str, *, node: str | None = None) -> None:
        """Stop serving the queue. Running jobs are finished."""
        await self._change(QueueOverride(name, node, served=False))

    async def _change(self, rule: QueueOverride) -> str | None:
        """Store or announce a rule. Returns the id of the node that it is for."""
        check_name("queue", rule.queue)
        engine = await self._client().writing("queues: a change")
        nodes = await living_nodes(engine)
        node = None if rule.node is None else _node_of(rule.node, nodes)
        if not (rule.served and rule.limit):
            known = await self._known(engine, nodes, node)
            if rule.queue not in known:
                _refuse(rule, node, known)
        found = await engine.set_queue(rule._replace(node=node and node.id))
        if not found:
            raise UnknownNode(f"node {rule.node!r} has ended")
        self._client().announcer.announce([Signal(SignalKind.QUEUES, node.id if node else "")])
        return node.id if node else None

    async def _known(
        self, engine: Engine, nodes: builtins.list[NodeRow], node: NodeRow | None
    ) -> set[str]:
        """The names of all queues, or of those that the node serves or may serve."""
        rules = await engine.queue_overrides(node and node.id)
        if node is not None:
            return {*_served(node), *(rule.queue for rule in rules)}
        loads = await engine.queue_loads(1)
        served = (name for each in nodes for name in _served(each))
        return {
            *self._configured(),
            *served,
            *(rule.queue for rule in rules),
            *(load.queue for load in loads),
        }

    async def _engine(self) -> Engine:
        return await self._client().ready()


def _refuse(rule: QueueOverride, node: NodeRow | None, known: set[str]) -> None:
    names = ", ".join(sorted(known)) or "none"
    if rule.served:
        raise InvalidOption(
            f"limit: expected a whole number from 1 to {LARGEST_LIMIT:,} for a new queue, got "
            f"None (known are {names})"
        )
    where = "a known queue" if node is None else f"a queue that node {node.id} serves"
    raise UnknownQueue(f"queue: expected {where} ({names}), got {rule.queue!r}")


def _node_of(given: Any, nodes: list[NodeRow]) -> NodeRow:
    """The one node whose id is, or starts with, ``given``."""
    if not isinstance(given, str) or not given:
        raise InvalidOption(f"node: expected the id of a node, or the start of one, got {given!r}")
    found = [node for node in nodes if node.id.startswith(given)]
    if len(found) != 1:
        which = "one node" if found else "a node"
        raise UnknownNode(
            f"node: expected the id of {which} "
            f"({', '.join(node.id for node in found or nodes) or 'none runs'}), got {given!r}"
        )
    return found[0]


def _served(node: NodeRow) -> dict[str, int]:
    """The queues in the node's row, which is not trusted to be well-formed."""
    return _numbers(node, "queues")


def _prefetch(node: NodeRow) -> dict[str, int]:
    return _numbers(node, "prefetch")


def _numbers(node: NodeRow, key: str) -> dict[str, int]:
    numbers = node.info.get(key)
    return (
        {name: number for name, number in numbers.items() if isinstance(number, int)}
        if isinstance(numbers, dict)
        else {}
    )


def _paused(node: NodeRow) -> list[Any]:
    paused = node.info.get("paused")
    return paused if isinstance(paused, list) else []
