"""Jobs and runs in Django's admin: read-only, with actions."""

import json
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.timezone import template_localtime

from elihu import ElihuError, JobState
from elihu.contrib.django.models import Job, Run
from elihu.contrib.django.project import project_app

EMPTY: Final = "-"
LINE: Final = 80
"""The most characters of a value in a list."""


def _time(moment: datetime | None) -> str:
    """A time to the second, in the current time zone."""
    return f"{template_localtime(moment):%Y-%m-%d %H:%M:%S}" if moment else EMPTY


def _line(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= LINE else f"{line[: LINE - 1]}…"


def _block(text: str | None) -> str:
    return format_html("<pre>{}</pre>", text) if text else EMPTY


def _time_of(name: str) -> Callable[[Any], str]:
    """Shows the time in one attribute of a row."""
    return _column(name, lambda row: _time(getattr(row, name)))


def _text_of(name: str) -> Callable[[Any], str]:
    """Shows the lines in one attribute of a row."""
    return _column(name, lambda row: _block(getattr(row, name)))


def _json_of(name: str) -> Callable[[Any], str]:
    """Shows the JSON value in one attribute of a row."""

    def shown(row: Any) -> str:
        value = getattr(row, name)
        return EMPTY if value is None else _block(json.dumps(value, ensure_ascii=False, indent=2))

    return _column("arguments" if name == "args" else name, shown)


def _column(title: str, shown: Callable[[Any], str]) -> Callable[[Any], str]:
    shown.__name__ = title
    described: Callable[[Any], str] = admin.display(description=title.replace("_", " "))(shown)
    return described


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows rows. Who may view them needs the permission ``view``, or ``change``."""

    show_full_result_count = False
    list_per_page = 50

    def get_queryset(self, _request: HttpRequest) -> QuerySet:
        return self.model._default_manager.all()

    def has_add_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_control_permission(self, request: HttpRequest) -> bool:
        """Whether the user may change jobs, which the actions need."""
        return bool(request.user.has_perm("elihu.change_job"))


class TaskFilter(admin.SimpleListFilter):
    """The tasks of the app; the jobs are not read for it."""

    title = "task"
    parameter_name = "task"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in project_app().task_names()]

    def queryset(self, _request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(task=self.value()) if self.value() else queryset


class QueueFilter(admin.SimpleListFilter):
    """The queues of the settings."""

    title = "queue"
    parameter_name = "queue"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(project_app().config.queues)]

    def queryset(self, _request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(queue=self.value()) if self.value() else queryset


class RunInline(admin.TabularInline):
    """The stored attempts of a job."""

    model = Run
    fields = (
        "id",
        "attempt",
        "outcome",
        _time_of("started_at"),
        _time_of("ended_at"),
        "error_line",
    )
    readonly_fields = fields
    ordering = ("claim",)
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        return bool(request.user.has_perm("elihu.view_run"))

    @admin.display(description="error")
    def error_line(self, run: Run) -> str:
        return _line(run.error or "")


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "state",
        "queue",
        "call",
        "attempts",
        "newest_time",
    )
    list_filter = ("state", QueueFilter, TaskFilter)
    search_fields = ("task", "identifier")
    ordering = ("-id",)
    fields = (
        "id",
        "state",
        "queue",
        "task",
        _json_of("args"),
        "priority",
        "attempts",
        _time_of("inserted_at"),
        _time_of("scheduled_at"),
        _time_of("expires_at"),
        _time_of("started_at"),
        _time_of("finished_at"),
        "node",
        "reason",
        _json_of("progress"),
        _json_of("result"),
        _json_of("meta"),
        "tags",
        "template",
        "identifier",
    )
    readonly_fields = fields
    actions = ("retry", "cancel", "kill")
    inlines = (RunInline,)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(super().has_view_permission(request, obj)) or self.has_control_permission(
            request
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        path = project_app().config.web.root_path
        context = {**(extra_context or {}), "elihu_page": f"{path}/" if path else None}
        return super().changelist_view(request, context)

    @admin.display(description="task and arguments")
    def call(self, job: Job) -> str:
        arguments = _line(json.dumps(job.args, ensure_ascii=False))
        return format_html("{}<br><small>{}</small>", job.task, arguments)

    @admin.display(description="attempt")
    def attempts(self, job: Job) -> str:
        return f"{job.attempt}/{job.max_attempts}"

    @admin.display(description="time")
    def newest_time(self, job: Job) -> str:
        """When the job finished, else when its attempt started, else when it is due."""
        started = job.started_at if job.state == JobState.EXECUTING else None
        return _time(job.finished_at or started or job.scheduled_at)

    @admin.action(description="Retry selected jobs", permissions=["control"])
    def retry(self, request: HttpRequest, jobs: QuerySet) -> None:
        self._apply(request, jobs, project_app().jobs.retry, "retried")

    @admin.action(description="Cancel selected jobs", permissions=["control"])
    def cancel(self, request: HttpRequest, jobs: QuerySet) -> None:
        self._apply(request, jobs, project_app().jobs.cancel, "cancelled")

    @admin.action(description="Kill the running attempts", permissions=["control"])
    def kill(self, request: HttpRequest, jobs: QuerySet) -> None:
        self._apply(request, jobs, project_app().jobs.kill, "killed")

    def _apply(
        self,
        request: HttpRequest,
        jobs: QuerySet,
        verb: Callable[..., Coroutine[Any, Any, int]],
        done: str,
    ) -> None:
        ids = list(jobs.values_list("pk", flat=True))
        try:
            changed = project_app().run(verb(ids=ids))
        except ElihuError as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        level = messages.SUCCESS if changed == len(ids) else messages.WARNING
        self.message_user(request, f"{changed} of {len(ids)} jobs {done}.", level)


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "outcome",
        "attempt",
        _time_of("started_at"),
        _time_of("ended_at"),
        "error_line",
    )
    list_filter = ("outcome",)
    ordering = ("-job", "-claim")
    fields = (
        "id",
        "job",
        "attempt",
        "outcome",
        _time_of("started_at"),
        _time_of("ended_at"),
        "node",
        "reason",
        "error",
        _text_of("traceback"),
        _text_of("log"),
    )
    readonly_fields = fields

    @admin.display(description="error")
    def error_line(self, run: Run) -> str:
        return _line(run.error or "")
