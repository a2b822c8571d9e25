"""Jobs and runs in Django's admin: read-only, with actions."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from elihu import ElihuError
from elihu.contrib.django.models import Job, Run
from elihu.contrib.django.project import project_app


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
    fields = ("id", "attempt", "outcome", "started_at", "ended_at", "node", "error", "log")
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


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "state",
        "queue",
        "task",
        "shown_args",
        "attempts",
        "scheduled_at",
        "finished_at",
    )
    list_filter = ("state", QueueFilter, TaskFilter)
    search_fields = ("task", "identifier")
    ordering = ("-id",)
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

    @admin.display(description="arguments")
    def shown_args(self, job: Job) -> str:
        text = json.dumps(job.args, ensure_ascii=False)
        return text if len(text) <= 80 else f"{text[:79]}…"

    @admin.display(description="attempt")
    def attempts(self, job: Job) -> str:
        return f"{job.attempt}/{job.max_attempts}"

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
    list_display = ("id", "job_id", "outcome", "attempt", "started_at", "ended_at", "error_line")
    list_filter = ("outcome",)
    ordering = ("-job", "-claim")
    fields = (
        "id",
        "job",
        "attempt",
        "outcome",
        "started_at",
        "ended_at",
        "node",
        "reason",
        "error",
        "shown_traceback",
        "shown_log",
    )
    readonly_fields = ("shown_traceback", "shown_log")

    @admin.display(description="error")
    def error_line(self, run: Run) -> str:
        return (run.error or "").partition("\n")[0][:120]

    @admin.display(description="traceback")
    def shown_traceback(self, run: Run) -> str:
        return format_html("<pre>{}</pre>", run.traceback or "")

    @admin.display(description="log")
    def shown_log(self, run: Run) -> str:
        return format_html("<pre>{}</pre>", run.log or "")
