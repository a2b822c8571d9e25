"""Users, their keys and sessions, and the audit."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from elihu import ElihuError, InvalidOption, UserExists
from elihu.accounts import audit, keys, signed_in, users
from elihu.accounts.roles import AREAS, Role
from elihu.web.pages.editing import whole
from elihu.web.pages.run_filters import cursor
from elihu.web.pages.visits import AdminVisit, PageRoute, Visit
from elihu.web.problems import Problem

router = APIRouter(route_class=PageRoute, include_in_schema=False)
SHOWN: Final = 50


@router.get("/users")
async def list_users(visit: AdminVisit) -> Response:
    """All users."""
    return await _users(visit, {"name": "", "role": "view"}, {})


@router.post("/users")
async def add_user(visit: AdminVisit) -> Response:
    """Add one."""
    values = {"name": visit.text("name"), "role": visit.text("role")}
    try:
        async with visit.context.sessions.begin() as session:
            user = await users.add(
                session, visit.who, values["name"], values["role"], visit.text("password") or None
            )
    except (InvalidOption, UserExists) as error:
        field, colon, detail = str(error).partition(": ")
        known = field if colon and field in {"name", "role", "password"} else "name"
        return await _users(visit, values, {known: detail or str(error)}, 422)
    return visit.go(f"/users/{user.id}", f"{user.name} is added.")


@router.get("/users/{user_id}")
async def show_user(visit: AdminVisit, user_id: UUID) -> Response:
    """One, with keys and sessions."""
    return await _user(visit, user_id)


@router.post("/users/{user_id}")
async def change_user(visit: AdminVisit, user_id: UUID) -> Response:
    """Change the role or the password, enable or disable."""
    try:
        async with visit.context.sessions.begin() as session:
            user = await users.get(session, user_id)
            await users.change(
                session, visit.who, user, role=visit.text("role") or None,
                enabled=bool(visit.text("enabled")), password=visit.text("password") or None,
            )  # fmt: skip
    except ElihuError as error:
        field = str(error).partition(": ")[0]
        known = field if field in {"role", "password"} else "role"
        return await _user(visit, user_id, 422, errors={known: str(error)})
    return visit.go(f"/users/{user_id}", f"{user.name} is changed.")


@router.post("/users/{user_id}/delete")
async def delete_user(visit: AdminVisit, user_id: UUID) -> Response:
    """Delete one with sessions and keys; the name is typed."""
    async with visit.context.sessions.begin() as session:
        user = await users.get(session, user_id)
        name = user.name
        if visit.text("confirm").strip() != name:
            raise Problem(422, f"type the name {name!r} to delete it: nothing was deleted")
        await users.delete(session, visit.who, user)
    return visit.go("/users", f"{name} is deleted.")


@router.post("/users/{user_id}/sign_out")
async def sign_out(visit: AdminVisit, user_id: UUID) -> Response:
    """End all sessions of a user."""
    async with visit.context.sessions.begin() as session:
        user = await users.get(session, user_id)
        await audit.record(
            session, visit.who, "user.sign_out", users.KIND, object_id=user.id,
            object_name=user.name,
        )  # fmt: skip
        ended = await signed_in.end_all(session, user_id)
    return visit.back(f"/users/{user_id}", f"{ended} sessions of {user.name} are ended.")


@router.post("/users/{user_id}/keys")
async def add_key(visit: AdminVisit, user_id: UUID) -> Response:
    """Make a key, and show its text this once."""
    days: Any = whole(visit.text("days"))
    try:
        async with visit.context.sessions.begin() as session:
            user = await users.get(session, user_id)
            if days is not None and not (isinstance(days, int) and 1 <= days <= 3_660):
                raise InvalidOption("days: expected 1 to 3,660, or nothing")
            _, text = await keys.add(
                session, visit.who, user, name=visit.text("key_name"),
                role=visit.text("key_role"), areas=visit.texts("areas") or None,
                lifetime=None if days is None else timedelta(days=days),
            )  # fmt: skip
    except ElihuError as error:
        return await _user(visit, user_id, 422, errors={"key_name": str(error)})
    return await _user(visit, user_id, new_key=text)


@router.post("/users/{user_id}/revoke")
async def revoke_key(visit: AdminVisit, user_id: UUID) -> Response:
    """Delete a key."""
    key_id = cursor(visit.text("key"))
    if key_id is None:
        raise Problem(422, "key: expected an id")
    async with visit.context.sessions.begin() as session:
        await keys.revoke(session, visit.who, await keys.get(session, key_id))
    return visit.back(f"/users/{user_id}", "The key is revoked: it signs in no more.")


@router.get("/audit")
async def list_audit(visit: AdminVisit) -> Response:
    """Who changed what, newest first."""
    query = {name: value for name, value in visit.request.query_params.items() if value}
    async with visit.context.sessions.read() as session:
        page = await audit.find_all(
            session, user=query.get("user", "")[:200] or None, kind=query.get("kind") or None,
            object_id=query.get("object_id") or None, after=cursor(query.get("after")),
            limit=SHOWN,
        )  # fmt: skip
    entries = [
        (entry, audit.loaded(entry.before) or {}, audit.loaded(entry.after) or {})
        for entry in page.items
    ]
    return visit.page(
        "audit.html", entries=entries, next=None if page.next is None else str(page.next)
    )


async def _users(
    visit: Visit, values: dict[str, str], errors: dict[str, str], status: int = 200
) -> Response:
    async with visit.context.sessions.read() as session:
        found = await users.find_all(session)
    return visit.page(
        "users.html", status, users=found, values=values, errors=errors,
        roles=[(role.value, role.value) for role in Role],
    )  # fmt: skip


async def _user(visit: Visit, user_id: UUID, status: int = 200, **values: Any) -> Response:
    async with visit.context.sessions.read() as session:
        user = await users.get(session, user_id)
        owned = await keys.find_all(session, user_id)
        sessions = await signed_in.of_user(session, user_id)
    return visit.page(
        "user.html", status, user=user, owned=owned, sessions=sessions, areas=AREAS,
        roles=[(role.value, role.value) for role in Role],
        **({"errors": {}, "new_key": ""} | values),
    )  # fmt: skip
