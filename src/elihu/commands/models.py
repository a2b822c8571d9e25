"""The tables of the command scheduler, as SQLAlchemy models."""

from datetime import datetime
from typing import Any, ClassVar, Final, Literal
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, MetaData, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from elihu.orm.columns import SCHEMA, Moment, Words, new_id

Overlap = Literal["skip", "queue_one", "queue_all", "cancel_running", "allow"]
Mode = Literal["shell", "argv"]
CatchUp = Literal["none", "last", "all"]
Status = Literal[
    "queued",
    "running",
    "retrying",
    "succeeded",
    "failed",
    "timed_out",
    "killed",
    "skipped",
    "lost",
    "cancelled",
]
Source = Literal["schedule", "now", "later", "retry"]
EventStatus = Literal["started", "succeeded", "failed", "timed_out", "killed", "skipped", "lost"]
Stream = Literal["stdout", "stderr"]
Channel = Literal["webhook", "email"]
AlertEvent = Literal["failed", "recovered", "late", "skipped", "long", "lost"]

ACTIVE: Final = ("queued", "running", "retrying")
"""The states of a run that has not ended."""
UNSUCCESSFUL: Final = ("failed", "timed_out", "killed", "lost")
"""The states of a run that began and did not succeed."""


class Base(DeclarativeBase):
    metadata = MetaData(schema=SCHEMA)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: Moment,
        UUID: Uuid,
        str: Text,
        tuple[str, ...]: Words,
    }


class Kept:
    """What all rows have that people edit. ``version`` counts the changes."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Named(Kept):
    """``name_key`` is the case-folded name, which is unique."""

    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(unique=True)


class Environment(Named, Base):
    """Where commands run: a set of variables."""

    __tablename__ = "command_environment"

    enabled: Mapped[bool] = mapped_column(default=True)
    active_since: Mapped[datetime]


class Command(Named, Base):
    """A shell command that people keep."""

    __tablename__ = "command"

    shell_command: Mapped[str]
    enabled: Mapped[bool] = mapped_column(default=True)
    timeout: Mapped[float] = mapped_column(default=60.0)
    max_attempts: Mapped[int] = mapped_column(default=1)
    overlap: Mapped[Overlap] = mapped_column(Text, default="skip")
    mode: Mapped[Mode] = mapped_column(Text, default="shell")
    working_directory: Mapped[str | None]
    output_limit: Mapped[int] = mapped_column(BigInteger, default=10 * 2**20)
    rerun_lost: Mapped[bool] = mapped_column(default=False)
    keep_background: Mapped[bool] = mapped_column(default=False)
    memory_limit: Mapped[int | None] = mapped_column(BigInteger)
    cpu_seconds: Mapped[int | None] = mapped_column(BigInteger)
    open_files: Mapped[int | None] = mapped_column(BigInteger)
    active_since: Mapped[datetime]


class Cron(Named, Base):
    """A cron expression in a time zone."""

    __tablename__ = "command_cron"

    expression: Mapped[str]
    timezone: Mapped[str] = mapped_column(default="UTC")
    enabled: Mapped[bool] = mapped_column(default=True)
    active_since: Mapped[datetime]


class ScheduleEnvironment(Base):
    """An environment of a schedule."""

    __tablename__ = "command_schedule_environment"

    schedule_id: Mapped[UUID] = mapped_column(
        ForeignKey("elihu.command_schedule.id"), primary_key=True
    )
    environment_id: Mapped[UUID] = mapped_column(
        ForeignKey("elihu.command_environment.id"), primary_key=True
    )
    position: Mapped[int]
    since: Mapped[datetime]


class ScheduleCron(Base):
    """A cron of a schedule."""

    __tablename__ = "command_schedule_cron"

    schedule_id: Mapped[UUID] = mapped_column(
        ForeignKey("elihu.command_schedule.id"), primary_key=True
    )
    cron_id: Mapped[UUID] = mapped_column(ForeignKey("elihu.command_cron.id"), primary_key=True)
    position: Mapped[int]
    since: Mapped[datetime]


class Schedule(Kept, Base):
    """A command at the ticks of crons, in environments."""

    __tablename__ = "command_schedule"

    command_id: Mapped[UUID] = mapped_column(ForeignKey("elihu.command.id"))
    enabled: Mapped[bool] = mapped_column(default=True)
    catch_up: Mapped[CatchUp] = mapped_column(Text, default="last")
    active_since: Mapped[datetime]
    environments: Mapped[list[ScheduleEnvironment]] = relationship(
        lazy="selectin",
        order_by=ScheduleEnvironment.position,
        cascade="all, delete-orphan",
        passive_deletes=True,
    )
    crons: Mapped[list[ScheduleCron]] = relationship(
        lazy="selectin",
        order_by=ScheduleCron.position,
        cascade="all, delete-orphan",
        passive_deletes=True,
    )

    @property
    def environment_ids(self) -> list[UUID]:
        """In the order of the links."""
        return [link.environment_id for link in self.environments]

    @property
    def cron_ids(self) -> list[UUID]:
        """In the order of the links."""
        return [link.cron_id for link in self.crons]


class VariableEnvironment(Base):
    """An environment of a variable."""

    __tablename__ = "command_variable_environment"

    variable_id: Mapped[UUID] = mapped_column(
        ForeignKey("elihu.command_variable.id"), primary_key=True
    )
    environment_id: Mapped[UUID] = mapped_column(
        ForeignKey("elihu.command_environment.id"), primary_key=True
    )


class Variable(Kept, Base):
    """A value or an encrypted secret, for some environments or for all."""

    __tablename__ = "command_variable"

    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    value: Mapped[str | None]
    secret: Mapped[str | None]
    environments: Mapped[list[VariableEnvironment]] = relationship(
        lazy="selectin",
        order_by=VariableEnvironment.environment_id,
        cascade="all, delete-orphan",
        passive_deletes=True,
    )

    @property
    def environment_ids(self) -> list[UUID]:
        """None means that the variable is a default for all."""
        return [link.environment_id for link in self.environments]

    @property
    def is_secret(self) -> bool:
        return self.secret is not None


class CommandJob(Base):
    """One run of a command. Names and texts are kept as they were.

    ``job_id`` is None while the run waits for another one to end. ``due_at`` is when it
    may start. ``token`` belongs to the attempt that may write.
    """

    __tablename__ = "command_job"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    command_id: Mapped[UUID | None] = mapped_column(ForeignKey("elihu.command.id"))
    command_name: Mapped[str]
    schedule_id: Mapped[UUID | None] = mapped_column(ForeignKey("elihu.command_schedule.id"))
    environment_id: Mapped[UUID | None] = mapped_column(ForeignKey("elihu.command_environment.id"))
    environment_name: Mapped[str]
    cron_id: Mapped[UUID | None] = mapped_column(ForeignKey("elihu.command_cron.id"))
    cron_expression: Mapped[str | None]
    shell_command: Mapped[str]
    mode: Mapped[Mode] = mapped_column(Text)
    job_id: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    source: Mapped[Source] = mapped_column(Text)
    forced: Mapped[bool] = mapped_column(default=False)
    admitted: Mapped[bool] = mapped_column(default=True)
    occurrence: Mapped[datetime | None]
    status: Mapped[Status] = mapped_column(Text, default="queued")
    reason: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    token: Mapped[UUID | None]
    node: Mapped[str | None]
    kill_reason: Mapped[str | None]
    exit_code: Mapped[int | None]
    signal: Mapped[int | None]
    peak_memory: Mapped[int | None] = mapped_column(BigInteger)
    cpu_time: Mapped[float | None]
    dropped_bytes: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    late_at: Mapped[datetime | None]
    long_at: Mapped[datetime | None]


class CommandJobEvent(Base):
    """What happened to a run. ``stdout`` and ``stderr`` are excerpts of what an attempt
    wrote; ``Output`` has the whole.
    """

    __tablename__ = "command_event"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    command_job_id: Mapped[UUID] = mapped_column(ForeignKey("elihu.command_job.id"))
    command_id: Mapped[UUID | None] = mapped_column(ForeignKey("elihu.command.id"))
    attempt: Mapped[int]
    status: Mapped[EventStatus] = mapped_column(Text)
    reason: Mapped[str | None]
    exit_code: Mapped[int | None]
    signal: Mapped[int | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    stdout: Mapped[str] = mapped_column(default="")
    stderr: Mapped[str] = mapped_column(default="")


class Output(Base):
    """A chunk of what an attempt wrote."""

    __tablename__ = "command_output"

    command_job_id: Mapped[UUID] = mapped_column(
        ForeignKey("elihu.command_job.id"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    stream: Mapped[Stream] = mapped_column(Text)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    written_at: Mapped[datetime]


class AlertCommand(Base):
    """A command of an alert."""

    __tablename__ = "command_alert_command"

    alert_id: Mapped[UUID] = mapped_column(ForeignKey("elihu.command_alert.id"), primary_key=True)
    command_id: Mapped[UUID] = mapped_column(ForeignKey("elihu.command.id"), primary_key=True)


class AlertEnvironment(Base):
    """An environment of an alert."""

    __tablename__ = "command_alert_environment"

    alert_id: Mapped[UUID] = mapped_column(ForeignKey("elihu.command_alert.id"), primary_key=True)
    environment_id: Mapped[UUID] = mapped_column(
        ForeignKey("elihu.command_environment.id"), primary_key=True
    )


class Alert(Named, Base):
    """Who learns of which events. No commands, or no environments, means all."""

    __tablename__ = "command_alert"

    on: Mapped[tuple[str, ...]] = mapped_column("events", Words)
    channel: Mapped[Channel] = mapped_column(Text)
    target: Mapped[str]
    secret: Mapped[str | None]
    enabled: Mapped[bool] = mapped_column(default=True)
    commands: Mapped[list[AlertCommand]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", passive_deletes=True
    )
    environments: Mapped[list[AlertEnvironment]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", passive_deletes=True
    )

    @property
    def command_ids(self) -> list[UUID]:
        """Sorted."""
        return sorted(link.command_id for link in self.commands)

    @property
    def environment_ids(self) -> list[UUID]:
        """Sorted."""
        return sorted(link.environment_id for link in self.environments)


class AlertQuiet(Base):
    """When an alert last reported an event of a command in an environment, and how many
    it has held back since. ``command_job_id`` is the newest of those.
    """

    __tablename__ = "command_alert_quiet"

    alert_id: Mapped[UUID] = mapped_column(ForeignKey("elihu.command_alert.id"), primary_key=True)
    command_id: Mapped[UUID] = mapped_column(ForeignKey("elihu.command.id"), primary_key=True)
    environment_id: Mapped[UUID] = mapped_column(
        ForeignKey("elihu.command_environment.id"), primary_key=True
    )
    event: Mapped[str] = mapped_column(primary_key=True)
    sent_at: Mapped[datetime]
    held: Mapped[int] = mapped_column(default=0)
    command_job_id: Mapped[UUID | None]


class Dispatch(Base):
    """The newest tick up to which schedules are dispatched; one row."""

    __tablename__ = "command_dispatch"

    single: Mapped[int] = mapped_column(primary_key=True)
    up_to: Mapped[datetime | None]
