"""``/api/account``: one's own password and choices."""

import json
from typing import Annotated, Any
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, Field

from elihu import SignInRefused
from elihu.accounts import audit, sign_in, users
from elihu.accounts.roles import Actor, Role
from elihu.web.api.models import Given
from elihu.web.api.queues import Done
from elihu.web.api.routes import Resource
from elihu.web.auth import CurrentActor, address_of
from elihu.web.context import context_of
from elihu.web.problems import Problem

account = Resource("/account", "account")


class AccountOut(BaseModel):
    """The signed-in user's own choices for the pages."""

    name: str
    role: Role
    preferences: dict[str, Any]


class PreferencesIn(Given):
    """New choices, in place of all earlier ones; at most 4,096 bytes of JSON."""

    preferences: dict[str, Any]


class PasswordIn(Given):
    """The present password, and a new one."""

    password: Annotated[str, Field(min_length=1, max_length=1_000)]
    new_password: Annotated[str, Field(min_length=10, max_length=1_000)]


@account.get()
async def get_account(request: Request, actor: CurrentActor) -> AccountOut:
    """The signed-in user."""
    async with context_of(request).sessions.read() as session:
        user = await users.get(session, _own(actor))
        return AccountOut(name=user.name, role=user.role, preferences=json.loads(user.preferences))


@account.patch(role=Role.VIEW)
async def change_preferences(
    request: Request, actor: CurrentActor, given: PreferencesIn
) -> AccountOut:
    """Keep choices for the pages."""
    async with context_of(request).sessions.begin() as session:
        user = await users.get(session, _own(actor))
        before = json.loads(user.preferences)
        users.set_preferences(user, given.preferences)
        await audit.record(
            session, actor, "account.change", "account", object_id=user.id, object_name=user.name,
            before={"preferences": before}, after={"preferences": given.preferences},
        )  # fmt: skip
        return AccountOut(name=user.name, role=user.role, preferences=given.preferences)


@account.post("/password", role=Role.VIEW)
async def change_password(request: Request, actor: CurrentActor, given: PasswordIn) -> Done:
    """Set one's own password. All sessions of the user end, this one too."""
    context, user_id = context_of(request), _own(actor)
    if actor.via != "session":
        raise Problem(403, "sign in with the password to change it")
    try:
        await sign_in.sign_in(
            context.sessions, actor.name, given.password,
            address=address_of(request) or "unix", browser=None,
        )  # fmt: skip
    except SignInRefused as error:
        raise Problem(
            422, "the password is wrong", errors=[("password", "expected the present one")]
        ) from error
    async with context.sessions.begin() as session:
        user = await users.get(session, user_id)
        await users.change(session, actor, user, password=given.new_password)
    return Done()


def _own(actor: Actor) -> UUID:
    """The user behind an actor. Raises ``Problem`` where there is none."""
    if actor.user_id is None:
        raise Problem(409, f"{actor.name} is no user of Elihu")
    return actor.user_id
