"""Option names of other queues, and what Elihu calls them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_BACKOFF: Final = "backoff= (seconds, or a function of the job and the error)"

OTHER_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "acks_late": "max_orphans=, or max_attempts=1 for at most one attempt",
        "acks_on_failure_or_timeout": "max_attempts=",
        "actor_name": "name=",
        "at_front": "priority=0",
        "autoretry_for": "retry_on=",
        "bind": "a parameter annotated ctx: Context",
        "countdown": "delay=",
        "default_retry_delay": _BACKOFF,
        "depends_on": "an enqueue at the end of the first task",
        "dont_autoretry_for": "discard_on=",
        "eta": "run_at=",
        "exchange": "queue=",
        "ignore_result": "record= (False by default)",
        "job_id": "unique=",
        "job_timeout": "timeout=",
        "link": "an enqueue at the end of the task",
        "link_error": "app.on(JobRaised, …)",
        "max_age": "expires=",
        "max_backoff": _BACKOFF,
        "max_retries": "max_attempts= (the first attempt included)",
        "min_backoff": _BACKOFF,
        "on_failure": "app.on(JobRaised, …)",
        "on_success": "app.on(JobStopped, …)",
        "queue_name": "queue=",
        "queueing_lock": "unique=",
        "rate_limit": "a queue with few slots",
        "reject_on_worker_lost": "max_orphans=",
        "result_ttl": "the setting retention",
        "retries": "max_attempts= (the first attempt included)",
        "retry": "max_attempts=",
        "retry_backoff": _BACKOFF,
        "retry_backoff_max": _BACKOFF,
        "retry_delay": _BACKOFF,
        "retry_jitter": _BACKOFF,
        "retry_kwargs": f"max_attempts= and {_BACKOFF}",
        "retry_policy": f"max_attempts= and {_BACKOFF}",
        "retry_when": "retry_on=",
        "routing_key": "queue=",
        "schedule": "run_at= or delay=",
        "schedule_at": "run_at=",
        "schedule_in": "delay=",
        "scheduled_at": "run_at=",
        "soft_time_limit": "timeout=",
        "store_results": "record=",
        "task_id": "unique=",
        "throws": "discard_on=",
        "time_limit": "timeout=",
        "ttl": "expires=",
    }
)
"""By the word of Celery, RQ, Dramatiq, Huey, Procrastinate or Django."""
