"""Each page: whole and as a fragment, safe, for the roles that may see it."""

import gzip
import re
from pathlib import Path

import pytest
from fastapi import FastAPI

import elihu.web.pages
from elihu import Elihu
from elihu.accounts.roles import Role
from elihu.orm.sessions import Sessions
from elihu.web import create_app
from elihu.web.app import lifespan
from elihu.web.pages.visits import PageRoute
from tests.web.conftest import Clients, add_user, sign_in
from tests.web.pages.conftest import HOSTILE, SECRET, Browser, Things
from tests.web.pages.reader import Page, problems
from tests.web.test_roles import routes

STATIC = Path(elihu.web.pages.__file__).parents[1] / "static"
OPEN = {"/login", "/logout", "/preferences", "/setup"}
ADMIN = ("/users", "/audit")
PATHS = (
    "/", "/?span=hour", "/?span=week", "/runs", "/runs?group=command", "/runs?group=error",
    "/runs?since=7d&view=failed", "/runs?status=queued", "/commands", "/commands?text=zzz",
    "/commands/new", "/schedules", "/schedules?text=zzz", "/schedules/new", "/environments",
    "/environments/new", "/variables", "/variables/new", "/crons", "/crons/new", "/alerts",
    "/alerts/new", "/jobs", "/jobs?state=available", "/jobs?queue=none", "/jobs/new", "/queues",
    "/nodes", "/triggers", "/templates", "/templates/bill", "/templates/bill/edit",
    "/templates/new", "/entries/new", "/schedules/import", "/audit", "/users", "/login", "/setup",
)  # fmt: skip


def paths_of(things: Things) -> list[str]:
    return [
        f"/commands/{things.command.id}", f"/environments/{things.environment.id}",
        f"/crons/{things.cron.id}", f"/schedules/{things.schedule.id}",
        f"/variables/{things.variable.id}", f"/variables/{things.secret.id}",
        f"/alerts/{things.alert.id}", f"/runs/{things.run.id}", f"/jobs/{things.job}",
        f"/jobs/new?copy={things.job}",
    ]  # fmt: skip


async def test_each_page_is_whole_a_fragment_and_safe(browser: Browser, things: Things) -> None:
    for path in (*PATHS, *paths_of(things)):
        page = await browser.get(path)
        assert page.answer.status_code == 200, path
        assert page.answer.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.answer.headers["content-security-policy"]
        assert problems(page) == [], path
        part = await browser.get(path, **{"HX-Request": "true"})
        assert "<html" not in part.answer.text, path
        assert problems(part) == [], path


async def test_hostile_text_stays_text_and_secrets_stay_hidden(
    browser: Browser, things: Things
) -> None:
    for path in (*PATHS, *paths_of(things)):
        text = (await browser.get(path)).answer.text
        assert "<script>alert" not in text, path
        assert "<img" not in text, path
        if path != f"/jobs/new?copy={things.job}":
            assert SECRET not in text, path
    shown = await browser.get(f"/commands/{things.command.id}")
    assert HOSTILE.split()[0] in shown.text()


async def test_an_error_is_a_page(browser: Browser, things: Things) -> None:
    missing = await browser.get("/runs/00000000-0000-0000-0000-000000000000")
    assert missing.answer.status_code == 404
    assert "not found" in missing.text()
    assert (await browser.get("/jobs/99999999")).answer.status_code == 404
    assert (await browser.get("/runs/no-id")).answer.status_code == 422
    assert (await browser.get("/jobs?state=odd")).answer.status_code == 422


async def test_what_is_typed_becomes_an_address(browser: Browser, things: Things) -> None:
    page = await browser.get('/runs?q=status:failed environment:"my place" feed')
    assert str(page.answer.url).endswith("/runs?status=failed&environment=my+place&text=feed")
    jobs = await browser.get("/jobs?q=queue:mail send")
    assert str(jobs.answer.url).endswith("/jobs?queue=mail&task=send")
    one = await browser.get(f"/jobs?q={things.job}")
    assert str(one.answer.url).endswith(f"/jobs/{things.job}")


async def test_strangers_see_only_the_sign_in(
    web: FastAPI, clients: Clients, sessions: Sessions
) -> None:
    await add_user(sessions)
    client = await clients(origin="http://localhost")
    for route in routes(web):
        if not isinstance(route, PageRoute) or route.path in OPEN:
            continue
        path = re.sub(r"\{(\w+_id)\}", "1", route.path)
        path = path.replace("{action}", "retry").replace("{code:path}", "bill")
        path = path.replace("{name:path}", "nightly")
        for method in route.methods or ():
            answer = await client.request(method, path)
            if answer.status_code == 303:
                assert "/login?next=" in answer.headers["location"], path
            else:
                assert answer.status_code in {401, 422}, f"{method} {path} {answer.status_code}"
                assert answer.status_code == 401 or "expected" in answer.text


@pytest.mark.parametrize("role", ["view", "run", "edit"])
async def test_a_role_sees_what_it_may_do(
    clients: Clients, sessions: Sessions, things: Things, role: str
) -> None:
    await add_user(sessions)
    await add_user(sessions, "bob", role)
    browser = Browser(await clients())
    await sign_in(browser.client, "bob")
    may_run = Role(role).allows(Role.RUN)
    for path in ADMIN:
        assert (await browser.get(path)).answer.status_code == 403
    page = await browser.get(f"/runs/{things.run.id}")
    assert ("Needs the role run" in page.answer.text) is not may_run
    killed = await browser.post(f"/runs/{things.run.id}/kill", sent_from=f"/runs/{things.run.id}")
    assert ("this needs the role run" in killed.text()) is not may_run
    edited = await browser.post("/environments/new", sent_from="/environments", name="new")
    assert ("this needs the role edit" in edited.text()) is (role != "edit")


async def test_a_read_only_server_shows_and_changes_nothing(
    app: Elihu, clients: Clients, things: Things
) -> None:
    web = create_app(app, open_on_loopback=True, read_only=True)
    async with lifespan(web):
        browser = Browser(await clients(web))
        page = await browser.get(f"/commands/{things.command.id}")
        assert "This server only reads" in page.answer.text
        refused = await browser.post(f"/commands/{things.command.id}/run", sent_from="/commands")
        assert "this server only reads" in refused.text()
        assert (await browser.get("/setup")).answer.url.path == "/"


async def test_pages_below_a_path_link_below_it(app: Elihu, clients: Clients) -> None:
    web = create_app(app, open_on_loopback=True)
    outer = FastAPI()
    outer.mount("/ops", web)
    async with lifespan(web):
        browser = Browser(await clients(outer))
        page = await browser.get("/ops/")
        assert page.answer.status_code == 200
        links = [each["href"] for each in page.all("a") if each.get("href", "").startswith("/")]
        assert links
        assert all(link.startswith("/ops/") for link in links)
        sheet = page.all("link", rel="stylesheet")[0]["href"]
        assert (await browser.client.get(sheet)).status_code == 200
        saved = await browser.post(
            "/ops/environments/new", sent_from="/ops/environments/new", name="a"
        )
        assert saved.answer.url.path.startswith("/ops/environments/")


async def test_files_are_compressed_and_kept(browser: Browser) -> None:
    page = await browser.get("/")
    for each in page.all("script"):
        answer = await browser.client.get(each["src"])
        assert answer.headers["content-encoding"] == "gzip"
        assert "immutable" in answer.headers["cache-control"]
        tag = {"If-None-Match": answer.headers["etag"]}
        assert (await browser.client.get(each["src"], headers=tag)).status_code == 304
    assert (await browser.client.get("/static/../app.py")).status_code in {404, 422}


def test_stylesheets_and_scripts_are_small() -> None:
    def size(suffix: str) -> int:
        files = [path.read_bytes() for path in sorted(STATIC.glob(f"*{suffix}"))]
        return sum(len(gzip.compress(each, 9)) for each in files)

    assert size(".css") <= 12 * 1024
    assert size(".js") <= 48 * 1024


def test_files_of_others_are_as_published() -> None:
    import hashlib

    notes = (STATIC / "LICENSES.txt").read_text()
    for name in ("htmx.js", "idiomorph.js"):
        digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
        assert re.search(rf"^{name} .* {digest}$", notes, re.MULTILINE)


def test_a_page_reader_finds_what_a_policy_would_block() -> None:
    import httpx

    bad = Page(httpx.Response(200, text="<main><h1>x</h1><p style='x'><b onclick=x></main>"))
    assert problems(bad) == ["<p style>", "<b onclick>"]
