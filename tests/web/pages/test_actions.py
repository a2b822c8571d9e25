"""What people do on the pages, and what is stored then."""

from typing import Any

import pytest
from fastapi import FastAPI

from elihu import Elihu, JobState
from elihu.commands.rules import commands, environments, history, variables
from elihu.orm.sessions import Sessions
from tests.web.conftest import PASSWORD, Clients, add_user, sign_in
from tests.web.pages.conftest import HOSTILE, SECRET, Browser, Things
from tests.web.pages.reader import Page

COMMAND = {
    "name": "Backup", "shell_command": "echo $SIZE", "timeout": "90", "max_attempts": "3",
    "overlap": "skip", "mode": "shell", "working_directory": "", "output_limit": "10",
    "memory_limit": "", "cpu_seconds": "", "open_files": "",
}  # fmt: skip


async def audited(browser: Browser) -> str:
    return (await browser.get("/audit")).text()


def shown_at(page: Page) -> str:
    return page.answer.url.path


async def test_a_command_is_made_changed_and_deleted(browser: Browser, sessions: Sessions) -> None:
    made = await browser.post("/commands/new", sent_from="/commands/new", **COMMAND)
    assert "Backup is saved" in made.text()
    path = shown_at(made)
    changed = await browser.post(
        path, sent_from=path, **COMMAND | {"timeout": "30", "version": "1"}
    )
    assert changed.field("timeout") == "30"
    async with sessions.read() as session:
        stored = (await commands.find_all(session)).items[0]
    assert (stored.timeout, stored.max_attempts, stored.output_limit) == (30.0, 3, 10 * 2**20)
    off = await browser.post(f"{path}/enabled", sent_from=path, enabled="0", version="2")
    assert "Backup is disabled" in off.text()
    kept = await browser.post(f"{path}/delete", sent_from=path, confirm="back", version="3")
    assert "nothing was deleted" in kept.text()
    gone = await browser.post(f"{path}/delete", sent_from=path, confirm="Backup", version="3")
    assert "Backup is deleted" in gone.text()
    assert "command: delete" in await audited(browser)


async def test_an_error_is_at_its_field_and_loses_nothing(browser: Browser) -> None:
    wrong = COMMAND | {"timeout": "90x", "name": HOSTILE}
    page = await browser.post("/commands/new", sent_from="/commands/new", **wrong)
    assert page.answer.status_code == 422
    assert page.field("timeout") == "90x"
    assert page.field("name") == HOSTILE
    assert page.all("input", name="timeout")[0]["aria-invalid"] == "true"
    assert "1 field needs care" in page.text()
    cron = await browser.post(
        "/crons/new", sent_from="/crons/new", name="c", expression="61 * * * *", timezone="UTC"
    )
    assert cron.answer.status_code == 422
    assert cron.field("expression") == "61 * * * *"


async def test_what_somebody_else_saved_is_shown_beside_what_was_typed(
    browser: Browser, things: Things, sessions: Sessions
) -> None:
    path = f"/environments/{things.environment.id}"
    async with sessions.begin() as session:
        await environments.update(session, things.environment.id, name="theirs")
    page = await browser.post(path, sent_from=path, name="ours", enabled="on", version="1")
    assert page.answer.status_code == 412
    assert "Somebody else saved this meanwhile" in page.text()
    assert "theirs" in page.text()
    assert page.field("name") == "ours"
    again = await browser.post(
        path, sent_from=path, name="ours", enabled="on", version=page.field("version")
    )
    assert "ours is saved" in again.text()


KEPT: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("/environments", {"name": "prod", "enabled": "on"}, {"name": "staging"}),
    ("/variables", {"name": "REGION", "how": "value", "value": "eu"}, {"value": "us"}),
    ("/variables", {"name": "TOKEN", "how": "secret", "secret": SECRET}, {"description": "t"}),
    ("/crons", {"name": "c", "expression": "0 2 * * *", "timezone": "Europe/Oslo"},
     {"expression": "5 * * * *"}),
    ("/alerts", {"name": "a", "on": ["failed", "late"], "channel": "email", "target": "a@b.no"},
     {"target": "c@d.no"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "new", "change"), KEPT)
async def test_other_things_are_made_changed_and_deleted(
    browser: Browser, path: str, new: dict[str, Any], change: dict[str, Any]
) -> None:
    made = await browser.post(f"{path}/new", sent_from=f"{path}/new", **new)
    one = shown_at(made)
    assert "is saved" in made.text(), made.text()
    given = {name: value for name, value in new.items() if name != "secret"}
    changed = await browser.post(
        one, sent_from=one, **given | change | {"version": "1", "has_secret": "1"}
    )
    assert "is saved" in changed.text(), changed.text()
    assert SECRET not in changed.answer.text
    name = (new | change)["name"]
    gone = await browser.post(f"{one}/delete", sent_from=one, confirm=name, version="2")
    assert "is deleted" in gone.text()
    assert SECRET not in (await browser.get("/audit")).answer.text


async def test_a_schedule_is_made_and_switched_off(browser: Browser, things: Things) -> None:
    page = await browser.post(
        "/schedules/new", sent_from="/schedules", command_id=str(things.command.id),
        environment_ids=[str(things.environment.id)], cron_ids=[str(things.cron.id)],
        catch_up="all", enabled="on",
    )  # fmt: skip
    assert "The schedule is saved" in page.text()
    path = f"/schedules/{things.schedule.id}"
    off = await browser.post(f"{path}/enabled", sent_from=path, enabled="0", version="1")
    assert "Schedule is disabled" in off.text()
    nothing = await browser.post("/schedules/new", sent_from="/schedules", catch_up="last")
    assert nothing.answer.status_code == 422


async def test_a_cron_is_told_in_words_and_times(browser: Browser) -> None:
    page = await browser.get("/crons/preview?expression=0+2,14+*+*+*&timezone=Europe/Oslo")
    assert "02:00" in page.text()
    assert len(page.all("time")) == 10
    wrong = await browser.get("/crons/preview?expression=0+99+*+*+*")
    assert "expression" in wrong.text()


async def test_a_preview_shows_which_names_have_no_value(browser: Browser, things: Things) -> None:
    page = await browser.post(
        "/commands/preview",
        shell_command="for i in 1; do echo $i $SIZE ${NOTHING} $HOME $TOKEN; done",
        preview_in=str(things.environment.id),
    )  # fmt: skip
    assert "${NOTHING} has no value here" in page.text()
    assert page.answer.text.count('class="miss"') == 1
    assert page.answer.text.count('class="v"') == 2
    assert SECRET not in page.answer.text


async def test_a_run_is_killed_and_retried(
    browser: Browser, things: Things, sessions: Sessions
) -> None:
    path = f"/runs/{things.run.id}"
    killed = await browser.post(f"{path}/kill", sent_from=path)
    assert "is being ended" in killed.text()
    again = await browser.post(f"{path}/retry", sent_from=f"/runs?view=cancelled&text={'C'}")
    assert "is queued" in again.text()
    assert again.answer.url.query == b"view=cancelled&text=C"
    async with sessions.read() as session:
        page = await history.find_all(session)
    assert [run.status for run in page.items] == ["queued", "cancelled"]
    assert "run: kill" in await audited(browser)


async def test_a_command_runs_now_later_and_by_force(browser: Browser, things: Things) -> None:
    path = f"/commands/{things.command.id}"
    skipped = await browser.post(f"{path}/run", sent_from=path)
    assert "Skipped" in skipped.text()
    assert shown_at(skipped).startswith("/runs/")
    forced = await browser.post(f"{path}/run", sent_from=path, force="on")
    assert "is queued" in forced.text()
    later = await browser.post(f"{path}/run", sent_from=path, delay_seconds="3600", force="on")
    assert "Starts" in later.text()
    wrong = await browser.post(f"{path}/run", sent_from=path, delay_seconds="soon")
    assert "delay_seconds" in wrong.text()


async def test_picked_runs_are_changed_together_and_exported(
    browser: Browser, things: Things
) -> None:
    killed = await browser.post(
        "/runs/bulk", sent_from="/runs?view=running", action="kill", all="1", filter="view=running"
    )
    assert "1 of 1 run ended" in killed.text()
    retried = await browser.post(
        "/runs/bulk", sent_from="/runs", action="retry", id=str(things.run.id)
    )
    assert "1 of 1 run retried" in retried.text()
    text = (await browser.client.get("/runs.csv?view=cancelled")).text
    assert len(text.splitlines()) == 2


async def test_formulas_do_not_leave_in_an_export(
    web: FastAPI, browser: Browser, sessions: Sessions
) -> None:
    from elihu.commands.rules import runs

    async with sessions.begin() as session:
        place = await environments.create(session, name="=cmd|' /C calc'!A0")
        command = await commands.create(session, name="+1", shell_command="true")
        await runs.run(session, web.state.elihu.host, command.id, environment_id=place.id)
    text = (await browser.client.get("/runs.csv")).text
    assert "'+1," in text
    assert "'=cmd" in text


async def test_jobs_are_changed(browser: Browser, things: Things, app: Elihu) -> None:
    path = f"/jobs/{things.job}"
    held = await browser.post(f"{path}/hold", sent_from=path)
    assert "is held" in held.text()
    assert (await app.jobs.get(things.job)).state is JobState.SUSPENDED
    page = await browser.get(path)
    changed = await browser.post(
        f"{path}/change", sent_from=path, seen=page.field("seen"), args="", queue="other",
        priority="2", max_attempts="5",
    )  # fmt: skip
    assert "is changed" in changed.text(), changed.text()
    job = await app.jobs.get(things.job)
    assert (job.queue, job.priority, job.max_attempts) == ("other", 2, 5)
    assert job.args == {"invoice": 7, "token": SECRET}
    lost = await browser.post(
        f"{path}/change", sent_from=path, seen=page.field("seen"), args="", queue="third",
        priority="2", max_attempts="5",
    )  # fmt: skip
    assert lost.answer.status_code == 412
    cancelled = await browser.post(
        "/jobs/bulk", sent_from="/jobs", action="cancel", id=str(things.job)
    )
    assert "1 of 1 job cancelled" in cancelled.text()
    gone = await browser.post(
        "/jobs/bulk", sent_from="/jobs", action="delete", all="1", filter="queue=other"
    )
    assert "1 of 1 job deleted" in gone.text()
    everything = await browser.post(
        "/jobs/bulk", sent_from="/jobs", action="delete", all="1", filter=""
    )
    assert "all jobs are too many" in everything.text()


async def test_a_job_is_enqueued(browser: Browser, app: Elihu, things: Things) -> None:
    page = await browser.post(
        "/jobs/new",
        sent_from="/jobs/new",
        task="invoices.render",
        args='{"invoice": 3}',
        delay="60",
    )
    assert "is stored" in page.text()
    assert (await app.jobs.get(int(shown_at(page).split("/")[-1]))).args["invoice"] == 3
    for wrong in ("{", "[]", '{"other": 1}'):
        again = await browser.post(
            "/jobs/new", sent_from="/jobs/new", task="invoices.render", args=wrong
        )
        assert again.answer.status_code == 422
        assert wrong.replace('"', "&#34;") in again.answer.text
    templated = await browser.post(
        "/templates/bill/enqueue", sent_from="/templates/bill", context="{}"
    )
    assert "is stored" in templated.text() or templated.answer.status_code == 422


async def test_queues_are_paused_scaled_and_resumed(
    browser: Browser, app: Elihu, things: Things
) -> None:
    on = "/queues"
    paused = await browser.post(
        "/queues/change", sent_from=on, queue="default", action="pause", note="n"
    )
    assert "default is paused" in paused.text()
    scaled = await browser.post(
        "/queues/serve", sent_from=on, queue="default", action="scale", limit="7"
    )
    assert "at most 7 jobs" in scaled.text()
    resumed = await browser.post("/queues/change", sent_from=on, queue="default", action="resume")
    assert "default is resumed" in resumed.text()
    queue = next(each for each in await app.queues.list() if each.name == "default")
    assert (queue.limit, queue.paused) == (7, False)
    wrong = await browser.post(
        "/queues/serve", sent_from=on, queue="default", action="scale", limit="x"
    )
    assert "limit" in wrong.text()
    everything = await browser.post("/queues/pause_all", sent_from=on)
    assert "queues are paused" in everything.text()
    assert "queue: pause" in await audited(browser)


async def test_a_node_is_drained_and_resumed(browser: Browser, app: Elihu) -> None:
    async with app.running(queues={"default": 1, "mail": 1}):
        node = (await app.nodes.list())[0].id
        change = {"sent_from": "/nodes", "node": node}
        drained = await browser.post("/nodes/change", action="drain", **change)
        assert "fetches no more from 2 queues" in drained.text()
        assert all(each.nodes[0].paused for each in await app.queues.list() if each.nodes)
        again = await browser.post("/nodes/change", action="resume", **change)
        assert "fetches again from 2 queues" in again.text()


async def test_a_preview_after_a_sign_out_leaves_the_form_alone(
    clients: Clients, sessions: Sessions
) -> None:
    await add_user(sessions)
    client = await clients(origin="http://localhost", hx_request="true")
    answer = await client.post("/commands/preview", data={"shell_command": "true"})
    assert answer.status_code == 204


async def test_the_first_user_is_added_and_signed_in(browser: Browser, things: Things) -> None:
    wrong = await browser.post("/setup", sent_from="/setup", name="ann", password="x", again="y")
    assert wrong.answer.status_code == 422
    page = await browser.post(
        "/setup", sent_from="/setup", name="ann", password=PASSWORD, again=PASSWORD
    )
    assert "signed in as ann" in page.text()
    users = await browser.post(
        "/users", sent_from="/users", name="bob", role="view", password="another password"
    )
    assert "bob is added" in users.text()
    path = shown_at(users)
    key = await browser.post(
        f"{path}/keys", sent_from=path, key_name="ci", key_role="view", days="9"
    )
    assert "elihu_" in key.text()
    assert "elihu_" not in (await browser.get("/audit")).text()
    changed = await browser.post(path, sent_from=path, role="run", enabled="on")
    assert "Role run" in changed.text()
    deleted = await browser.post(f"{path}/delete", sent_from=path, confirm="bob")
    assert "bob is deleted" in deleted.text()
    out = await browser.post("/logout", sent_from="/")
    assert shown_at(out) == "/login"


async def test_a_sign_out_loses_nothing_that_was_typed(
    clients: Clients, sessions: Sessions
) -> None:
    await add_user(sessions)
    browser = Browser(await clients())
    await sign_in(browser.client)
    page = await browser.get("/environments/new")
    token = page.all("meta", name="csrf-token")[0]["content"]
    browser.client.cookies.clear()
    answer = await browser.client.post(
        "/environments/new", data={"csrf": token, "name": "typed", "enabled": "on"}
    )
    asked = Page(answer)
    assert asked.answer.status_code == 401
    assert asked.field("kept.name") == "typed"
    kept = {each["name"]: each["value"] for each in asked.all("input", type="hidden")}
    resumed = Page(
        await browser.client.post("/login", data=kept | {"name": "ann", "password": PASSWORD})
    )
    given = {each["name"]: each["value"] for each in resumed.all("input", type="hidden")}
    assert given["name"] == "typed"
    saved = await browser.client.post("/environments/new", data=given, follow_redirects=True)
    assert "typed is saved" in Page(saved).text()


async def test_a_form_without_its_token_changes_nothing(
    clients: Clients, sessions: Sessions
) -> None:
    await add_user(sessions)
    browser = Browser(await clients())
    await sign_in(browser.client)
    page = Page(await browser.client.post("/environments/new", data={"name": "forged"}))
    assert page.answer.status_code == 403
    async with sessions.read() as session:
        assert not (await environments.find_all(session)).items
        assert not (await variables.find_all(session)).items


async def test_the_way_back_is_never_another_site(clients: Clients, sessions: Sessions) -> None:
    await add_user(sessions)
    browser = Browser(await clients())
    for path in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        given = {"name": "ann", "password": PASSWORD, "next": path}
        answer = await browser.client.post("/login", data=given)
        assert answer.headers["location"] == "/"
        browser.client.cookies.clear()


async def test_preferences_are_cookies_with_known_values(browser: Browser) -> None:
    await browser.post("/preferences", theme="dark", zone="Europe/Oslo")
    page = await browser.get("/")
    assert page.all("html")[0]["data-theme"] == "dark"
    assert "Europe/Oslo" in page.text()
    await browser.post("/preferences", theme="x' onload='", zone="../../etc/passwd")
    assert (await browser.get("/")).all("html")[0]["data-theme"] == "dark"
