"""Jobs and runs as Django's models, to be read alone. ``app.jobs`` changes them."""

from typing import Any, Final

from django.db import NotSupportedError, models

from elihu import JobState, RunOutcome
from elihu.contrib.django.fields import Json, Moment, RunId, Text
from elihu.contrib.django.project import project_app
from elihu.contrib.django.tables import table

_OF_A_CLAIM: Final = {"state", "claim", "ahead", "started_at"}


class FromJobs(models.Manager):
    """Reads the database of the jobs, whatever a router says."""

    def get_queryset(self) -> models.QuerySet:
        return super().get_queryset().using(project_app().database)


class ReadOnly(models.Model):
    """A model over a table that Elihu writes."""

    objects = FromJobs()

    class Meta:
        abstract = True

    def save(self, *_args: Any, **_options: Any) -> None:
        raise NotSupportedError(
            f"{self._meta.verbose_name}: expected a change by app.jobs, got save()"
        )

    def delete(self, *_args: Any, **_options: Any) -> Any:
        raise NotSupportedError(
            f"{self._meta.verbose_name}: expected a change by app.jobs, got delete()"
        )


class Job(ReadOnly):
    """A stored request to run a task once."""

    id = models.BigAutoField(primary_key=True)
    state = models.TextField(choices=[(state.value, state.value) for state in JobState])
    queue = models.TextField()
    task = models.TextField()
    priority = models.SmallIntegerField()
    attempt = models.IntegerField()
    max_attempts = models.IntegerField()
    claim = models.IntegerField()
    ahead = models.IntegerField(null=True)
    args = Json()
    meta = Json(null=True)
    tags = Json()
    inserted_at = Moment()
    scheduled_at = Moment()
    expires_at = Moment(null=True)
    started_at = Moment(null=True)
    finished_at = Moment(null=True)
    reason = models.TextField(null=True)
    result = Json(null=True)
    progress = Json(null=True)
    node = Text(null=True)
    template = models.TextField(null=True)
    identifier = models.TextField(null=True)

    @classmethod
    def from_db(cls, db: Any, field_names: Any, values: Any) -> Any:
        """``started_at`` of a job that waits in its node for a slot is None: the row has the
        time of the claim there.
        """
        job = super().from_db(db, field_names, values)
        if (
            set(field_names) >= _OF_A_CLAIM
            and job.state == JobState.EXECUTING
            and job.ahead == job.claim
        ):
            job.started_at = None
        return job

    class Meta:
        managed = False
        db_table = table("job")
        default_permissions = ("view", "change")

    def __str__(self) -> str:
        return f"{self.id} {self.task}"


class Run(ReadOnly):
    """One attempt to execute a job. The running one, and one that plainly completed, are
    read from the job.
    """

    id = RunId(primary_key=True)
    job = models.ForeignKey(
        Job, models.DO_NOTHING, db_column="job_id", db_constraint=False, related_name="runs"
    )
    claim = models.IntegerField()
    attempt = models.IntegerField()
    node = Text(null=True)
    started_at = Moment()
    ended_at = Moment()
    outcome = models.TextField(choices=[(outcome.value, outcome.value) for outcome in RunOutcome])
    reason = models.TextField(null=True)
    error = models.TextField(null=True)
    error_type = models.TextField(null=True)
    traceback = models.TextField(null=True)
    log = models.TextField(null=True)

    class Meta:
        managed = False
        db_table = table("run")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.id} {self.outcome}"
