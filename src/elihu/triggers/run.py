"""Runs the action on one record: lock, check, authorize, act, complete, commit."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from elihu.context import Context, HandledError
from elihu.enqueue import holding
from elihu.errors import (
    Forbidden,
    InvalidTrigger,
    JobFailed,
    OnErrorFailed,
    TriggerNoLongerApplies,
    WrongDatabase,
)
from elihu.failpoints import ACTIVE, reach
from elihu.outcome import Cancel, Discard, Outcome, Retry, Snooze
from elihu.task import Task
from elihu.triggers.action import Action, keywords_of
from elihu.triggers.arguments import TriggerArguments
from elihu.triggers.host import TriggerHost
from elihu.triggers.load import RecordLoader
from elihu.triggers.options import TriggerOptions
from elihu.triggers.records import (
    Calls,
    RecordKey,
    Sessions,
    begin_writing,
    inner,
    no_commit,
    transaction_ended,
    turn,
)
from elihu.triggers.tenants import lookup_actor, persister_of

logger: Final = logging.getLogger("elihu.triggers")


@dataclass(frozen=True, slots=True)
class ActiveTrigger:
    """What runs: for code below an action that does not get the context itself."""

    trigger: str
    model: type[Any]
    key: Sequence[Any]
    tenant: Any
    actor: Any


current_trigger: Final[ContextVar[ActiveTrigger | None]] = ContextVar(
    "elihu.current_trigger", default=None
)
"""The trigger whose action runs here, None outside of one."""


class ActionEnded(Exception):
    """An action in a thread saw that it was asked to end, and returned."""


class Member(NamedTuple):
    """One job of a transaction; ``place`` is the text of its record's key."""

    ctx: Context
    arguments: TriggerArguments
    actor: Any
    place: str


class Runner:
    """Runs the jobs of one trigger through ``sessions``. Each method is synchronous
    code; ``call`` waits there for what is asynchronous.
    """

    def __init__(
        self,
        name: str,
        key: RecordKey,
        options: TriggerOptions,
        action: Action,
        sessions: Sessions,
        host: TriggerHost,
    ) -> None:
        self.name = name
        self.key = key
        self.options = options
        self.sessions = sessions
        self.host = host
        self.what = f"trigger {name}"
        self._action = action
        self._plain_input: str | None = None
        self._loader = RecordLoader(key, options, self.what)
        self._with_jobs: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
        """Whether the jobs are in the database of an engine: each tenant may have its own."""

    @property
    def looks_actors_up(self) -> bool:
        """Whether ``member`` calls code of the user's, which may take its time."""
        return persister_of(self.options, self.host.trigger_defaults) is not None

    def member(self, stored: Any, ctx: Context, call: Calls) -> Member:
        """One job, its tenant and actor looked up and put into its context."""
        arguments = TriggerArguments.of(stored, self.what)
        actor = call(lookup_actor, self.options, self.host.trigger_defaults, arguments.actor)
        ctx.tenant, ctx.actor, ctx.interaction = arguments.tenant, actor, "elihu"
        return Member(ctx, arguments, actor, str(list(arguments.key)))

    def run(self, member: Member, call: Calls, task: Task[..., Any]) -> Any:
        """What one job comes to: the action's value, or an outcome."""
        if (refusal := self.refusal()) is not None:
            return refusal
        if self.options.debug or self.host.trigger_defaults.debug_all:
            logger.info("%s: job %s acts on key %s", self.what, member.ctx.job.id, member.place)
        if member.ctx.on_error_due is not None:
            return self._handle(member, _error_of(member.ctx), call)
        failure: BaseException
        try:
            (value,) = self.transact([member], call)
            if not _is_last(value, member.ctx):
                return value
            failure = value
        except (Snooze, Cancel):
            raise
        except ActionEnded:
            raise
        except Exception as error:
            if self.options.on_error is None or _is_tried_again(error, member.ctx, task):
                raise
            failure = error
        if self.options.on_error is None:
            return failure
        return self._handle(member, failure, call)

    def refusal(self) -> Cancel | None:
        """How every job of a trigger that is not active ends."""
        state = self.options.state
        return None if state == "active" else Cancel(f"{self.what} is {state}")

    def transact(self, members: Sequence[Member], call: Calls) -> list[Any]:
        """Act on the records of these jobs in one transaction, and complete the jobs in
        it. One value for each: what the action returned, or ``Cancel`` for a record
        that is gone or no longer matches.
        """
        session = self.sessions.open(members[0].arguments.tenant)
        own = inner(session)
        try:
            with self._turn(own, call), own.begin(), no_commit(own, self.what) as allow:
                values, ended = self._act(session, members, call)
                allow()
            for member in ended:
                member.ctx.committed()
            if ACTIVE:
                reach("trigger committed")
            return values
        finally:
            call.close(session)

    def _turn(self, session: Any, call: Calls) -> AbstractContextManager[None]:
        return turn(session, self.key, call) if self.options.lock else nullcontext()

    def _act(
        self, session: Any, members: Sequence[Member], call: Calls
    ) -> tuple[list[Any], Sequence[Member]]:
        """One value for each member, and the members whose jobs ended."""
        own, options, tenant = inner(session), self.options, members[0].arguments.tenant
        connection = self.sessions.connect(own, self.key, tenant)
        path = begin_writing(connection, self.key) if options.lock else None
        with holding(path):
            records = self._loader.matching(
                own, [member.arguments.key for member in members], tenant
            )
            if ACTIVE:
                reach("trigger locked")
            found = [member for member in members if member.place in records]
            if self._rule is not None:
                for member in found:
                    self._authorize(member, records[member.place], self._rule, call)
            if not options.lock:
                self._loader.check_at_first_write(
                    own, [member.arguments.key for member in found], tenant
                )
            if found and options.once:
                found = self._first_time(connection, found)
            began = connection.get_transaction()
            value = self._call_action(session, found, records, call) if found else None
            if connection.get_transaction() is not began:
                raise transaction_ended(self.what)
            if any(member.ctx.noticed for member in found):
                raise ActionEnded(f"{self.what}: the action was asked to end, and returned")
            if found and options.once and isinstance(value, Snooze | Retry):
                digests = [member.arguments.digest(self.name) for member in found]
                self.host.trigger_ledger.forget_act(connection, self.name, digests)
            own.flush()
            if ACTIVE:
                reach("trigger acted")
            ended: Sequence[Member] = ()
            if (
                found
                and not isinstance(value, Outcome)
                and self._end(found, value, None, connection)
            ):
                ended = found
            if ACTIVE:
                reach("trigger completed")
        acted = {member.place for member in found}
        return [
            value if member.place in acted else self._skipped(member.place in records)
            for member in members
        ], ended

    def _skipped(self, matches: bool) -> Cancel:
        """How a job ends whose record was left alone."""
        if matches:
            return Cancel(f"{self.what} has acted on the record before")
        gone = TriggerNoLongerApplies(f"{self.what}: the record is gone or no longer matches")
        return Cancel(f"TriggerNoLongerApplies: {gone}")

    def _first_time(self, connection: Any, members: Sequence[Member]) -> list[Member]:
        """Write the records into the ledger of ``once``; those that were not in it."""
        once = self.options.once
        period = once.total_seconds() if isinstance(once, timedelta) else None
        digests = [member.arguments.digest(self.name) for member in members]
        try:
            new = self.host.trigger_ledger.act_once(connection, self.name, digests, period)
        except WrongDatabase as error:
            raise InvalidTrigger(
                f"{self.what}: once: expected the records in the database of the jobs, got them "
                "in another"
            ) from error
        return [member for member, digest in zip(members, digests, strict=True) if digest in new]

    @property
    def _rule(self) -> Callable[..., Any] | None:
        return self.options.authorize or self.host.trigger_defaults.authorize

    def _authorize(
        self, member: Member, record: Any, rule: Callable[..., Any], call: Calls
    ) -> None:
        offered = keywords_of(rule, {"ctx": member.ctx})
        if not call(rule, member.actor, self, record, **offered):
            raise Cancel(f"Forbidden: {Forbidden(f'{self.what}: the actor may not do this')}")

    def _call_action(
        self, session: Any, members: Sequence[Member], records: dict[str, Any], call: Calls
    ) -> Any:
        first = members[0]
        args, kwargs = self._action.arguments(
            self._input(first.arguments),
            session=session if self._action.asynchronous else inner(session),
            ctx=first.ctx,
            metadata=first.arguments.metadata,
        )
        subject = (
            records[first.place]
            if self.options.chunk is None
            else [records[member.place] for member in members]
        )
        with self._active(first):
            return call(self._action.function, subject, *args, **kwargs)

    def _input(self, arguments: TriggerArguments) -> str:
        """The JSON of the action's input."""
        given, metadata = arguments.action_input, arguments.metadata
        if given or metadata:
            return self._action.encode(given, metadata, self.host.max_args).decode()
        if self._plain_input is None:
            self._plain_input = self._action.encode({}, None, self.host.max_args).decode()
        return self._plain_input

    @contextmanager
    def _active(self, member: Member) -> Iterator[None]:
        token = current_trigger.set(
            ActiveTrigger(
                self.name,
                self.key.model,
                member.arguments.key,
                member.arguments.tenant,
                member.actor,
            )
        )
        try:
            yield
        finally:
            current_trigger.reset(token)

    def _end(
        self,
        members: Sequence[Member],
        value: Any,
        handled: HandledError | None,
        connection: Any,
    ) -> bool:
        """End the jobs in the transaction of the records, and return whether they are
        in the same database. The first end through an engine finds that out.
        """
        known = self._with_jobs.get(connection.engine)
        if known is False:
            return False
        first, *rest = (member.ctx for member in members)
        try:
            first.end(value, conn=connection, handled=handled, others=rest, known=bool(known))
        except WrongDatabase as error:
            if known:
                raise
            if self.options.once:
                raise InvalidTrigger(
                    f"{self.what}: once: expected the records in the database of the jobs, got "
                    "them in another"
                ) from error
            self._with_jobs[connection.engine] = False
            logger.info(
                "%s: the records are in another database than the jobs: an action whose node dies "
                "right after its commit runs again",
                self.what,
            )
            return False
        if not known:
            self._with_jobs[connection.engine] = True
        return True

    def _handle(self, member: Member, error: BaseException, call: Calls) -> Any:
        """Run ``on_error`` once, in a transaction of its own that ends the job."""
        options = self.options
        assert options.on_error is not None
        session = self.sessions.open(member.arguments.tenant)
        own = inner(session)
        try:
            with turn(own, self.key, call), own.begin(), no_commit(own, self.what) as allow:
                connection = self.sessions.connect(own, self.key, member.arguments.tenant)
                path = begin_writing(connection, self.key)
                with holding(path), self._active(member):
                    record = self._loader.whatever(own, member.arguments.key)
                    if ACTIVE:
                        reach("before on_error")
                    if record is not None:
                        offered = {"session": session, "ctx": member.ctx}
                        call(
                            options.on_error,
                            record,
                            error,
                            **keywords_of(options.on_error, offered),
                        )
                    own.flush()
                    handled = HandledError(error, completes=not options.on_error_fails_job)
                    self._end([member], None, handled, connection)
                    if ACTIVE:
                        reach("inside on_error")
                allow()
        except Exception as broken:
            raise OnErrorFailed(
                f"{self.what}: on_error failed with {type(broken).__name__}: {broken}; the action "
                f"failed with {type(error).__name__}: {error}"
            ) from broken
        finally:
            call.close(session)
        if options.log_final_error:
            logger.error(
                "%s: job %d: on_error handled the failure for key %s: %s: %s",
                self.what,
                member.ctx.job.id,
                member.place,
                type(error).__name__,
                error,
            )
        return Discard(str(error)) if options.on_error_fails_job else None


def _is_last(value: Any, ctx: Context) -> bool:
    """Whether a returned outcome ends the job as discarded."""
    return isinstance(value, Discard) or (isinstance(value, Retry) and ctx.is_last_attempt)


def _is_tried_again(error: Exception, ctx: Context, task: Task[..., Any]) -> bool:
    if isinstance(error, Discard) or ctx.is_last_attempt:
        return False
    options = task.options
    if isinstance(error, options.discard_on):
        return False
    return options.retry_on is None or isinstance(error, options.retry_on)


def _error_of(ctx: Context) -> JobFailed:
    """The error of an attempt that ended without its action being able to say so."""
    return JobFailed(ctx.job.id, ctx.on_error_due)
