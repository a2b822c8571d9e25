"""Triggers on SQLAlchemy records, and scheduled actions."""

from elihu.triggers.declare import Trigger
from elihu.triggers.decorator import DeclaresTriggers
from elihu.triggers.group import Tasks
from elihu.triggers.host import TriggerDefaults
from elihu.triggers.options import ActorPersister, Chunk, TriggerOptions
from elihu.triggers.registry import TriggerRegistry, Triggers

__all__ = [
    "ActorPersister",
    "Chunk",
    "DeclaresTriggers",
    "Tasks",
    "Trigger",
    "TriggerDefaults",
    "TriggerOptions",
    "TriggerRegistry",
    "Triggers",
]
