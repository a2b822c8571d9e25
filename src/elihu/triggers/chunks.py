"""Chunks: jobs that run on this node at the same moment share one transaction and one
call of the action. If that fails, each of them runs alone.
"""

import asyncio
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from elihu.context import Context
from elihu.triggers.arguments import canonical
from elihu.triggers.options import Chunk
from elihu.triggers.records import Calls, in_loop
from elihu.triggers.run import Member, Runner

_SAME: Final = b""
"""The key of jobs that say nothing but their record."""


class Done(NamedTuple):
    """What a job's share of a chunk came to."""

    value: Any


@dataclass(slots=True)
class _Gathering:
    """The jobs that wait for the same call. ``full`` is set when no more are awaited."""

    full: asyncio.Event = field(default_factory=asyncio.Event)
    members: dict[Context, Member] = field(default_factory=dict)
    done: "asyncio.Future[dict[Context, Any] | None] | None" = None


class Chunks:
    """Gathers the jobs of one trigger by tenant, actor, input and ``Chunk.by``."""

    def __init__(self, runner: Runner, call: Calls, chunk: Chunk) -> None:
        self._runner = runner
        self._call = call
        self._chunk = chunk
        self._gathering: dict[Hashable, _Gathering] = {}

    async def join(self, stored: Mapping[str, Any], ctx: Context) -> Done | None:
        """Wait for the call that this job is part of. None where that failed, or the
        job was on its own: then the job is to run alone.
        """
        if self._runner.refusal() is not None or ctx.on_error_due is not None or ctx.attempt > 1:
            return None
        member = await self._member(stored, ctx)
        key = self._key(member, stored)
        gathering = self._gathering.get(key)
        if gathering is None:
            gathering = self._gathering[key] = _Gathering()
            gathering.done = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._perform(key, gathering))
            task.add_done_callback(_retrieve)
        gathering.members[ctx] = member
        if len(gathering.members) >= self._chunk.size:
            self._gathering.pop(key, None)
            gathering.full.set()
        assert gathering.done is not None
        try:
            values = await asyncio.shield(gathering.done)
        except asyncio.CancelledError:
            gathering.members.pop(ctx, None)
            raise
        return None if values is None else Done(values[ctx])

    async def _member(self, stored: Mapping[str, Any], ctx: Context) -> Member:
        if not self._runner.looks_actors_up:
            return self._runner.member(stored, ctx, self._call)
        if self._call.asynchronous:
            return await in_loop(self._runner.member, stored, ctx, self._call)
        return await asyncio.to_thread(self._runner.member, stored, ctx, self._call)

    def _key(self, member: Member, stored: Mapping[str, Any]) -> Hashable:
        arguments = member.arguments
        by = self._chunk.by
        if by is arguments.tenant is arguments.actor is arguments.metadata is None:
            return _SAME if not arguments.action_input else canonical(dict(arguments.action_input))
        return canonical(
            [
                arguments.tenant,
                arguments.actor,
                dict(arguments.action_input),
                arguments.metadata,
                None if by is None else by(stored),
            ]
        )

    async def _perform(self, key: Hashable, gathering: _Gathering) -> None:
        try:
            async with asyncio.timeout(self._chunk.seconds):
                await gathering.full.wait()
        except TimeoutError:
            pass
        if self._gathering.get(key) is gathering:
            del self._gathering[key]
        assert gathering.done is not None
        members = dict(gathering.members)
        if len(members) < 2:
            gathering.done.set_result(None)
            return
        try:
            values = await self._transact(list(members.values()))
        except BaseException:
            gathering.done.set_result(None)
            raise
        gathering.done.set_result(dict(zip(members, values, strict=True)))

    async def _transact(self, members: list[Member]) -> list[Any]:
        if self._call.asynchronous:
            return await in_loop(self._runner.transact, members, self._call)
        return await asyncio.to_thread(self._runner.transact, members, self._call)


def _retrieve(task: "asyncio.Task[None]") -> None:
    """Take note of the error of a chunk: its jobs run alone, and report their own."""
    if not task.cancelled():
        task.exception()
