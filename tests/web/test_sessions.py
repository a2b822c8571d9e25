"""Sessions of browsers: cookies, their flags, and what a stolen or planted one is worth."""

import httpx

from elihu.orm.sessions import Sessions
from tests.web.conftest import BASE, PASSWORD, Clients, add_key, add_user, sign_in
from tests.web.test_attacks import paused


async def test_a_change_by_a_cookie_needs_origin_and_token(
    clients: Clients, sessions: Sessions
) -> None:
    await add_user(sessions)
    client = await clients()
    token = await sign_in(client)
    assert await paused(client) == 403
    assert await paused(client, x_csrf_token=token) == 403
    assert await paused(client, origin=BASE) == 403
    assert await paused(client, origin=BASE, x_csrf_token="0" * 64) == 403
    assert await paused(client, origin="http://evil.example", x_csrf_token=token) == 403
    assert await paused(client, origin=BASE, x_csrf_token=token) == 200
    assert await paused(client, sec_fetch_site="same-origin", x_csrf_token=token) == 200


async def test_the_token_of_another_session_is_refused(
    clients: Clients, sessions: Sessions
) -> None:
    await add_user(sessions)
    await add_user(sessions, "eve", "view")
    ann, eve = await clients(), await clients()
    await sign_in(ann)
    assert await paused(ann, origin=BASE, x_csrf_token=await sign_in(eve, "eve")) == 403


async def test_a_key_needs_neither(clients: Clients, sessions: Sessions) -> None:
    key = await add_key(sessions, await add_user(sessions), "run")
    assert await paused(await clients(authorization=f"Bearer {key}")) == 200


async def cookie_of(client: httpx.AsyncClient, origin: str) -> str:
    """The header that a sign-in sets."""
    answer = await client.post(
        "/api/session", json={"name": "ann", "password": PASSWORD}, headers={"Origin": origin}
    )
    cookie: str = answer.headers["set-cookie"]
    return cookie.lower()


async def test_the_cookie_is_kept_from_scripts_and_other_sites(
    clients: Clients, sessions: Sessions
) -> None:
    await add_user(sessions)
    cookie = await cookie_of(await clients(), BASE)
    assert cookie.startswith("elihu_session=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie
    cookie = await cookie_of(await clients(base="https://localhost"), "https://localhost")
    assert cookie.startswith("__host-elihu_session=")
    assert "secure" in cookie
    assert "path=/;" in cookie
    assert "domain" not in cookie


async def test_a_session_that_was_fixed_before_the_sign_in_is_not_used(
    clients: Clients, sessions: Sessions
) -> None:
    await add_user(sessions)
    await add_user(sessions, "eve", "view")
    eve = await clients()
    await sign_in(eve, "eve")
    fixed = eve.cookies["elihu_session"]
    ann = await clients(cookie=f"elihu_session={fixed}")
    answer = await ann.post(
        "/api/session", json={"name": "ann", "password": PASSWORD}, headers={"Origin": BASE}
    )
    assert answer.cookies["elihu_session"] != fixed
    assert (await eve.get("/api/system/jobs")).status_code == 401
    planted = await clients(cookie="elihu_session=planted")
    assert (await planted.get("/api/system/jobs")).status_code == 401


async def test_a_sign_in_from_another_site_is_refused(clients: Clients, sessions: Sessions) -> None:
    await add_user(sessions)
    client = await clients()
    given = {"name": "ann", "password": PASSWORD}
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await client.post("/api/session", json=given, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_a_signed_out_cookie_is_worth_nothing(clients: Clients, sessions: Sessions) -> None:
    await add_user(sessions)
    client = await clients()
    token = await sign_in(client)
    stolen = client.cookies["elihu_session"]
    assert (await client.delete("/api/session", headers={"Origin": BASE})).status_code == 403
    headers = {"Origin": BASE, "X-CSRF-Token": token}
    assert (await client.delete("/api/session", headers=headers)).status_code == 204
    thief = await clients(cookie=f"elihu_session={stolen}")
    assert (await thief.get("/api/system/jobs")).status_code == 401


async def test_attempts_to_sign_in_are_limited(clients: Clients, sessions: Sessions) -> None:
    await add_user(sessions)
    client = await clients()
    given = {"name": "ann", "password": "wrong password"}
    answers = [
        await client.post("/api/session", json=given, headers={"Origin": BASE}) for _ in range(6)
    ]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert "wrong password" not in answers[-1].text


async def test_the_session_says_who_is_signed_in(clients: Clients, sessions: Sessions) -> None:
    await add_user(sessions, "Ann", "edit")
    client = await clients()
    assert (await client.get("/api/session")).json()["name"] is None
    token = await sign_in(client)
    shown = (await client.get("/api/session")).json()
    assert shown == {
        "name": "Ann",
        "role": "edit",
        "via": "session",
        "csrf_token": token,
        "read_only": False,
        "sign_in": True,
    }


async def test_a_user_keeps_choices_and_changes_the_password(
    clients: Clients, sessions: Sessions
) -> None:
    await add_user(sessions)
    await add_user(sessions, "eve", "view")
    client = await clients()
    headers = {"Origin": BASE, "X-CSRF-Token": await sign_in(client, "eve")}
    kept = await client.patch(
        "/api/account", json={"preferences": {"keys": False}}, headers=headers
    )
    assert kept.status_code == 200, kept.text
    assert (await client.get("/api/account")).json()["preferences"] == {"keys": False}
    large = {"preferences": {"x": "y" * 5_000}}
    assert (await client.patch("/api/account", json=large, headers=headers)).status_code == 422
    wrong = {"password": "wrong password", "new_password": "another password"}
    refused = await client.post("/api/account/password", json=wrong, headers=headers)
    assert refused.status_code == 422
    right = wrong | {"password": PASSWORD}
    changed = await client.post("/api/account/password", json=right, headers=headers)
    assert changed.status_code == 200
    assert (await client.get("/api/account")).status_code == 401
    await sign_in(client, "eve", "another password")


async def test_a_key_changes_no_password(clients: Clients, sessions: Sessions) -> None:
    key = await add_key(sessions, await add_user(sessions), "admin")
    client = await clients(authorization=f"Bearer {key}")
    given = {"password": PASSWORD, "new_password": "another password"}
    assert (await client.post("/api/account/password", json=given)).status_code == 403
