"""The settings as values: frozen, with their defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from elihu.config.database import SQLITE, describe_url


@dataclass(frozen=True, slots=True, kw_only=True)
class StagerConfig:
    """How due jobs become available: every ``interval`` seconds at most ``limit`` of
    them.
    """

    interval: float = 1.0
    limit: int = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LifelineConfig:
    """How orphaned jobs are rescued: every ``interval`` seconds, ``limit`` at a time."""

    interval: float = 30.0
    limit: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunerConfig:
    """How finished jobs are removed: every ``interval`` seconds, ``limit`` at a time."""

    interval: float = 60.0
    limit: int = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionConfig:
    """Seconds for which finished jobs are kept: by state, and by state for single queues
    and tasks.
    """

    states: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType(
            {"completed": 86_400.0, "cancelled": 604_800.0, "discarded": 604_800.0}
        )
    )
    queues: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: MappingProxyType({}))
    tasks: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandsConfig:
    """The command scheduler: ``slots`` runs at once on a node; runs are kept for
    ``retention`` seconds or the last ``retention_runs`` of a command; variables that may
    change how programs load, names of the node's own environment that commands see, and
    how alerts are sent.
    """

    slots: int = 10
    quiet: float = 3_600.0
    late_after: float = 300.0
    retention: float = 30 * 86_400.0
    retention_runs: int = 1_000
    allow_variables: tuple[str, ...] = ()
    pass_environment: tuple[str, ...] = ()
    private_targets: bool = False
    smtp_host: str | None = None
    smtp_port: int = 587
    smtp_user: str | None = None
    smtp_password: str | None = field(default=None, repr=False)
    smtp_from: str | None = None
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """The page and the JSON API: where they listen (``unix`` is a socket's path), the path
    that a proxy puts before theirs, the names of the Host header that they answer to
    beside those of this machine, the proxies whose headers are believed, and whether they
    only read.
    """

    host: str = "127.0.0.1"
    port: int = 8_600
    unix: str | None = None
    root_path: str = ""
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be set. Times are in seconds, sizes in bytes.

    ``load_config`` makes and validates it; the constructor validates nothing. ``file``
    is the configuration file that was read. ``repr`` shows no password and no key.
    """

    database_url: str = "sqlite:///elihu.db"
    listen_url: str | None = None
    schema: str = "elihu"
    synchronous: Literal["full", "normal"] = "full"
    connections: int = 10
    call_timeout: float = 10.0
    queues: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({"default": 10}))
    require_queues: bool = True
    node_name: str | None = None
    poll: float = 5.0
    poll_fallback: float = 1.0
    heartbeat: float = 5.0
    dead_after: float = 20.0
    lease: float = 10.0
    grace: float = 15.0
    kill_grace: float = 5.0
    max_abandoned: int = 8
    fence: Literal["tell", "cancel"] = "tell"
    max_jobs_per_child: int = 1_000
    max_memory: int | None = None
    max_args: int = 1_048_576
    max_result: int = 8_388_608
    stager: StagerConfig = field(default_factory=StagerConfig)
    lifeline: LifelineConfig = field(default_factory=LifelineConfig)
    pruner: PrunerConfig = field(default_factory=PrunerConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    secret_key: str | None = None
    secret_key_file: str | None = None
    commands: CommandsConfig = field(default_factory=CommandsConfig)
    web: WebConfig = field(default_factory=WebConfig)
    log_level: Literal["debug", "info", "warning", "error", "critical"] | None = None
    log_format: Literal["text", "json"] | None = None
    app: str | None = None
    file: Path | None = None

    def describe_database(self) -> str:
        """The database's URL without its password."""
        return describe_url(self.database_url)

    def describe_tables(self) -> str:
        """``describe_database`` and, on PostgreSQL, the schema: an SQLite file has none."""
        if self.database_url.startswith(SQLITE):
            return self.describe_database()
        return f"{self.describe_database()} (schema {self.schema})"

    def __repr__(self) -> str:
        shown = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("database_url", "listen_url"):
            shown[name] = shown[name] and describe_url(shown[name])
        shown["secret_key"] = shown["secret_key"] and "***"
        return f"Config({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
