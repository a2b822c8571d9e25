"""Every operation asks for its role: without a sign-in 401, with a smaller role 403."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from elihu.accounts.roles import AREAS, Role
from elihu.orm.sessions import Sessions
from elihu.web.api.routes import AREA, PUBLIC, ROLE
from elihu.web.app import PUBLIC as PUBLIC_PATHS
from elihu.web.pages.visits import PageRoute
from tests.web.conftest import Clients, add_key, add_user

pytestmark = pytest.mark.sqlite_first

NOBODY = UUID(int=1)
FILES = "/static/{name}"
OWN = {"crons_preview_cron", "account_change_preferences", "account_change_password"}
"""What everybody may do by another method than GET: it changes nothing of others."""
PUBLIC_OPERATIONS = {"session_get", "session_begin", "session_end"}


def operations(web: FastAPI) -> list[tuple[str, str, dict[str, Any]]]:
    """Each method and path of the document, with an id that nothing has."""
    found = []
    for path, methods in web.openapi()["paths"].items():
        for method, operation in methods.items():
            where = path
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    number = parameter["schema"].get("type") == "integer"
                    value = "999999" if number else str(NOBODY)
                    where = where.replace(f"{{{parameter['name']}}}", value)
            found.append((method.upper(), where, operation))
    return found


async def send(client: httpx.AsyncClient, method: str, path: str) -> int:
    body: dict[str, Any] = {} if method in {"GET", "DELETE"} else {"json": {}}
    return (await client.request(method, path, **body)).status_code


def routes(application: Any) -> list[APIRoute]:
    """All routes, those of included routers too."""
    found: list[APIRoute] = []
    left: list[Any] = list(application.routes)
    while left:
        route = left.pop()
        if isinstance(route, APIRoute):
            found.append(route)
        else:
            left += getattr(route, "routes", None) or getattr(
                getattr(route, "original_router", None), "routes", []
            )
    return found


def test_every_operation_says_its_role_and_area(web: FastAPI) -> None:
    found = operations(web)
    assert len(found) > 40
    for method, path, operation in found:
        if operation["operationId"] in PUBLIC_OPERATIONS:
            assert operation[ROLE] == PUBLIC
            continue
        assert operation[ROLE] in set(Role), f"{method} {path}"
        assert operation[AREA] in AREAS, f"{method} {path}"
        if method != "GET" and operation["operationId"] not in OWN:
            assert operation[ROLE] != Role.VIEW, f"{method} {path} changes something"


def test_what_is_not_in_the_document_is_public_on_purpose(web: FastAPI) -> None:
    hidden = {
        route.path
        for route in routes(web)
        if not (route.include_in_schema or isinstance(route, PageRoute) or route.path == FILES)
    }
    assert "/livez" in hidden
    assert hidden <= PUBLIC_PATHS


async def test_without_a_sign_in_every_operation_is_refused(
    web: FastAPI, clients: Clients, sessions: Sessions
) -> None:
    await add_user(sessions)
    client = await clients()
    for method, path, operation in operations(web):
        status = await send(client, method, path)
        expected = {200, 204, 403, 422} if operation[ROLE] == PUBLIC else {401}
        assert status in expected, f"{method} {path}: {status}"


@pytest.mark.parametrize("role", list(Role))
async def test_a_smaller_role_is_refused_and_a_sufficient_one_is_not(
    web: FastAPI, clients: Clients, sessions: Sessions, role: Role
) -> None:
    user = await add_user(sessions)
    key = await add_key(sessions, user, role.value)
    client = await clients(authorization=f"Bearer {key}")
    for method, path, operation in operations(web):
        if operation[ROLE] == PUBLIC or path.endswith(("stream", "/password")):
            continue
        status = await send(client, method, path)
        if role.allows(Role(operation[ROLE])):
            assert status not in {401, 403, 500}, f"{role} {method} {path}: {status}"
        else:
            assert status == 403, f"{role} {method} {path}: {status}"


async def test_a_key_uses_its_areas_alone(clients: Clients, sessions: Sessions) -> None:
    user = await add_user(sessions)
    key = await add_key(sessions, user, "admin", areas=["users"])
    client = await clients(authorization=f"Bearer {key}")
    assert (await client.get("/api/users")).status_code == 200
    refused = await client.get("/api/system/jobs")
    assert refused.status_code == 403
    assert refused.json()["detail"] == "this key may not use system"


async def test_a_key_is_no_stronger_than_its_user_is_now(
    clients: Clients, sessions: Sessions
) -> None:
    ann = await add_user(sessions)
    bob = await add_user(sessions, "bob", "edit")
    client = await clients(authorization=f"Bearer {await add_key(sessions, bob, 'edit')}")
    admin = await clients(authorization=f"Bearer {await add_key(sessions, ann, 'admin')}")
    await admin.patch(f"/api/users/{bob.id}", json={"role": "view"})
    assert (await client.get("/api/system/jobs")).status_code == 200
    assert (await client.post("/api/system/jobs/1/retry")).status_code == 403
    await admin.patch(f"/api/users/{bob.id}", json={"enabled": False})
    assert (await client.get("/api/system/jobs")).status_code == 401
