"""Users, their roles and passwords; each change is audited."""

import json
from typing import Any

import pytest

from elihu import Elihu, InvalidOption, LastAdmin, UserExists, UserNotFound
from elihu.accounts import audit, keys, passwords, signed_in, users
from elihu.accounts.models import Base
from elihu.accounts.roles import COMMAND_LINE, Role
from elihu.orm.sessions import Sessions
from tests.accounts.conftest import PASSWORD, add
from tests.columns import columns


async def test_the_models_fit_the_tables(app: Elihu) -> None:
    assert await columns(app, "account") == {
        table.name: {column.name: bool(column.nullable) for column in table.columns}
        for table in Base.metadata.tables.values()
    }


def test_a_role_may_do_what_those_before_it_may() -> None:
    allowed = {role: [each for each in Role if role.allows(each)] for role in Role}
    assert [len(each) for each in allowed.values()] == [1, 2, 3, 4]
    assert allowed[Role.RUN] == [Role.VIEW, Role.RUN]


async def test_a_password_is_stored_as_argon2id_with_a_salt_of_its_own(
    sessions: Sessions, cheap_passwords: pytest.MonkeyPatch
) -> None:
    cheap_passwords.undo()
    one, two = await add(sessions), await add(sessions, "bob")
    assert one.password is not None
    assert two.password is not None
    assert one.password.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one.password != two.password
    assert await passwords.matches(PASSWORD, one.password)
    assert not await passwords.matches(PASSWORD + "x", one.password)
    assert not await passwords.matches(PASSWORD, None)


async def test_names_are_unique_whatever_their_case(sessions: Sessions) -> None:
    await add(sessions, "Ann")
    with pytest.raises(UserExists):
        await add(sessions, " aNN ")
    async with sessions.read() as session:
        assert (await users.named(session, "ANN")).name == "Ann"
        with pytest.raises(UserNotFound, match="'bob' not found"):
            await users.named(session, "bob")


@pytest.mark.parametrize(
    ("name", "role", "password", "message"),
    [
        ("", "view", PASSWORD, "name: expected a text of 1 to 100"),
        ("a\nb", "view", PASSWORD, "name: expected a text of 1 to 100"),
        ("x" * 101, "view", PASSWORD, "name: expected a text of 1 to 100"),
        ("a", "root", PASSWORD, "role: expected one of view, run, edit, admin, got 'root'"),
        ("a", "view", "short", "password: expected 10 to 1,000 characters, got fewer"),
        ("a", "view", "x" * 1_001, "password: expected 10 to 1,000 characters, got more"),
    ],
)
async def test_bad_input_stores_nothing(
    sessions: Sessions, name: str, role: str, password: str, message: str
) -> None:
    with pytest.raises(InvalidOption, match=message) as refused:
        await add(sessions, name, role, password)
    assert password not in str(refused.value)
    async with sessions.read() as session:
        assert not await users.any_exist(session)
        assert (await audit.find_all(session)).items == []


async def test_the_last_admin_stays(sessions: Sessions) -> None:
    ann, bob = await add(sessions), await add(sessions, "bob", "edit")
    changes: list[dict[str, Any]] = [{"role": "edit"}, {"enabled": False}]
    async with sessions.begin() as session:
        user = await users.get(session, ann.id)
        for change in changes:
            with pytest.raises(LastAdmin, match="last admin"):
                await users.change(session, COMMAND_LINE, user, **change)
        with pytest.raises(LastAdmin):
            await users.delete(session, COMMAND_LINE, user)
    async with sessions.begin() as session:
        await users.change(session, COMMAND_LINE, await users.get(session, bob.id), role="admin")
        await users.delete(session, COMMAND_LINE, await users.get(session, ann.id))
    async with sessions.begin() as session:
        with pytest.raises(LastAdmin, match="last user"):
            await users.delete(session, COMMAND_LINE, await users.get(session, bob.id))


@pytest.mark.parametrize(
    "change", [{"password": "another password"}, {"role": "view"}, {"enabled": False}]
)
async def test_what_weakens_a_user_ends_the_sessions(
    sessions: Sessions, change: dict[str, Any]
) -> None:
    await add(sessions, "root")
    ann = await add(sessions, "ann", "edit")
    async with sessions.begin() as session:
        user = await users.get(session, ann.id)
        token = await signed_in.begin(session, user, address="::1", browser=None)
    async with sessions.begin() as session:
        assert await signed_in.find(session, token) is not None
        await users.change(session, COMMAND_LINE, await users.get(session, ann.id), **change)
    async with sessions.read() as session:
        assert await signed_in.find(session, token) is None


async def test_a_deleted_user_leaves_no_session_and_no_key_but_the_audit(
    sessions: Sessions,
) -> None:
    await add(sessions, "root")
    ann = await add(sessions, "ann", "edit")
    async with sessions.begin() as session:
        user = await users.get(session, ann.id)
        token = await signed_in.begin(session, user, address="::1", browser=None)
        _, text = await keys.add(session, COMMAND_LINE, user, name="ci", role="run")
    async with sessions.begin() as session:
        await users.delete(session, COMMAND_LINE, await users.get(session, ann.id))
    async with sessions.read() as session:
        assert await signed_in.find(session, token) is None
        assert await keys.find(session, text) is None
        actions = [entry.action for entry in (await audit.find_all(session)).items]
    assert actions == ["user.delete", "key.add", "user.add", "user.add"]


async def test_an_audit_row_says_what_changed_and_no_password(sessions: Sessions) -> None:
    await add(sessions, "root")
    ann = await add(sessions, "ann", "edit")
    async with sessions.begin() as session:
        user = await users.get(session, ann.id)
        await users.change(session, COMMAND_LINE, user, role="run", password="another password")
    async with sessions.read() as session:
        entry = (await audit.find_all(session, limit=1)).items[0]
    assert (entry.user_name, entry.via, entry.action) == ("command line", "cli", "user.change")
    assert json.loads(entry.before or "") == {"role": "edit", "password": "hidden"}
    assert json.loads(entry.after or "") == {"role": "run", "password": "hidden"}
    assert entry.object_name == "ann"


async def test_audit_pages_are_newest_first(sessions: Sessions) -> None:
    for number in range(5):
        await add(sessions, f"user {number}", "view", None)
    async with sessions.read() as session:
        first = await audit.find_all(session, limit=3)
        second = await audit.find_all(session, limit=3, after=first.next)
        found = [entry.object_name for entry in (*first.items, *second.items)]
        assert found == [f"user {number}" for number in range(4, -1, -1)]
        assert second.next is None
        assert (await audit.find_all(session, kind="command")).items == []
        assert len((await audit.find_all(session, user="command line")).items) == 5
