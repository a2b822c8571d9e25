"""Persistent background jobs on PostgreSQL and SQLite: the public names."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from elihu.api.job_pages import JobSummaryPage as JobSummaryPage
    from elihu.api.queues import Queue as Queue
    from elihu.api.queues import QueueOnNode as QueueOnNode
    from elihu.api.stats import BoundedCount as BoundedCount
    from elihu.api.stats import FailureGroup as FailureGroup
    from elihu.api.stats import ThroughputPoint as ThroughputPoint
    from elihu.api.template_sync import Synced as Synced
    from elihu.app import Elihu as Elihu
    from elihu.config import Config as Config
    from elihu.context import Context as Context
    from elihu.engines.protocol import NodeRow as NodeRow
    from elihu.enqueue import Enqueued as Enqueued
    from elihu.errors import AccountError as AccountError
    from elihu.errors import ActionCommitted as ActionCommitted
    from elihu.errors import ArgumentsTooLarge as ArgumentsTooLarge
    from elihu.errors import ChangedMeanwhile as ChangedMeanwhile
    from elihu.errors import ClaimLost as ClaimLost
    from elihu.errors import CommandError as CommandError
    from elihu.errors import ConfigError as ConfigError
    from elihu.errors import CronError as CronError
    from elihu.errors import CronNotFound as CronNotFound
    from elihu.errors import DatabaseError as DatabaseError
    from elihu.errors import DatabaseTimeout as DatabaseTimeout
    from elihu.errors import DatabaseUnavailable as DatabaseUnavailable
    from elihu.errors import DataRefused as DataRefused
    from elihu.errors import DuplicateCron as DuplicateCron
    from elihu.errors import DuplicateTask as DuplicateTask
    from elihu.errors import ElihuError as ElihuError
    from elihu.errors import Forbidden as Forbidden
    from elihu.errors import IdentifierTaken as IdentifierTaken
    from elihu.errors import InvalidArguments as InvalidArguments
    from elihu.errors import InvalidContext as InvalidContext
    from elihu.errors import InvalidCron as InvalidCron
    from elihu.errors import InvalidFields as InvalidFields
    from elihu.errors import InvalidOption as InvalidOption
    from elihu.errors import InvalidSchema as InvalidSchema
    from elihu.errors import InvalidTask as InvalidTask
    from elihu.errors import InvalidTransition as InvalidTransition
    from elihu.errors import InvalidTrigger as InvalidTrigger
    from elihu.errors import JobCancelled as JobCancelled
    from elihu.errors import JobDiscarded as JobDiscarded
    from elihu.errors import JobError as JobError
    from elihu.errors import JobFailed as JobFailed
    from elihu.errors import JobNotFound as JobNotFound
    from elihu.errors import JobSnoozed as JobSnoozed
    from elihu.errors import KeyNotFound as KeyNotFound
    from elihu.errors import LastAdmin as LastAdmin
    from elihu.errors import NameTaken as NameTaken
    from elihu.errors import NotCommitted as NotCommitted
    from elihu.errors import NotImportable as NotImportable
    from elihu.errors import NotRunnable as NotRunnable
    from elihu.errors import OnErrorFailed as OnErrorFailed
    from elihu.errors import PermissionDenied as PermissionDenied
    from elihu.errors import ProcessDied as ProcessDied
    from elihu.errors import ProcessError as ProcessError
    from elihu.errors import RecordChanged as RecordChanged
    from elihu.errors import RecordNotFound as RecordNotFound
    from elihu.errors import RelayTimeout as RelayTimeout
    from elihu.errors import ResultNotRecorded as ResultNotRecorded
    from elihu.errors import ResultTooLarge as ResultTooLarge
    from elihu.errors import SchemaError as SchemaError
    from elihu.errors import SchemaOutdated as SchemaOutdated
    from elihu.errors import SchemaTooNew as SchemaTooNew
    from elihu.errors import SecretError as SecretError
    from elihu.errors import SignInRefused as SignInRefused
    from elihu.errors import TaskError as TaskError
    from elihu.errors import TaskNotBound as TaskNotBound
    from elihu.errors import TemplateError as TemplateError
    from elihu.errors import TemplateExists as TemplateExists
    from elihu.errors import TemplateInactive as TemplateInactive
    from elihu.errors import TooManySignIns as TooManySignIns
    from elihu.errors import TriggerError as TriggerError
    from elihu.errors import TriggerNoLongerApplies as TriggerNoLongerApplies
    from elihu.errors import UniqueConflict as UniqueConflict
    from elihu.errors import UnknownNode as UnknownNode
    from elihu.errors import UnknownQueue as UnknownQueue
    from elihu.errors import UnknownTask as UnknownTask
    from elihu.errors import UnknownTemplate as UnknownTemplate
    from elihu.errors import UnknownTrigger as UnknownTrigger
    from elihu.errors import UserExists as UserExists
    from elihu.errors import UserNotFound as UserNotFound
    from elihu.errors import WrongDatabase as WrongDatabase
    from elihu.errors import WrongLoop as WrongLoop
    from elihu.job import Job as Job
    from elihu.job import JobPage as JobPage
    from elihu.job import JobState as JobState
    from elihu.job import JobSummary as JobSummary
    from elihu.job import NewJob as NewJob
    from elihu.job import Run as Run
    from elihu.job import RunOutcome as RunOutcome
    from elihu.options import Unique as Unique
    from elihu.outcome import Cancel as Cancel
    from elihu.outcome import Discard as Discard
    from elihu.outcome import Retry as Retry
    from elihu.outcome import Snooze as Snooze
    from elihu.relay import Relay as Relay
    from elihu.relay import agather as agather
    from elihu.relay import gather as gather
    from elihu.runtime.single_tick import TickCounts as TickCounts
    from elihu.schedule import Cron as Cron
    from elihu.schedule import CronEntry as CronEntry
    from elihu.task import Task as Task
    from elihu.template import Template as Template
    from elihu.template import TemplatePage as TemplatePage
    from elihu.triggers import Chunk as Chunk
    from elihu.triggers import Tasks as Tasks
    from elihu.triggers import Trigger as Trigger

_MODULES = {
    "app": ("Elihu",),
    "config": ("Config",),
    "context": ("Context",),
    "engines.protocol": ("NodeRow",),
    "enqueue": ("Enqueued",),
    "errors": (
        "AccountError",
        "KeyNotFound",
        "LastAdmin",
        "SignInRefused",
        "TooManySignIns",
        "UserExists",
        "UserNotFound",
        "ArgumentsTooLarge",
        "ChangedMeanwhile",
        "ClaimLost",
        "ConfigError",
        "CronError",
        "CronNotFound",
        "DataRefused",
        "DatabaseError",
        "DatabaseTimeout",
        "DatabaseUnavailable",
        "DuplicateCron",
        "DuplicateTask",
        "ElihuError",
        "IdentifierTaken",
        "InvalidArguments",
        "InvalidContext",
        "InvalidCron",
        "InvalidOption",
        "InvalidSchema",
        "InvalidTask",
        "InvalidTransition",
        "JobCancelled",
        "JobDiscarded",
        "JobError",
        "JobFailed",
        "JobNotFound",
        "JobSnoozed",
        "NotCommitted",
        "NotImportable",
        "PermissionDenied",
        "ProcessDied",
        "ProcessError",
        "RelayTimeout",
        "ResultNotRecorded",
        "ResultTooLarge",
        "SchemaError",
        "SchemaOutdated",
        "SchemaTooNew",
        "TaskError",
        "TaskNotBound",
        "TemplateError",
        "TemplateExists",
        "TemplateInactive",
        "UniqueConflict",
        "UnknownNode",
        "UnknownQueue",
        "UnknownTask",
        "UnknownTemplate",
        "ActionCommitted",
        "Forbidden",
        "InvalidTrigger",
        "OnErrorFailed",
        "TriggerError",
        "TriggerNoLongerApplies",
        "UnknownTrigger",
        "WrongDatabase",
        "WrongLoop",
        "CommandError",
        "InvalidFields",
        "NameTaken",
        "NotRunnable",
        "RecordChanged",
        "RecordNotFound",
        "SecretError",
    ),
    "job": ("Job", "JobPage", "JobState", "JobSummary", "NewJob", "Run", "RunOutcome"),
    "options": ("Unique",),
    "outcome": ("Cancel", "Discard", "Retry", "Snooze"),
    "api.job_pages": ("JobSummaryPage",),
    "api.queues": ("Queue", "QueueOnNode"),
    "api.stats": ("BoundedCount", "FailureGroup", "ThroughputPoint"),
    "relay": ("Relay", "agather", "gather"),
    "schedule": ("Cron", "CronEntry"),
    "runtime.single_tick": ("TickCounts",),
    "task": ("Task",),
    "triggers": ("Chunk", "Tasks", "Trigger"),
    "template": ("Template", "TemplatePage"),
    "api.template_sync": ("Synced",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: ``elihu --help`` then starts fast."""
    if name == "__version__":
        value = import_module("importlib.metadata").version("elihu")
    elif name in _MODULE_OF:
        value = getattr(import_module(f"elihu.{_MODULE_OF[name]}"), name)
    else:
        raise AttributeError(f"module 'elihu' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
