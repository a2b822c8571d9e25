"""Attacks from other sites, machines and addresses, and with large or slow requests."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from elihu import DatabaseUnavailable, Elihu
from elihu.accounts import audit
from elihu.orm.sessions import Sessions
from elihu.web import create_app
from elihu.web import guard as guards
from elihu.web.app import lifespan
from elihu.web.guard import Proxies, Rates, host_name, is_same_origin
from elihu.web.pages.visits import safe_path
from tests.web.conftest import BASE, Clients, add_user

pytestmark = pytest.mark.sqlite_first

PAUSE = "/api/system/queues/default/pause"


async def paused(client: httpx.AsyncClient, **headers: str) -> int:
    """Try a change."""
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await client.post(PAUSE, headers=shown)
    return answer.status_code


# another site's page


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", ""])
async def test_a_name_that_was_rebound_to_this_machine_is_refused(
    clients: Clients, host: str
) -> None:
    client = await clients(host=host)
    answer = await client.get("/api/system/jobs")
    assert answer.status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:8600", "127.0.0.1:1", "[::1]:8600"])
async def test_names_of_this_machine_are_answered(clients: Clients, host: str) -> None:
    assert (await (await clients(host=host)).get("/livez")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:8601"},
        {"origin": "https://localhost"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": "cross-site", "origin": BASE},
    ],
)
async def test_a_change_from_another_origin_is_refused(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert await paused(client, **headers) == 403


@pytest.mark.parametrize("headers", [{}, {"origin": BASE}, {"sec_fetch_site": "same-origin"}])
async def test_a_change_from_here_is_done(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert await paused(client, **headers) == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_a_simple_request_is_refused(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post(
        "/api/system/queues/default/pause", content=b"{}", headers={"Content-Type": kind}
    )
    assert answer.status_code == 415


async def test_no_other_origin_may_read_an_answer(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/system/jobs", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    asked = await client.options(
        "/api/system/jobs",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert asked.status_code == 405


async def test_nothing_changes_by_get(client: httpx.AsyncClient) -> None:
    for path in ("/api/system/queues/default/pause", "/api/system/jobs/1/retry"):
        assert (await client.get(path)).status_code in {404, 405}


# the open machine


async def test_with_a_user_this_machine_must_sign_in(
    clients: Clients, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await clients()
    assert (await client.get("/api/session")).json()["via"] == "loopback"
    monkeypatch.setattr("elihu.web.context.LOOK_AGAIN", 0.0)
    await add_user(sessions)
    assert (await client.get("/api/system/jobs")).status_code == 401


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "via", "x-real-ip"])
async def test_what_a_proxy_passes_on_is_not_from_this_machine(clients: Clients, name: str) -> None:
    client = await clients()
    answer = await client.get("/api/system/jobs", headers={name: "203.0.113.9"})
    assert answer.status_code == 401


async def test_another_machine_must_sign_in(clients: Clients) -> None:
    client = await clients(address="192.0.2.7")
    assert (await client.get("/api/system/jobs")).status_code == 401
    assert (await client.get("/livez")).status_code == 200


async def test_a_wrong_key_is_refused_here_too(clients: Clients) -> None:
    client = await clients(authorization="Bearer elihu_wrong")
    assert (await client.get("/api/system/jobs")).status_code == 401


# sizes, times and rates


async def test_a_large_body_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/system/jobs/bulk",
        content=b"[" + b" " * 1_048_576 + b"]",
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_large_body_without_its_length_is_refused(client: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 65_536

    answer = await client.post(
        "/api/system/jobs/bulk", content=parts(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413


async def test_a_slow_body_is_refused(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "BODY_TIMEOUT", 0.2)
    never = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"{"
        await never.wait()

    answer = await client.post(
        "/api/system/jobs/bulk", content=parts(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 408


async def test_deep_json_is_refused_and_no_failure(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/system/jobs/bulk",
        content=b"[" * 200_000,
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code in {400, 422}


def test_an_address_that_asks_too_often_waits() -> None:
    rates = Rates(rate=10, burst=5)
    assert [rates.wait("one") == 0 for _ in range(7)] == [True] * 5 + [False] * 2
    assert rates.wait("two") == 0
    assert 0 < rates.wait("one") <= 0.1


# what is in an answer


async def test_a_path_in_an_id_is_only_a_name(client: httpx.AsyncClient) -> None:
    for name in ("../../etc/passwd", "..%2F..%2Fetc%2Fpasswd", "%2e%2e/x", "a%00b", "%ff"):
        answer = await client.get(f"/api/system/queues/{name}")
        assert answer.status_code in {404, 422}, name
        assert "root:" not in answer.text
    for job_id in ("../1", "1;2", "9" * 40, "-1", "1e3", "0x1"):
        assert (await client.get(f"/api/system/jobs/{job_id}")).status_code in {404, 422}


async def test_a_line_break_in_a_value_makes_no_header(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/system/jobs", params={"after": "x\r\nSet-Cookie: a=b"})
    assert answer.status_code == 422
    assert "set-cookie" not in answer.headers
    answer = await client.post(
        "/api/system/templates",
        json={"code": "a\r\nb", "name": "n", "task": "t", "schema": {}},
    )
    assert answer.status_code == 422


def test_only_a_path_of_ours_is_opened_next() -> None:
    for path in ("/", "/runs?status=failed", "/commands?text=ärger#first"):
        assert safe_path(path) == path
    for path in (
        "", "runs", "//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example",
        "/\n/evil.example", "\t//evil.example", "javascript:alert(1)", "/runs\r\nSet-Cookie: a=b",
    ):  # fmt: skip
        assert safe_path(path) == "/", path


async def test_every_answer_has_the_headers_of_safety(clients: Clients) -> None:
    client = await clients()
    bad = await clients(host="evil.example")
    for answer in (
        await client.get("/livez"),
        await client.get("/api/docs"),
        await client.get("/nowhere"),
        await bad.get("/livez"),
    ):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


async def test_an_error_says_nothing_of_the_inside(
    web: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(**_: object) -> None:
        raise RuntimeError("postgresql://me:hunter2@db/x")

    monkeypatch.setattr(web.state.elihu.app.jobs, "summaries", fail)
    transport = httpx.ASGITransport(web, client=("127.0.0.1", 1), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        answer = await client.get("/api/system/jobs")
    assert answer.status_code == 500
    assert answer.json()["detail"] == "the server failed; its log says why"
    assert "hunter2" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", [PAUSE, "/queues/change"])
async def test_a_verb_that_has_no_audit_row_is_in_the_log(
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(audit, "record", fail)
    fields = {"queue": "default", "action": "pause"}
    body: dict[str, Any] = {} if path == PAUSE else {"data": fields}
    answer = await client.post(path, headers={"Origin": BASE}, **body)
    assert answer.status_code == 503
    assert "audit: queue.pause of queue default by local" in caplog.text


async def test_a_value_that_is_refused_is_not_in_the_answer(
    clients: Clients, sessions: Sessions
) -> None:
    await add_user(sessions)
    client = await clients()
    answer = await client.post(
        "/api/session", json={"name": "ann", "password": ["hunter2"]}, headers={"Origin": BASE}
    )
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


async def test_a_server_that_only_reads_refuses_every_change(app: Elihu, clients: Clients) -> None:
    made = create_app(app, open_on_loopback=True, read_only=True)
    async with lifespan(made):
        client = await clients(made)
        assert (await client.get("/api/system/jobs")).status_code == 200
        assert await paused(client) == 403
        assert (await client.post("/api/users", json={})).status_code == 403


# proxies


def test_only_named_proxies_say_whose_request_it_is() -> None:
    named = Proxies.of(["10.0.0.0/8", "unix"])
    assert named.client("10.1.1.1", "203.0.113.9") == "203.0.113.9"
    assert named.client("10.1.1.1", "198.51.100.1, 203.0.113.9, 10.2.2.2") == "203.0.113.9"
    assert named.client("10.1.1.1", "not an address") == "10.1.1.1"
    assert named.client("192.0.2.7", "203.0.113.9") == "192.0.2.7"
    assert named.client(None, "203.0.113.9") == "203.0.113.9"
    assert Proxies.of([]).client(None, "203.0.113.9") is None


def test_hosts_and_origins_are_compared_as_browsers_write_them() -> None:
    hosts = {"A.b:80": "a.b", "[::1]:8600": "[::1]", "[::1]": "[::1]", "a.b": "a.b"}
    assert {host: host_name(host) for host in hosts} == hosts
    assert is_same_origin("https://a.b", "https", "a.b:443")
    assert is_same_origin("http://A.b:80", "http", "a.b")
    assert not is_same_origin("http://a.b", "https", "a.b")
    assert not is_same_origin("https://a.b.evil", "https", "a.b")
