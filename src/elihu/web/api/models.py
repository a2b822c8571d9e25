"""The fields of what people edit, as the API takes and shows them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from elihu.commands.models import AlertEvent, CatchUp, Channel, Mode, Overlap

Name = Annotated[str, Field(min_length=1, max_length=200)]
Ids = Annotated[list[UUID], Field(max_length=1_000)]
Whole = Annotated[int, Field(ge=1, le=2**53)]
Seconds = Annotated[float, Field(gt=0, le=31_622_400)]
Text = Annotated[str, Field(max_length=1_000_000)]


class Given(BaseModel):
    """What a client gives; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Shown(BaseModel):
    """What everything that people edit has."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    version: int
    created_at: datetime
    updated_at: datetime


class EnvironmentOut(Shown):
    """Where commands run."""

    name: str
    enabled: bool


class EnvironmentChange(Given):
    """What to change in an environment."""

    name: Name | None = None
    enabled: bool | None = None


class EnvironmentIn(EnvironmentChange):
    """A new environment."""

    name: Name


class CommandOut(Shown):
    """A shell command. Sizes are bytes, times seconds."""

    name: str
    shell_command: str
    enabled: bool
    timeout: float
    max_attempts: int
    overlap: Overlap
    mode: Mode
    working_directory: str | None
    output_limit: int
    rerun_lost: bool
    keep_background: bool
    memory_limit: int | None
    cpu_seconds: int | None
    open_files: int | None


class CommandChange(Given):
    """What to change in a command."""

    name: Name | None = None
    shell_command: Text | None = None
    enabled: bool | None = None
    timeout: Seconds | None = None
    max_attempts: Whole | None = None
    overlap: Overlap | None = None
    mode: Mode | None = None
    working_directory: Text | None = None
    output_limit: Whole | None = None
    rerun_lost: bool | None = None
    keep_background: bool | None = None
    memory_limit: Whole | None = None
    cpu_seconds: Whole | None = None
    open_files: Whole | None = None


class CommandIn(CommandChange):
    """A new command."""

    name: Name
    shell_command: Text


class CronOut(Shown):
    """A cron expression in a time zone."""

    name: str
    expression: str
    timezone: str
    enabled: bool


class CronChange(Given):
    """What to change in a cron."""

    name: Name | None = None
    expression: Name | None = None
    timezone: Name | None = None
    enabled: bool | None = None


class CronIn(CronChange):
    """A new cron."""

    name: Name
    expression: Name


class ScheduleOut(Shown):
    """A command at the ticks of crons, in environments."""

    command_id: UUID
    environment_ids: list[UUID]
    cron_ids: list[UUID]
    enabled: bool
    catch_up: CatchUp


class ScheduleChange(Given):
    """What to change in a schedule."""

    environment_ids: Ids | None = None
    cron_ids: Ids | None = None
    enabled: bool | None = None
    catch_up: CatchUp | None = None


class ScheduleIn(ScheduleChange):
    """A new schedule."""

    command_id: UUID


class VariableOut(Shown):
    """A variable. ``value`` is null for a secret, which cannot be read back."""

    name: str
    description: str
    value: str | None
    is_secret: bool
    environment_ids: list[UUID]


class VariableChange(Given):
    """What to change in a variable. A ``secret`` replaces a value, and a value a secret."""

    name: Name | None = None
    value: Text | None = None
    secret: Text | None = None
    description: Text | None = None
    environment_ids: Ids | None = None


class VariableIn(VariableChange):
    """A new variable, with a value or a secret."""

    name: Name


class AlertOut(Shown):
    """Who learns of which events. No commands, or no environments, means all."""

    name: str
    on: list[str]
    channel: Channel
    target: str
    has_secret: bool
    enabled: bool
    command_ids: list[UUID]
    environment_ids: list[UUID]


class AlertChange(Given):
    """What to change in an alert. ``secret`` null removes it."""

    name: Name | None = None
    on: Annotated[list[AlertEvent], Field(min_length=1, max_length=10)] | None = None
    channel: Channel | None = None
    target: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    secret: Text | None = None
    enabled: bool | None = None
    command_ids: Ids | None = None
    environment_ids: Ids | None = None


class AlertIn(AlertChange):
    """A new alert."""

    name: Name
    on: Annotated[list[AlertEvent], Field(min_length=1, max_length=10)]
    channel: Channel
    target: Annotated[str, Field(min_length=1, max_length=2_000)]


class SeenOut(BaseModel):
    """A variable as a command sees it; secrets are masked."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    value: str
    is_secret: bool
    is_default: bool
    variable_id: UUID


class PreviewIn(Given):
    """An expression to explain. ``after`` null means now."""

    expression: Name
    timezone: Name = "UTC"
    count: Annotated[int, Field(ge=1, le=100)] = 10
    after: datetime | None = None


class TickOut(BaseModel):
    """A time at which a cron fires, and what daylight saving does to it."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    shift: str | None


class PreviewOut(BaseModel):
    """What an expression means, and when it fires next."""

    model_config = ConfigDict(from_attributes=True)

    description: str
    ticks: list[TickOut]


def alert_out(alert: Any) -> AlertOut:
    """An alert without its secret."""
    values = {name: getattr(alert, name) for name in AlertOut.model_fields if name != "has_secret"}
    return AlertOut(**values | {"on": list(alert.on)}, has_secret=alert.secret is not None)
