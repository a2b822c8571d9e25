"""Forms of the engine: cron entries, templates, crontabs, and failures that are alike."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from elihu import Elihu, JobState
from elihu.api.crons import Crons
from elihu.api.jobs import Jobs
from elihu.api.templates import Templates
from elihu.commands.rules import commands, environments, schedules
from elihu.orm.sessions import Sessions
from tests.web.pages.conftest import SECRET, Browser, Things
from tests.web.pages.reader import Page

ENTRY = {
    "name": "nightly", "task": "invoices.render", "expression": "0 3 * * *",
    "timezone": "Europe/Oslo", "catch_up": "last", "args": '{"invoice": 7}', "queue": "",
    "priority": "", "max_attempts": "", "tags": "a, b",
}  # fmt: skip
TEMPLATE = {
    "code": "render", "name": "Render", "task": "invoices.render", "queue": "",
    "schema": '{"type": "object"}', "default_timeout": "30", "default_max_attempts": "2",
    "display_order": "1", "active": "on",
}  # fmt: skip


def form_of(page: Page) -> dict[str, str]:
    return {"seen": page.field("seen")}


async def test_a_cron_entry_is_made_changed_and_deleted(browser: Browser, app: Elihu) -> None:
    made = await browser.post("/entries/new", sent_from="/entries/new", **ENTRY)
    assert "nightly is saved" in made.text(), made.text()
    entry = await app.crons.get("nightly")
    assert (entry.cron, entry.tz, entry.args["invoice"]) == ("0 3 * * *", "Europe/Oslo", 7)
    assert entry.tags == ("a", "b")
    path = "/entries/nightly"
    page = await browser.get(path)
    wrong = await browser.post(
        path, sent_from=path, **ENTRY | {"expression": "61 * * * *"}, **form_of(page)
    )
    assert wrong.answer.status_code == 422
    assert wrong.field("expression") == "61 * * * *"
    assert wrong.all("input", name="expression")[0]["aria-invalid"] == "true"
    changed = await browser.post(
        path, sent_from=path, **ENTRY | {"priority": "2", "queue": "default"}, **form_of(page)
    )
    assert "nightly is saved" in changed.text(), changed.text()
    assert (await app.crons.get("nightly")).priority == 2
    late = await browser.post(path, sent_from=path, **ENTRY | {"tags": "c"}, **form_of(page))
    assert late.answer.status_code == 412
    assert "Somebody else saved this meanwhile" in late.text()
    gone = await browser.post(f"{path}/delete", sent_from=path)
    assert "nightly is deleted" in gone.text()
    assert await app.crons.list() == []
    assert "cron entry: delete" in (await browser.get("/audit")).text()


def change_after_the_next_read(
    monkeypatch: pytest.MonkeyPatch, kind: Any, change: Callable[[], Awaitable[Any]]
) -> None:
    """Let another writer come between the next read of one and what follows it."""
    get, pending = kind.get, [change]

    async def read(self: Any, *given: Any) -> Any:
        found = await get(self, *given)
        if pending:
            await pending.pop()()
        return found

    monkeypatch.setattr(kind, "get", read)


@pytest.mark.parametrize("kind", ["entry", "template", "job"])
async def test_who_saves_after_another_sees_what_is_stored(
    browser: Browser, app: Elihu, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change: Callable[[], Awaitable[Any]]
    verbs: Any
    await app.crons.create("nightly", "0 3 * * *", "invoices.render", args={"invoice": 7})
    if kind == "entry":
        path = to = "/entries/nightly"
        change = partial(app.crons.update, "nightly", priority=5)
        fields, verbs = ENTRY | {"queue": "default"}, Crons
    elif kind == "template":
        path = to = "/templates/render/edit"
        await app.templates.create("render", "Render", "invoices.render", {"type": "object"})
        change = partial(app.templates.update, "render", display_order=5)
        fields, verbs = TEMPLATE, Templates
    else:
        job_id = (await app.crons.run_now("nightly")).id
        path, to = f"/jobs/{job_id}", f"/jobs/{job_id}/change"
        change = partial(app.jobs.update, job_id, priority=5)
        fields, verbs = {"queue": "other", "priority": "0", "max_attempts": "20"}, Jobs
    seen = form_of(await browser.get(path))
    change_after_the_next_read(monkeypatch, verbs, change)
    late = await browser.post(to, **fields, **seen)
    assert late.answer.status_code == 412
    assert "5" in late.text()


async def test_secret_arguments_of_an_entry_are_kept_and_not_shown(
    browser: Browser, app: Elihu
) -> None:
    args = {"invoice": 7, "token": SECRET}
    await app.crons.create("quiet", "0 3 * * *", "invoices.render", args=args)
    page = await browser.get("/entries/quiet")
    assert SECRET not in page.answer.text
    saved = await browser.post(
        "/entries/quiet", sent_from="/entries/quiet",
        **ENTRY | {"args": "", "queue": "default", "timezone": "UTC"}, **form_of(page),
    )  # fmt: skip
    assert "quiet is saved" in saved.text(), saved.text()
    entry = await app.crons.get("quiet")
    assert (dict(entry.args), entry.tags) == (args, ("a", "b"))
    assert SECRET not in (await browser.get("/audit")).answer.text


async def test_a_declared_entry_is_reset(browser: Browser, app: Elihu) -> None:
    @app.cron("0 4 * * *", name="declared")
    @app.task(name="reports.nightly")
    async def nightly() -> None: ...

    async with app.running(queues={"default": 1}):
        page = await browser.get("/entries/declared")
        given = {
            "expression": "0 5 * * *", "timezone": "UTC", "catch_up": "last", "args": "{}",
            "queue": "default", "tags": "",
        }  # fmt: skip
        changed = await browser.post(
            "/entries/declared", sent_from="/entries/declared", **given, **form_of(page)
        )
        assert "Changed here: cron" in changed.text(), changed.text()
        reset = await browser.post("/entries/declared/reset", sent_from="/entries/declared")
        assert "as the code declares it" in reset.text()
        assert (await app.crons.get("declared")).cron == "0 4 * * *"


async def test_a_template_is_made_changed_and_deleted(browser: Browser, app: Elihu) -> None:
    made = await browser.post("/templates/new", sent_from="/templates/new", **TEMPLATE)
    assert "Render is saved" in made.text(), made.text()
    template = await app.templates.get("render")
    assert (template.default_timeout, template.default_max_attempts) == (30.0, 2)
    path = "/templates/render/edit"
    page = await browser.get(path)
    given = TEMPLATE | {"queue": "default"}
    for wrong in ({"schema": "{"}, {"default_timeout": "soon"}, {"schema": '{"type": 1}'}):
        again = await browser.post(path, sent_from=path, **given | wrong, **form_of(page))
        assert again.answer.status_code == 422, wrong
        assert "needs care" in again.text()
    saved = await browser.post(
        path, sent_from=path, **given | {"name": "Rendered", "active": ""}, **form_of(page)
    )
    assert "Rendered is saved" in saved.text(), saved.text()
    assert not (await app.templates.get("render")).active
    late = await browser.post(path, sent_from=path, **given, **form_of(page))
    assert late.answer.status_code == 412
    gone = await browser.post("/templates/render/delete", sent_from=path)
    assert "Rendered is deleted" in gone.text()
    assert (await app.templates.list()).items == []


async def test_a_crontab_is_shown_first_and_then_imported(
    browser: Browser, sessions: Sessions
) -> None:
    where = "/schedules/import"
    given = {
        "text": "MAILTO=ops\nMY_KEY=hunter22\n*/5 * * * * /usr/bin/prune <b>\nnonsense\n",
        "environment": "old",
        "timezone": "Europe/Oslo",
    }  # fmt: skip
    seen = await browser.post(where, sent_from=where, action="check", **given)
    assert "/usr/bin/prune <b>" in seen.text()
    assert "nonsense" in seen.text()
    assert "MY_KEY is named like a secret" in seen.text()
    async with sessions.read() as session:
        assert not (await commands.find_all(session)).items
    stored = await browser.post(where, sent_from=where, action="import", **given)
    assert "1 command of the crontab is stored" in stored.text(), stored.text()
    async with sessions.read() as session:
        assert (await commands.find_all(session)).items[0].shell_command == "/usr/bin/prune <b>"
        assert len((await schedules.find_all(session)).items) == 1
    assert "every 5 min" in (await browser.get("/schedules")).text()
    assert "command: create" in (await browser.get("/audit")).text()
    empty = await browser.post(where, sent_from=where, action="import", text=" ")
    assert empty.answer.status_code == 422


async def test_jobs_that_fail_alike_are_retried_together(
    browser: Browser, app: Elihu, things: Things
) -> None:
    @app.task(name="mail.send", max_attempts=1)
    async def send(order: int) -> None:
        raise ValueError(f"no order {order}")

    relays = [await app.submit(send.build(order=number)) for number in range(7)]
    sent = [relay.job for relay in relays]
    async with app.running(queues={"default": 2}):
        for relay in relays:
            with pytest.raises(ValueError, match="no order"):
                await relay.aresult()
    page = await browser.get("/jobs")
    assert "Retry 7" in page.text()
    assert "ValueError" in page.text()
    done = await browser.post("/jobs/retry_alike", sent_from="/jobs", id=str(sent[-1].id))
    assert "7 of 7 jobs retried" in done.text()
    assert (await app.jobs.get(sent[0].id)).state is JobState.AVAILABLE
    over = await browser.post("/jobs/retry_alike", sent_from="/jobs", id=str(sent[-1].id))
    assert "These failures are over" in over.text()


async def test_the_menu_counts(browser: Browser, app: Elihu, things: Things) -> None:
    before = await browser.get("/environments")
    counts = {each["data-count"] for each in before.all("span") if each.get("data-count")}
    assert {"/commands", "/nodes", "/queues"} <= counts
    await browser.post("/queues/change", sent_from="/queues", queue="default", action="pause")
    assert "1 paused" in (await browser.get("/")).text()
    part = await browser.get("/", **{"HX-Request": "true"})
    assert part.all("span", **{"data-count": "/queues"})


async def test_a_newcomer_makes_runs_and_schedules_a_command(
    browser: Browser, sessions: Sessions
) -> None:
    made = await browser.post(
        "/commands/new", sent_from="/commands/new", name="Count", shell_command="seq 3",
        timeout="60", max_attempts="1", overlap="skip", mode="shell", output_limit="10",
    )  # fmt: skip
    assert "It runs in default" in made.text(), made.text()
    path = made.answer.url.path
    run = await browser.post(f"{path}/run", sent_from=path)
    assert "is queued in default" in run.text(), run.text()
    async with sessions.read() as session:
        place = (await environments.find_all(session)).items[0]
    given = {
        "command_id": path.rpartition("/")[2], "environment_ids": [str(place.id)],
        "timezone": "Europe/Oslo", "enabled": "on", "catch_up": "last",
    }  # fmt: skip
    where = "/schedules/new"
    wrong = await browser.post(where, sent_from=where, expression="61 * * * *", **given)
    assert wrong.answer.status_code == 422
    assert wrong.all("input", name="expression")[0]["aria-invalid"] == "true"
    saved = await browser.post(where, sent_from=where, expression="30 7 * * 1-5", **given)
    assert "The schedule is saved" in saved.text(), saved.text()
    assert "weekdays at 07:30" in saved.text()
