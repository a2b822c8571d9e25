"""Every exception that Elihu raises, as one tree.

ElihuError
├── ConfigError (ValueError)          a setting: key, expected, got, source
├── SchemaError                       the database's tables do not fit this code
│   ├── SchemaOutdated                they are absent or older: run ``elihu migrate``
│   └── SchemaTooNew                  they are newer than this code
├── DatabaseError                     the database did not do what was asked
│   ├── DatabaseUnavailable           no connection; trying again can help
│   ├── DatabaseTimeout               no answer within ``call_timeout``; outcome unknown
│   ├── PermissionDenied              the database's role lacks a right
│   └── DataRefused                   the database refuses a value
├── InvalidOption (ValueError)        an option of a task, an enqueue or a verb
│   └── WrongDatabase                 ``conn`` leads to another database
├── InvalidArguments (ValueError)     arguments do not fit the task or cannot be stored
│   └── ArgumentsTooLarge             larger than ``max_args``
├── TaskError                         a declaration, or a name
│   ├── InvalidTask (TypeError)       a function that cannot be a task
│   ├── DuplicateTask                 two tasks with one name or alias
│   ├── UnknownTask (LookupError)     no task of that name here
│   └── TaskNotBound                  a task of a group that no app includes
├── CronError                         a cron entry
│   ├── InvalidCron (ValueError)      a cron text or time zone: field, expected, got
│   ├── CronNotFound (LookupError)    no entry has this name
│   └── DuplicateCron                 another entry has this name
├── ProcessError (RuntimeError)       the child process of a task
│   ├── ProcessDied                   it ended before the task did
│   └── NotImportable                 a fresh interpreter cannot import the task
├── JobError                          a job
│   ├── JobNotFound (LookupError)     no job has this id
│   ├── InvalidTransition             the job's state does not allow it
│   ├── UniqueConflict                another job holds the unique key
│   ├── IdentifierTaken               another job has the identifier
│   ├── ClaimLost                     ``ctx.complete``: the job is not this attempt's
│   ├── NotCommitted                  the transaction of ``ctx.complete`` was not committed
│   ├── JobFailed                     waiting: an attempt failed
│   ├── JobDiscarded                  waiting: the task discarded the job, or its nodes died
│   ├── JobCancelled                  waiting: the job was cancelled, or expired
│   ├── JobSnoozed                    waiting: the job was put back for later
│   ├── RelayTimeout (TimeoutError)   waiting: no end in time
│   └── ResultNotRecorded             waiting: the job completed without a stored result
│       └── ResultTooLarge            the result is larger than ``max_result``
├── ChangedMeanwhile                  what is stored is not what was expected
├── UnknownQueue (LookupError)        no queue has this name
├── UnknownNode (LookupError)         no node has this id
├── TemplateError                     a template
│   ├── UnknownTemplate (LookupError) no template has this code
│   ├── TemplateExists                another template has this code
│   ├── TemplateInactive              it takes no new jobs
│   ├── InvalidSchema (ValueError)    not a JSON Schema (2020-12), or not supported
│   └── InvalidContext (ValueError)   a context that does not fit the schema
├── TriggerError                      a trigger, or one of its jobs
│   ├── InvalidTrigger (ValueError)   an option that does not fit the model or the action
│   ├── UnknownTrigger (LookupError)  no trigger has this name
│   ├── ActionCommitted               an action ended its transaction itself
│   ├── OnErrorFailed                 ``on_error`` failed
│   ├── TriggerNoLongerApplies        the record is gone or no longer matches
│   └── Forbidden                     ``authorize`` refused the action
├── CommandError                      the command scheduler
│   ├── InvalidFields (ValueError)    values that a rule refuses, each by its field
│   │   └── NameTaken                 another one has this name
│   ├── RecordNotFound (LookupError)  nothing of this kind has this id
│   ├── RecordChanged                 another change came first
│   ├── NotRunnable                   a rule forbids the run
│   └── SecretError                   no key for secrets, or not the right one
├── AccountError                      a user, a key, or a sign-in
│   ├── UserNotFound (LookupError)    no user has this name or id
│   ├── UserExists                    another user has this name
│   ├── LastAdmin                     no admin would remain
│   ├── KeyNotFound (LookupError)     no key has this id
│   ├── SignInRefused                 the name or the password is wrong
│   └── TooManySignIns                too many attempts to sign in
└── WrongLoop (RuntimeError)          a synchronous verb inside a running event loop
"""

from collections.abc import Sequence


class ElihuError(Exception):
    """The base of every exception that Elihu raises."""


class ConfigError(ElihuError, ValueError):
    """A setting is unknown, of the wrong type or out of range."""


class SchemaError(ElihuError):
    """The tables in the database do not fit this version of the code."""


class SchemaOutdated(SchemaError):
    """The tables are absent or older than the code needs: run ``elihu migrate``."""


class SchemaTooNew(SchemaError):
    """The tables were made by a newer version of Elihu."""


class DatabaseError(ElihuError):
    """The database did not do what was asked."""


class DatabaseUnavailable(DatabaseError):
    """The database was not reached, or the connection broke. Trying again can help."""


class DatabaseTimeout(DatabaseError):
    """No answer came within ``call_timeout``. Whether the call took effect is unknown."""


class PermissionDenied(DatabaseError):
    """The role that Elihu connects as lacks a right in the database; trying again cannot
    help.
    """


class DataRefused(DatabaseError):
    """The database refuses a value of the call. Trying again cannot help."""


class InvalidOption(ElihuError, ValueError):
    """An option is unknown, of the wrong type or out of range."""


class WrongDatabase(InvalidOption):
    """``conn`` leads to another database than the app's."""


class InvalidArguments(ElihuError, ValueError):
    """Arguments do not fit the task's signature, or cannot be stored.

    ``field`` names the wrong argument, with the path inside it
    (``"order.lines.0.price"``). None means all arguments together.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ArgumentsTooLarge(InvalidArguments):
    """The arguments take more than ``max_args`` bytes of JSON."""


class TaskError(ElihuError):
    """A task's declaration or name is wrong."""


class InvalidTask(TaskError, TypeError):
    """The function cannot be a task."""


class DuplicateTask(TaskError):
    """Two tasks have one name or alias."""


class UnknownTask(TaskError, LookupError):
    """No task of this name is registered here."""


class TaskNotBound(TaskError):
    """The task belongs to a ``Tasks`` group that no app includes."""


class CronError(ElihuError):
    """A cron entry does not allow what was asked."""


class InvalidCron(CronError, ValueError):
    """A cron text or its time zone is wrong. ``field`` names the wrong field, None
    means the whole text.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class CronNotFound(CronError, LookupError):
    """No cron entry has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"cron {name!r} not found")
        self.name = name


class DuplicateCron(CronError):
    """Another cron entry has this name."""


class ProcessError(ElihuError, RuntimeError):
    """The child process of a task failed, or did what only a node may do."""


class ProcessDied(ProcessError):
    """The child process ended before its task did."""


class NotImportable(ProcessError):
    """A fresh interpreter cannot import the task or its app."""


class JobError(ElihuError):
    """A job does not allow what was asked."""


class JobNotFound(JobError, LookupError):
    """No job has this id, or this identifier. The other attribute is None."""

    def __init__(self, job_id: int | None = None, *, identifier: str | None = None) -> None:
        super().__init__(
            f"job {job_id} not found"
            if identifier is None
            else f"job with the identifier {identifier!r} not found"
        )
        self.job_id = job_id
        self.identifier = identifier


class InvalidTransition(JobError):
    """The job's state does not allow what was asked."""


class UniqueConflict(JobError):
    """Another job holds the unique key. ``holder`` is its id."""

    def __init__(self, message: str, *, job_id: int, holder: int) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.holder = holder


class IdentifierTaken(JobError):
    """Another job has the identifier. ``holder`` is its id and ``state`` its state."""

    def __init__(self, identifier: str, *, holder: int, state: str) -> None:
        super().__init__(f"identifier {identifier!r} is taken by job {holder} ({state})")
        self.identifier = identifier
        self.holder = holder
        self.state = state


class ClaimLost(JobError):
    """The attempt can no longer complete the job: the job has ended, or another node
    has it.
    """

    def __init__(self, message: str, *, job_id: int) -> None:
        super().__init__(message)
        self.job_id = job_id


class NotCommitted(JobError):
    """The task returned after ``ctx.complete`` without a commit of its transaction. The
    attempt failed.
    """


class JobFailed(JobError):
    """An attempt failed: it ran past its time limit, was killed, or raised an exception
    that cannot be rebuilt in this process.

    ``reason`` says why. ``traceback`` is the remote traceback, or None.
    """

    def __init__(self, job_id: int, reason: str | None, *, traceback: str | None = None) -> None:
        super().__init__(f"job {job_id} failed: {reason or 'no reason given'}")
        self.job_id = job_id
        self.reason = reason
        self.traceback = traceback


class JobDiscarded(JobError):
    """The job was discarded without an exception: by ``Discard``, or since too many of
    its nodes died.
    """

    def __init__(self, job_id: int, reason: str | None) -> None:
        super().__init__(f"job {job_id} was discarded: {reason or 'no reason given'}")
        self.job_id = job_id
        self.reason = reason


class JobCancelled(JobError):
    """The job was cancelled, or expired before it began."""

    def __init__(self, job_id: int, reason: str | None) -> None:
        super().__init__(f"job {job_id} was cancelled: {reason or 'no reason given'}")
        self.job_id = job_id
        self.reason = reason


class JobSnoozed(JobError):
    """The task put the job back for later. To wait for its end, wait again, or with
    ``wait_retries=True``.
    """

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id} was put back for later")
        self.job_id = job_id


class RelayTimeout(JobError, TimeoutError):
    """The job did not end in time. It is not affected; another wait is possible."""

    def __init__(self, job_id: int, timeout: float, hint: str | None = None) -> None:
        text = f"job {job_id} did not end within {timeout:g} s"
        super().__init__(f"{text}: {hint}" if hint else text)
        self.job_id = job_id


class ResultNotRecorded(JobError):
    """The job completed without a stored result: the result could not be stored, or
    nothing asked for it.
    """

    def __init__(self, job_id: int, reason: str) -> None:
        super().__init__(f"job {job_id} has no stored result: {reason}")
        self.job_id = job_id
        self.reason = reason


class ResultTooLarge(ResultNotRecorded):
    """The job completed with a result larger than ``max_result`` bytes."""


class ChangedMeanwhile(ElihuError):
    """What is stored is no longer what was given as ``expected``: another change came
    first, and nothing was changed.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: expected what was read, got another: it was changed meanwhile")


class UnknownQueue(ElihuError, LookupError):
    """No node serves a queue of this name, it holds no jobs, and it has no settings."""


class UnknownNode(ElihuError, LookupError):
    """No node has this id, or the ids of several nodes start with it."""


class TemplateError(ElihuError):
    """A template does not allow what was asked."""


class UnknownTemplate(TemplateError, LookupError):
    """No template has this code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"template {code!r} not found")
        self.code = code


class TemplateExists(TemplateError):
    """Another template has this code."""


class TemplateInactive(TemplateError):
    """The template takes no new jobs."""


class InvalidSchema(TemplateError, ValueError):
    """The schema is not a JSON Schema (2020-12), or has a keyword that is not
    supported. ``place`` is a JSON Pointer into it.
    """

    def __init__(self, message: str, *, place: str = "") -> None:
        super().__init__(message)
        self.place = place


class InvalidContext(TemplateError, ValueError):
    """The context does not fit the schema of the template ``code``.

    Each of ``problems`` is a place, as a JSON Pointer into the context, and what is
    wrong there.
    """

    def __init__(self, code: str, problems: Sequence[tuple[str, str]]) -> None:
        texts = (f"{place}: {problem}" if place else problem for place, problem in problems)
        super().__init__(
            f"template {code!r}: the context does not fit the schema: {'; '.join(texts)}"
        )
        self.code = code
        self.problems = tuple(problems)


class TriggerError(ElihuError):
    """A trigger, or one of its jobs."""


class InvalidTrigger(TriggerError, ValueError):
    """An option of a trigger that does not fit its model or its action, or a record
    that is not one of its model.
    """


class UnknownTrigger(TriggerError, LookupError):
    """No trigger of the app has this name."""


class ActionCommitted(TriggerError):
    """An action ended its transaction itself."""


class OnErrorFailed(TriggerError):
    """``on_error`` failed: the job is discarded."""


class TriggerNoLongerApplies(TriggerError):
    """The record is gone, or no longer matches the condition: the job is cancelled."""


class Forbidden(TriggerError):
    """``authorize`` refused the action: the job is cancelled."""


class CommandError(ElihuError):
    """The command scheduler does not allow what was asked."""


class InvalidFields(CommandError, ValueError):
    """Values that a rule of the command scheduler refuses; nothing was stored.

    Each of ``errors`` is a field and what is wrong with it.
    """

    def __init__(self, *errors: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {detail}" for field, detail in errors))
        self.errors = errors


class NameTaken(InvalidFields):
    """Another environment, command, cron or alert has this name, whatever its case."""


class RecordNotFound(CommandError, LookupError):
    """Nothing of this ``kind`` has this id."""

    def __init__(self, kind: str, record_id: object) -> None:
        super().__init__(f"{kind} {record_id} not found")
        self.kind = kind
        self.record_id = record_id


class RecordChanged(CommandError):
    """Another user changed it first. ``version`` is that of what is stored now."""

    def __init__(self, kind: str, record_id: object, *, expected: int, version: int) -> None:
        super().__init__(
            f"{kind} {record_id}: expected version {expected}, got {version}: it was changed "
            "meanwhile"
        )
        self.kind = kind
        self.record_id = record_id
        self.version = version


class NotRunnable(CommandError):
    """A rule forbids the run: the command or the environment is disabled, or there is
    none.
    """


class SecretError(CommandError):
    """There is no key for secrets, or none that decrypts this one."""


class AccountError(ElihuError):
    """A user, a key or a sign-in does not allow what was asked."""


class UserNotFound(AccountError, LookupError):
    """No user has this name or id."""


class UserExists(AccountError):
    """Another user has this name, whatever its case."""


class LastAdmin(AccountError):
    """No enabled admin would remain."""


class KeyNotFound(AccountError, LookupError):
    """No key has this id."""


class SignInRefused(AccountError):
    """The name or the password is wrong, or the user is disabled."""


class TooManySignIns(AccountError):
    """Too many attempts to sign in. ``retry_after`` is in seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WrongLoop(ElihuError, RuntimeError):
    """A synchronous verb was called inside a running event loop."""
