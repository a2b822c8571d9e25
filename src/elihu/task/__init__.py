"""Tasks: functions with a stable name, typed arguments that are stored as JSON, and
options checked when declared.
"""

from elihu.task.codec import Codec, ResultNotStored
from elihu.task.configured import ConfiguredTask
from elihu.task.decorator import DeclaresTasks
from elihu.task.enqueuer import Enqueuer
from elihu.task.group import TaskGroup, tasks_left_out
from elihu.task.importable import importable_name
from elihu.task.json_paths import show
from elihu.task.options import (
    MOST_ATTEMPTS,
    TaskOptions,
    check_bool,
    check_meta,
    check_name,
    check_run_at,
    check_tags,
    check_timeout,
)
from elihu.task.registry import Registry
from elihu.task.task import Task
from elihu.task.timetable import DeclaredCron, Timetable, check_catch_up
from elihu.task.unique import digest

__all__ = [
    "MOST_ATTEMPTS",
    "Codec",
    "ConfiguredTask",
    "DeclaredCron",
    "DeclaresTasks",
    "Enqueuer",
    "Registry",
    "ResultNotStored",
    "Task",
    "TaskGroup",
    "TaskOptions",
    "Timetable",
    "check_bool",
    "check_catch_up",
    "check_meta",
    "check_name",
    "check_run_at",
    "check_tags",
    "check_timeout",
    "digest",
    "importable_name",
    "show",
    "tasks_left_out",
]
