"""The protocol between Elihu and its databases: ``Engine`` and its values."""

from elihu.engines.protocol.crons import CronDeclaration, CronRow, CronTable, TickJob
from elihu.engines.protocol.engine import Engine
from elihu.engines.protocol.exchange import Ack, AckStatus, ClaimedJob, Exchange, Position
from elihu.engines.protocol.insert import Counts, Inserted, are_alike, queues_to_announce
from elihu.engines.protocol.jobs import BulkResult
from elihu.engines.protocol.maintenance import Expired, Pruned, Rescued, Staged
from elihu.engines.protocol.nodes import HeartbeatReply, NodeRow, Peer
from elihu.engines.protocol.queues import QueueLoad, QueueOverride
from elihu.engines.protocol.schema import CORE, ChainName, MigrationStep
from elihu.engines.protocol.signals import Notifier, Signal, SignalKind
from elihu.engines.protocol.templates import Front, Place
from elihu.engines.protocol.waits import AwaitedJob, JobEnd, LateResult, Wait

__all__ = [
    "CORE",
    "Ack",
    "AckStatus",
    "AwaitedJob",
    "BulkResult",
    "ChainName",
    "ClaimedJob",
    "Counts",
    "CronDeclaration",
    "CronRow",
    "CronTable",
    "Engine",
    "Exchange",
    "Expired",
    "Front",
    "HeartbeatReply",
    "Inserted",
    "JobEnd",
    "LateResult",
    "MigrationStep",
    "NodeRow",
    "Notifier",
    "Peer",
    "Place",
    "Position",
    "Pruned",
    "QueueLoad",
    "QueueOverride",
    "Rescued",
    "Signal",
    "SignalKind",
    "Staged",
    "TickJob",
    "Wait",
    "are_alike",
    "queues_to_announce",
]
