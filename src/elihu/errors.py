"""Every exception Elihu raises, as one tree.

ElihuError
├── ConfigError (ValueError)          a setting: which key, what was expected, what came, from where
├── SchemaError                       the database's tables and this code do not fit
│   ├── SchemaOutdated                the tables are absent or older: run ``elihu migrate``
│   └── SchemaTooNew                  the tables are newer than this code
├── DatabaseError                     the database did not do what was asked
│   ├── DatabaseUnavailable           not reached, or the connection broke; trying again can help
│   ├── DatabaseTimeout               no answer within ``call_timeout``; the outcome is unknown
│   └── DataRefused                   the database refuses a value; trying again cannot help
├── InvalidOption (ValueError)        an option of a task, an enqueue or a verb
│   └── WrongDatabase                 ``conn`` leads to another database than that of the jobs
├── InvalidArguments (ValueError)     arguments that do not fit a task's signature, or cannot be stored
│   └── ArgumentsTooLarge             larger than ``max_args``
├── TaskError                         a declaration, or a name
│   ├── InvalidTask (TypeError)       a function that cannot be a task
│   ├── DuplicateTask                 two tasks with one name or alias
│   ├── UnknownTask (LookupError)     no task of that name here
│   └── TaskNotBound                  a task of a group that no app includes
├── CronError                         a cron text, or an entry that cannot do what was asked
│   ├── InvalidCron (ValueError)      a cron text or time zone: which field, what was expected, what came
│   ├── CronNotFound (LookupError)    no entry has this name
│   └── DuplicateCron                 another entry has this name
├── ProcessError (RuntimeError)       the child process of a task
│   ├── ProcessDied                   it ended before the task did: by a signal, by itself, by ``max_memory``
│   └── NotImportable                 a fresh interpreter does not find the task
├── JobError                          a job that cannot do what was asked
│   ├── JobNotFound (LookupError)     no job has this id
│   ├── InvalidTransition             the job's state does not allow it
│   ├── UniqueConflict                another job holds the unique key
│   ├── IdentifierTaken               another job has the identifier
│   ├── ClaimLost                     ``ctx.complete``: the job is no longer this attempt's
│   ├── NotCommitted                  the task returned after ``ctx.complete``, and its transaction was not committed
│   ├── JobFailed                     waiting: an attempt failed, and not by an exception that is known here
│   ├── JobDiscarded                  waiting: the task discarded the job, or its nodes died
│   ├── JobCancelled                  waiting: the job was cancelled, or expired
│   ├── JobSnoozed                    waiting: the job was put back for later
│   ├── RelayTimeout (TimeoutError)   waiting: no end in time; the job goes on
│   └── ResultNotRecorded             waiting: the job completed, and its result is not there
│       └── ResultTooLarge            it is larger than ``max_result``
├── UnknownQueue (LookupError)        no node serves a queue of that name, and nothing is stored of one
├── UnknownNode (LookupError)         no node has this id
├── TemplateError                     a job kind in the database
│   ├── UnknownTemplate (LookupError) no template has this code
│   ├── TemplateExists                the code is taken
│   ├── TemplateInactive              it takes no new jobs
│   ├── InvalidSchema (ValueError)    no JSON Schema (2020-12), or one that is not taken
│   └── InvalidContext (ValueError)   a context that does not fit the schema; names each place
└── WrongLoop (RuntimeError)          a synchronous verb inside a running event loop
"""

from collections.abc import Sequence


class ElihuError(Exception):
    """The base of every exception that Elihu raises."""


class ConfigError(ElihuError, ValueError):
    """A setting is unknown, of the wrong type or out of range."""


class SchemaError(ElihuError):
    """The tables in the database and this version of the code do not fit."""


class SchemaOutdated(SchemaError):
    """The tables are absent or older than the code needs: run ``elihu migrate``."""


class SchemaTooNew(SchemaError):
    """The tables were made by a newer version of Elihu."""


class DatabaseError(ElihuError):
    """The database did not do what was asked of it."""


class DatabaseUnavailable(DatabaseError):
    """The database was not reached, or the connection broke; the call can be tried
    again.
    """


class DatabaseTimeout(DatabaseError):
    """No answer came within ``call_timeout``; whether the call took effect is not
    known.
    """


class DataRefused(DatabaseError):
    """The database refuses a value of the call; trying again cannot help."""


class InvalidOption(ElihuError, ValueError):
    """An option is unknown, of the wrong type or out of range."""


class WrongDatabase(InvalidOption):
    """``conn`` leads to another database than that of the jobs."""


class InvalidArguments(ElihuError, ValueError):
    """Arguments do not fit the task's signature, or cannot be stored.

    ``field`` names the argument at fault, with the path inside it
    (``"order.lines.0.price"``), or is None when the whole set is at fault.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ArgumentsTooLarge(InvalidArguments):
    """The arguments' stored JSON is larger than ``max_args`` bytes."""


class TaskError(ElihuError):
    """A task's declaration or name is at fault."""


class InvalidTask(TaskError, TypeError):
    """The function cannot be a task."""


class DuplicateTask(TaskError):
    """Two tasks claim one name or alias."""


class UnknownTask(TaskError, LookupError):
    """No task of this name is registered here."""


class TaskNotBound(TaskError):
    """The task belongs to a ``Tasks`` group that no app includes yet."""


class CronError(ElihuError):
    """A cron entry cannot do what was asked of it."""


class InvalidCron(CronError, ValueError):
    """A cron text, or its time zone, is not what it must be; ``field`` names the field
    at fault, None where it is the whole text.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class CronNotFound(CronError, LookupError):
    """No cron entry has this name."""


class DuplicateCron(CronError):
    """Another cron entry has this name."""


class ProcessError(ElihuError, RuntimeError):
    """The child process of a task did not do what was asked of it, or does what it must
    not.
    """


class ProcessDied(ProcessError):
    """The child process ended before the task that it ran."""


class NotImportable(ProcessError):
    """A fresh interpreter cannot import the task or its app."""


class JobError(ElihuError):
    """A job cannot do what was asked of it."""


class JobNotFound(JobError, LookupError):
    """No job has this id, or this identifier: the other one is None."""

    def __init__(self, job_id: int | None = None, *, identifier: str | None = None) -> None:
        got = (
            f"id of a stored job, got {job_id}"
            if identifier is None
            else f"identifier of a stored job, got {identifier!r}"
        )
        super().__init__(f"expected the {got}")
        self.job_id = job_id
        self.identifier = identifier


class InvalidTransition(JobError):
    """The job's state does not allow what was asked."""


class UniqueConflict(JobError):
    """Another job holds the unique key; ``twin`` is its id."""

    def __init__(self, message: str, *, job_id: int, holder: int) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.holder = holder


class IdentifierTaken(JobError):
    """Another job has the identifier; ``holder`` is its id and ``state`` its state."""

    def __init__(self, identifier: str, *, holder: int, state: str) -> None:
        super().__init__(
            f"identifier: expected one that no stored job has, got {identifier!r}, which job "
            f"{holder} has ({state})"
        )
        self.identifier = identifier
        self.holder = holder
        self.state = state


class ClaimLost(JobError):
    """The job is no longer the attempt's to complete: it has ended, or was given to
    another node.
    """

    def __init__(self, message: str, *, job_id: int) -> None:
        super().__init__(message)
        self.job_id = job_id


class NotCommitted(JobError):
    """The task returned after ``ctx.complete``, and the transaction had not been
    committed: the attempt has failed.
    """


class JobFailed(JobError):
    """An attempt failed: by its time limit, by being killed, or by an exception whose
    type this process does not know.

    ``reason`` says why; ``traceback`` is the remote one, where there is one.
    """

    def __init__(self, job_id: int, reason: str | None, *, traceback: str | None = None) -> None:
        super().__init__(f"job {job_id} failed: {reason or 'no reason given'}")
        self.job_id = job_id
        self.reason = reason
        self.traceback = traceback


class JobDiscarded(JobError):
    """The job was discarded without an exception: the task said so, or too many of its
    nodes died.
    """

    def __init__(self, job_id: int, reason: str | None) -> None:
        super().__init__(f"job {job_id} is discarded: {reason or 'no reason given'}")
        self.job_id = job_id
        self.reason = reason


class JobCancelled(JobError):
    """The job was cancelled, or expired before it began."""

    def __init__(self, job_id: int, reason: str | None) -> None:
        super().__init__(f"job {job_id} is cancelled: {reason or 'no reason given'}")
        self.job_id = job_id
        self.reason = reason


class JobSnoozed(JobError):
    """The task put the job back for later: a new wait, or ``wait_retries=True``, goes
    on.
    """

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id} is put back for later")
        self.job_id = job_id


class RelayTimeout(JobError, TimeoutError):
    """The job did not end in the time given. It goes on, and can be waited for again."""

    def __init__(self, job_id: int, timeout: float) -> None:
        super().__init__(f"expected an end of job {job_id} within {timeout:g} s, got none")
        self.job_id = job_id


class ResultNotRecorded(JobError):
    """The job completed, and its result is not there: it could not be kept, or nobody
    had asked for it.
    """

    def __init__(self, job_id: int, reason: str) -> None:
        super().__init__(f"the result of job {job_id} is not there: {reason}")
        self.job_id = job_id
        self.reason = reason


class ResultTooLarge(ResultNotRecorded):
    """The job completed, and its result is larger than ``max_result`` bytes."""


class UnknownQueue(ElihuError, LookupError):
    """No node serves a queue of this name, no job is in it, and nothing is stored of
    it.
    """


class UnknownNode(ElihuError, LookupError):
    """No node has this id, or several have an id that begins so."""


class TemplateError(ElihuError):
    """A job kind in the database, or what it is asked for, is at fault."""


class UnknownTemplate(TemplateError, LookupError):
    """No template has this code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"expected the code of a template in the database, got {code!r}")
        self.code = code


class TemplateExists(TemplateError):
    """A template has this code already."""


class TemplateInactive(TemplateError):
    """The template takes no new jobs."""


class InvalidSchema(TemplateError, ValueError):
    """The schema is no JSON Schema of the draft 2020-12, or holds what is not taken;
    ``place`` is a JSON Pointer into it.
    """

    def __init__(self, message: str, *, place: str = "") -> None:
        super().__init__(message)
        self.place = place


class InvalidContext(TemplateError, ValueError):
    """The context does not fit the schema of the template ``code``.

    ``problems`` are what was expected and what came, each with its place, a JSON
    Pointer into the context.
    """

    def __init__(self, code: str, problems: Sequence[tuple[str, str]]) -> None:
        told = "; ".join(f"{place}: {problem}" if place else problem for place, problem in problems)
        super().__init__(
            f"template {code!r}: expected a context that fits its schema, got one that does not: "
            f"{told}"
        )
        self.code = code
        self.problems = tuple(problems)


class WrongLoop(ElihuError, RuntimeError):
    """A synchronous verb was called inside a running event loop."""
