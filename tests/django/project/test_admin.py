"""Jobs and runs in the admin."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils.timezone import template_localtime

from elihu.contrib.django import app
from elihu.contrib.django.models import Job, Run
from elihu.contrib.django.testing import drain
from tests.django.project.shop.tasks import add, end, mail, ran, ship

JOBS = "/admin/elihu/job/"
RUNS = "/admin/elihu/run/"
NODE = "00000000-0000-0000-0000-000000000001"


def user_with(*permissions: str) -> Client:
    user = User.objects.create_user("ada", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def shown(client: Client, **query: str) -> list[str]:
    """The tasks of the jobs that the page lists."""
    jobs = client.get(JOBS, query).context["cl"].result_list
    return [job.task.rpartition(".")[2] for job in jobs]


def act(client: Client, action: str, *ids: int) -> Any:
    data = {"action": action, "_selected_action": ids}
    return client.post(JOBS, data, follow=True)


@pytest.fixture
def failed(db: None) -> Run:
    ran.clear()
    job = end.using(max_attempts=1).enqueue("error")
    assert drain().discarded == 1
    return Run.objects.get(job_id=job.id)


def test_pages_show_jobs_and_runs(failed: Run) -> None:
    client = user_with("view_job", "view_run")
    mail.enqueue("ada")
    assert "{&quot;to&quot;: &quot;ada&quot;" in client.get(JOBS).content.decode()
    assert shown(client) == ["mail", "end"]
    assert shown(client, state__exact="discarded") == ["end"]
    assert shown(client, queue="mail") == ["mail"]
    assert shown(client, task=end.name) == ["end"]
    assert shown(client, q="tasks.mail") == ["mail"]
    job = client.get(f"{JOBS}{failed.job_id}/change/").content.decode()
    assert "{\n  &quot;how&quot;: &quot;error&quot;\n}" in job
    assert f"{template_localtime(failed.ended_at):%Y-%m-%d %H:%M:%S}" in job
    assert "a wrong value" in job
    assert "Save" not in job
    assert "a wrong value" in client.get(RUNS).content.decode()
    run = client.get(f"{RUNS}{failed.pk}/change/").content.decode()
    assert "Traceback (most recent call last)" in run


def test_a_job_that_waits_in_its_node_has_not_started(db: None) -> None:
    client = user_with("view_job")
    started = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    job = Job.objects.get(pk=add.enqueue(1, b=2).id)
    rows = Job.objects.filter(pk=job.pk)
    for ahead, expected in ((1, None), (None, started)):
        rows.update(
            state="executing", claim=1, attempt=1, node=NODE, ahead=ahead, started_at=started
        )
        assert Job.objects.get(pk=job.pk).started_at == expected
        result = add.get_result(str(job.pk))
        assert (result.status == "RUNNING", result.started_at is None) == (not ahead, bool(ahead))
        assert result.attempts == (0 if ahead else 1)
        for page in (JOBS, f"{JOBS}{job.pk}/change/"):
            text = client.get(page).content.decode()
            assert (f"{template_localtime(started):%Y-%m-%d %H:%M:%S}" in text) == (not ahead)
    assert Job.objects.only("state").get(pk=job.pk).state == "executing"


def test_a_run_is_found_by_its_id(failed: Run) -> None:
    assert failed.pk == f"{failed.job_id}.1"
    assert Run.objects.get(pk=failed.pk).error == "ValueError: a wrong value"
    assert not Run.objects.filter(pk="x").exists()
    assert list(failed.job.runs.all()) == [failed]


def test_models_are_read_only(failed: Run) -> None:
    for row in (failed, failed.job):
        with pytest.raises(Exception, match=r"app\.jobs"):
            row.save()
        with pytest.raises(Exception, match=r"app\.jobs"):
            row.delete()


@pytest.mark.django_db(transaction=True)
def test_who_may_change_jobs_can_retry_cancel_and_kill() -> None:
    client = user_with("change_job")
    job = ship.enqueue(1)
    assert "1 of 1 jobs cancelled" in act(client, "cancel", job.id).content.decode()
    assert Job.objects.get(pk=job.id).state == "cancelled"
    assert "1 of 1 jobs retried" in act(client, "retry", job.id).content.decode()
    assert Job.objects.get(pk=job.id).state == "available"
    assert "0 of 1 jobs killed" in act(client, "kill", job.id).content.decode()
    first, again = mail.enqueue("ada"), None
    app.run(app.jobs.cancel(first.id))
    again = mail.enqueue("ada")
    refused = act(client, "retry", first.id).content.decode()
    assert f"job {again.id}" in refused


def test_who_may_only_view_jobs_cannot(db: None) -> None:
    client = user_with("view_job")
    job = ship.enqueue(1)
    page = client.get(JOBS).content.decode()
    assert "Cancel selected jobs" not in page
    act(client, "cancel", job.id)
    assert Job.objects.get(pk=job.id).state == "available"


def test_others_see_nothing(db: None) -> None:
    client = user_with()
    assert client.get(JOBS).status_code == 403
    assert client.get(RUNS).status_code == 403


def test_a_link_leads_to_the_page_where_it_is_mounted(db: None, settings: Any) -> None:
    client = user_with("view_job")
    link = '<a href="/elihu/">Elihu</a>'
    assert link not in client.get(JOBS).content.decode()
    settings.ELIHU = {**settings.ELIHU, "web": {"root_path": "/elihu"}}
    assert link in client.get(JOBS).content.decode()


def test_nobody_adds_or_deletes(db: None) -> None:
    client = user_with("change_job", "view_run")
    job = ship.enqueue(1)
    assert client.get(f"{JOBS}add/").status_code == 403
    assert client.post(f"{JOBS}{job.id}/delete/").status_code == 403
    assert client.post(f"{JOBS}{job.id}/change/", {"state": "completed"}).status_code == 403


def test_times_and_json_come_as_values(db: None) -> None:
    mail.enqueue("ada", text="hello")
    job = Job.objects.get()
    assert job.args == {"to": "ada", "text": "hello"}
    assert job.tags == []
    assert abs((datetime.now(UTC) - job.inserted_at).total_seconds()) < 60
    assert Job.objects.filter(inserted_at__lte=datetime.now(UTC)).count() == 1
