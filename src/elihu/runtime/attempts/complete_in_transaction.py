"""``ctx.complete``: attempts that end inside a transaction of their task.

The node cannot see whether that transaction was committed. So it acknowledges the
attempt as failed: the guard refuses that when the transaction was committed, and the
status of the acknowledgement then shows the completion.

    complete() → the task commits  → returns → acknowledged as failed, refused → it is completed
               → the task does not → returns → acknowledged as failed, written
"""

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from elihu.context import HandledError
from elihu.engines.in_transaction import Answer, Completion, open_session
from elihu.engines.protocol import Ack
from elihu.errors import ClaimLost, ElihuError, JobFailed, SchemaOutdated, WrongDatabase
from elihu.job import JobState, RunOutcome
from elihu.outcome import Failed
from elihu.runtime.attempts.ack import ack_for
from elihu.runtime.attempts.execution import Execution
from elihu.runtime.attempts.executor import kept
from elihu.runtime.service import Scope


class Completer:
    """Completes attempts of this node through connections of their tasks'."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def complete(
        self,
        executions: Sequence[Execution],
        value: Any,
        conn: object,
        handled: HandledError | None = None,
        *,
        known: bool,
    ) -> None:
        """Through a synchronous connection; called in the task's thread."""
        session = open_session(conn, self._scope.config)
        session.require_sync("complete_sync()", "await ctx.complete(…, conn=…)")
        with _uncertain(executions):
            ends = [self._completion(each, value, handled) for each in executions]
            self._judge(executions, session.complete(ends, known=known))

    async def acomplete(self, execution: Execution, value: Any, conn: object) -> None:
        """Through an asynchronous connection."""
        session = open_session(conn, self._scope.config)
        session.require_async("complete()", "ctx.complete_sync(…, conn=…)")
        with _uncertain([execution]):
            ends = [self._completion(execution, value, None)]
            self._judge([execution], await session.acomplete(ends))

    def _completion(
        self, execution: Execution, value: Any, handled: HandledError | None
    ) -> Completion:
        ack = ack_for(execution, kept(execution, value, self._scope.config.max_result))
        if handled is not None:
            ack = ack_for(execution, Failed(handled.error, retry=False))
            if isinstance(handled.error, JobFailed):  # that of an earlier attempt
                ack = ack._replace(reason=handled.error.reason)
        state = JobState.COMPLETED if handled is None or handled.completes else JobState.DISCARDED
        return Completion(
            id=ack.id,
            claim=ack.claim,
            node=execution.node,
            installation=self._scope.identity.installation,
            value=ack.value,
            reason=ack.reason,
            log=ack.log,
            error_type=ack.error_type,
            wanted=execution.keeps_value,
            to_state=state.value,
            outcome=ack.outcome.value,
            error=ack.error,
            traceback=ack.traceback,
            waited=execution.waited,
        )

    def _judge(self, executions: Sequence[Execution], answers: Sequence[Answer]) -> None:
        for execution, answer in zip(executions, answers, strict=True):
            if not answer.done:
                self._refuse(execution, answer)

    def _refuse(self, execution: Execution, answer: Answer) -> None:
        if answer.installation != self._scope.identity.installation:
            raise WrongDatabase(
                "conn: expected a connection to the database of the jobs, got one to another "
                "installation of Elihu "
                f"({answer.installation}, not {self._scope.identity.installation})"
            )
        job_id, claim = execution.key
        raise ClaimLost(
            f"job {job_id}: expected it to be executed under claim {claim}, got one that is "
            f"{answer.state or 'gone'}",
            job_id=job_id,
        )


def as_completed(acks: Sequence[Ack], uncertain: Container[tuple[int, int]]) -> list[Ack]:
    """The acknowledgements to ask the status of; those that are uncertain as completed."""
    return [
        ack._replace(outcome=RunOutcome.COMPLETED) if (ack.id, ack.claim) in uncertain else ack
        for ack in acks
    ]


@contextmanager
def _uncertain(executions: Sequence[Execution]) -> Iterator[None]:
    """From here on the attempts may have ended, unless an error of ours says that they
    have not.
    """
    before = [execution.completing for execution in executions]
    _set_completing(executions, [True] * len(executions))
    try:
        yield
    except SchemaOutdated as error:
        _set_completing(executions, before)
        raise WrongDatabase(
            "conn: expected a connection to the database of the jobs, got one without its "
            f"tables: {error}"
        ) from error
    except ElihuError:
        _set_completing(executions, before)
        raise


def _set_completing(executions: Sequence[Execution], values: Sequence[bool]) -> None:
    for execution, value in zip(executions, values, strict=True):
        execution.completing = value
