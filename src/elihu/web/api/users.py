"""Users, keys and the audit: for admins, and one's own."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from elihu.accounts import audit, keys, signed_in, users
from elihu.accounts.models import ApiKey, User
from elihu.accounts.roles import Role
from elihu.web.api.changes import IfMatch, check_tag, digest_tag
from elihu.web.api.paging import Limit, Page
from elihu.web.api.routes import Resource
from elihu.web.auth import CurrentActor
from elihu.web.context import context_of

people = Resource("/users", "users")
programs = Resource("/keys", "keys")
changes = Resource("/audit", "audit")
_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Password = Annotated[str, Field(min_length=10, max_length=1_000)]


class UserOut(BaseModel):
    """A user, without the password."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    role: Role
    enabled: bool
    created_at: datetime
    signed_in_at: datetime | None


class UserIn(BaseModel):
    """A new user. Without a password only keys of the user sign in."""

    model_config = ConfigDict(extra="forbid")

    name: _Name
    role: Role
    password: _Password | None = None


class UserChange(BaseModel):
    """What to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = None
    enabled: bool | None = None
    password: _Password | None = None


class KeyOut(BaseModel):
    """A key, without its text."""

    id: UUID
    user_id: UUID
    name: str
    start: str
    role: Role
    areas: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


class KeyIn(BaseModel):
    """A new key of a user; ``days`` null makes one that does not expire."""

    model_config = ConfigDict(extra="forbid")

    user_id: UUID
    name: _Name
    role: Role
    areas: list[str] | None = None
    days: Annotated[int, Field(ge=1, le=3_660)] | None = 90


class NewKeyOut(KeyOut):
    """A new key with its text, which is shown only now."""

    key: str


class SessionOfUserOut(BaseModel):
    """A browser in which a user is signed in."""

    model_config = ConfigDict(from_attributes=True)

    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    address: str | None
    browser: str | None


class AuditOut(BaseModel):
    """A change. ``before`` and ``after`` have what differs, without secrets."""

    id: UUID
    at: datetime
    user_id: UUID | None
    user_name: str
    via: str
    address: str | None
    action: str
    kind: str
    object_id: str | None
    object_name: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


class Ended(BaseModel):
    """How many ended."""

    ended: int


UserId = Annotated[UUID, Path(alias="id")]


@people.get(role=Role.ADMIN)
async def list_users(
    request: Request,
    after: Annotated[str, Query(max_length=users.LONGEST_NAME)] = "",
    limit: Limit = 100,
) -> Page[UserOut]:
    """Users, by name."""
    async with context_of(request).sessions.read() as session:
        found = await users.find_all(session, after=after, limit=limit + 1)
        return Page(
            items=[UserOut.model_validate(user) for user in found[:limit]],
            next=found[limit - 1].name if len(found) > limit else None,
        )


@people.post(role=Role.ADMIN, status_code=201)
async def add_user(
    request: Request, response: Response, actor: CurrentActor, given: UserIn
) -> UserOut:
    """Add a user."""
    async with context_of(request).sessions.begin() as session:
        user = await users.add(session, actor, given.name, given.role, given.password)
        return _shown(response, user)


@people.get("/{id}", role=Role.ADMIN)
async def get_user(request: Request, response: Response, user_id: UserId) -> UserOut:
    """One user."""
    async with context_of(request).sessions.read() as session:
        return _shown(response, await users.get(session, user_id))


@people.patch("/{id}", role=Role.ADMIN)
async def change_user(
    request: Request,
    response: Response,
    actor: CurrentActor,
    user_id: UserId,
    given: UserChange,
    if_match: IfMatch = None,
) -> UserOut:
    """Change a role or a password, or disable. This may end the user's sessions."""
    async with context_of(request).sessions.begin() as session:
        await users.lock(session)
        user = await users.get(session, user_id)
        values = given.model_dump(mode="json", exclude_unset=True, exclude={"password"})
        check_tag(if_match, _compared(user), values)
        changed = await users.change(
            session,
            actor,
            user,
            role=given.role,
            enabled=given.enabled,
            password=given.password,
        )
        return _shown(response, changed)


@people.delete("/{id}", role=Role.ADMIN, status_code=204)
async def delete_user(
    request: Request, actor: CurrentActor, user_id: UserId, if_match: IfMatch = None
) -> None:
    """Delete a user with sessions and keys."""
    async with context_of(request).sessions.begin() as session:
        await users.lock(session)
        user = await users.get(session, user_id)
        check_tag(if_match, _compared(user), {})
        await users.delete(session, actor, user)


@people.get("/{id}/sessions", role=Role.ADMIN)
async def list_sessions(request: Request, user_id: UserId) -> Page[SessionOfUserOut]:
    """The browsers in which a user is signed in."""
    async with context_of(request).sessions.read() as session:
        await users.get(session, user_id)
        found = await signed_in.of_user(session, user_id)
        return Page(items=[SessionOfUserOut.model_validate(each) for each in found])


@people.post("/{id}/sign_out", role=Role.ADMIN)
async def sign_out_user(request: Request, actor: CurrentActor, user_id: UserId) -> Ended:
    """End all sessions of a user."""
    async with context_of(request).sessions.begin() as session:
        user = await users.get(session, user_id)
        await audit.record(
            session, actor, "user.sign_out", users.KIND, object_id=user.id, object_name=user.name
        )
        return Ended(ended=await signed_in.end_all(session, user_id))


@programs.get(role=Role.ADMIN)
async def list_keys(
    request: Request, user_id: UUID | None = None, after: UUID | None = None, limit: Limit = 100
) -> Page[KeyOut]:
    """The keys of a user, or of all, oldest first."""
    async with context_of(request).sessions.read() as session:
        found = await keys.find_all(session, user_id, after=after, limit=limit + 1)
        return Page(
            items=[_key(key) for key in found[:limit]],
            next=str(found[limit - 1].id) if len(found) > limit else None,
        )


@programs.post(role=Role.ADMIN, status_code=201)
async def add_key(request: Request, actor: CurrentActor, given: KeyIn) -> NewKeyOut:
    """Make a key. Its text is in this answer alone."""
    async with context_of(request).sessions.begin() as session:
        key, text = await keys.add(
            session,
            actor,
            await users.get(session, given.user_id),
            name=given.name,
            role=given.role,
            areas=given.areas,
            lifetime=None if given.days is None else timedelta(days=given.days),
        )
        return NewKeyOut(**_key(key).model_dump(), key=text)


@programs.delete("/{id}", role=Role.ADMIN, status_code=204)
async def revoke_key(
    request: Request, actor: CurrentActor, key_id: Annotated[UUID, Path(alias="id")]
) -> None:
    """Delete a key: it signs in no more."""
    async with context_of(request).sessions.begin() as session:
        await keys.revoke(session, actor, await keys.get(session, key_id))


@changes.get(role=Role.ADMIN)
async def list_changes(
    request: Request,
    user: Annotated[str | None, Query(max_length=200)] = None,
    kind: Annotated[str | None, Query(max_length=50)] = None,
    object_id: Annotated[str | None, Query(max_length=200)] = None,
    after: UUID | None = None,
    limit: Limit = 50,
) -> Page[AuditOut]:
    """Who changed what, newest first; ``object_id`` needs ``kind``. A page reads a bounded
    number of rows, so that it may be short while ``next`` is not null.
    """
    async with context_of(request).sessions.read() as session:
        page = await audit.find_all(
            session, user=user, kind=kind, object_id=object_id, after=after, limit=limit
        )
        return Page(
            items=[_entry(entry) for entry in page.items],
            next=None if page.next is None else str(page.next),
        )


def _compared(user: User) -> UserOut:
    """The user without what changes by itself."""
    return UserOut.model_validate(user).model_copy(update={"signed_in_at": None})


def _shown(response: Response, user: User) -> UserOut:
    """The user, with an ETag."""
    response.headers["ETag"] = digest_tag(_compared(user))
    return UserOut.model_validate(user)


def _key(key: ApiKey) -> KeyOut:
    areas = keys.areas_of(key)
    return KeyOut(
        id=key.id,
        user_id=key.user_id,
        name=key.name,
        start=key.start,
        role=key.role,
        areas=None if areas is None else sorted(areas),
        created_at=key.created_at,
        expires_at=key.expires_at,
        used_at=key.used_at,
    )


def _entry(entry: Any) -> AuditOut:
    values = {name: getattr(entry, name) for name in AuditOut.model_fields}
    for name in ("before", "after"):
        values[name] = audit.loaded(values[name])
    return AuditOut(**values)
