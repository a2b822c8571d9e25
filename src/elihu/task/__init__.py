"""Tasks: functions with a stable name, typed arguments that are stored as JSON, and options checked when declared."""

from elihu.task.codec import Codec, ResultNotStored
from elihu.task.declare import Prepared, Task
from elihu.task.decorator import DeclaresTasks
from elihu.task.group import Tasks
from elihu.task.host import Host
from elihu.task.options import TaskOptions, check_meta, check_name, check_run_at, check_tags, check_timeout
from elihu.task.registry import Registry

__all__ = [
    "Codec",
    "DeclaresTasks",
    "Host",
    "Prepared",
    "Registry",
    "ResultNotStored",
    "Task",
    "TaskOptions",
    "Tasks",
    "check_meta",
    "check_name",
    "check_run_at",
    "check_tags",
    "check_timeout",
]
