"""What holds for all that people edit: names, versions, pages, links."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from elihu import InvalidFields, NameTaken, RecordChanged, RecordNotFound
from elihu.commands.host import Host
from elihu.commands.rules import commands, crons, environments, schedules

Create = Callable[[Any, str], Awaitable[Any]]
NAMED: dict[str, tuple[Any, Create]] = {
    "environment": (environments, lambda session, name: environments.create(session, name=name)),
    "command": (
        commands,
        lambda session, name: commands.create(session, name=name, shell_command="true"),
    ),
    "cron": (
        crons,
        lambda session, name: crons.create(session, name=name, expression="* * * * *"),
    ),
}


def fields_of(error: InvalidFields) -> list[str]:
    return [field for field, _ in error.errors]


@pytest.mark.parametrize("kind", NAMED)
async def test_a_name_is_unique_without_regard_to_case(host: Host, kind: str) -> None:
    rules, create = NAMED[kind]
    async with host.sessions.begin() as session:
        first = await create(session, " Straße ")
        second = await create(session, "other")
        assert first.name == "Straße"
    for taken in ("STRASSE", "straße"):
        with pytest.raises(NameTaken) as caught:
            async with host.sessions.begin() as session:
                await create(session, taken)
        assert fields_of(caught.value) == ["name"]
    with pytest.raises(NameTaken, match=f"that of another {kind}"):
        async with host.sessions.begin() as session:
            await rules.update(session, second.id, name="strasse")
    async with host.sessions.begin() as session:
        assert (await rules.update(session, first.id, name="STRASSE")).name == "STRASSE"


@pytest.mark.parametrize("kind", NAMED)
async def test_of_two_that_take_a_name_at_once_one_is_refused(host: Host, kind: str) -> None:
    async def one() -> None:
        async with host.sessions.begin() as session:
            await NAMED[kind][1](session, "same")

    done = await asyncio.gather(one(), one(), one(), return_exceptions=True)
    assert [type(each) for each in done if each] == [NameTaken, NameTaken]


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 201, "\0", "\ud800", 5, None])
async def test_a_name_that_is_none_is_refused(host: Host, kind: str, name: Any) -> None:
    with pytest.raises(InvalidFields, match="name: expected a text of 1 to 200 printable"):
        async with host.sessions.begin() as session:
            await NAMED[kind][1](session, name)


@pytest.mark.parametrize("kind", NAMED)
async def test_a_change_of_an_older_version_is_refused(host: Host, kind: str) -> None:
    rules, create = NAMED[kind]
    async with host.sessions.begin() as session:
        made = await create(session, "one")
        assert made.version == 1
    async with host.sessions.begin() as session:
        changed = await rules.update(session, made.id, version=1, enabled=False)
        assert (changed.version, changed.enabled) == (2, False)
        assert changed.updated_at >= changed.created_at
    for change in (rules.update, rules.delete):
        with pytest.raises(RecordChanged) as caught:
            async with host.sessions.begin() as session:
                await change(session, made.id, version=1)
        assert caught.value.version == 2
    async with host.sessions.begin() as session:
        await rules.delete(session, made.id, version=2)
    with pytest.raises(RecordNotFound, match=f"{kind} {made.id} not found"):
        async with host.sessions.read() as session:
            await rules.get(session, made.id)


@pytest.mark.parametrize("kind", NAMED)
async def test_of_two_changes_of_one_version_one_is_refused(host: Host, kind: str) -> None:
    rules, create = NAMED[kind]
    async with host.sessions.begin() as session:
        made = await create(session, "one")

    async def change(name: str) -> None:
        async with host.sessions.begin() as session:
            await rules.update(session, made.id, version=1, name=name)

    done = await asyncio.gather(change("a"), change("b"), return_exceptions=True)
    assert [type(each) for each in done if each] == [RecordChanged]


@pytest.mark.parametrize("kind", NAMED)
async def test_pages_have_each_row_once(host: Host, kind: str) -> None:
    rules, create = NAMED[kind]
    async with host.sessions.begin() as session:
        made = [(await create(session, f"n{number}")).id for number in range(7)]
    found: list[UUID] = []
    after = None
    async with host.sessions.read() as session:
        while True:
            page = await rules.find_all(session, after=after, limit=3)
            found += [item.id for item in page.items]
            if (after := page.next) is None:
                break
        with pytest.raises(InvalidFields, match="limit: expected a whole number from 1 to 1,000"):
            await rules.find_all(session, limit=1_001)
    assert found == made


async def test_all_that_is_wrong_is_named_at_once(host: Host) -> None:
    with pytest.raises(InvalidFields) as caught:
        async with host.sessions.begin() as session:
            await commands.create(
                session,
                name="",
                shell_command=" ",
                timeout=0,
                max_attempts=0,
                overlap="never",  # type: ignore[arg-type]
                mode="python",  # type: ignore[arg-type]
                working_directory="here",
                output_limit=1,
                rerun_lost=1,  # type: ignore[arg-type]
                open_files=2,
            )
    assert fields_of(caught.value) == [
        "name", "shell_command", "timeout", "max_attempts", "overlap", "mode",
        "working_directory", "output_limit", "rerun_lost", "open_files",
    ]  # fmt: skip
    async with host.sessions.read() as session:
        assert (await commands.find_all(session)).items == []


async def test_a_command_has_the_defaults(host: Host) -> None:
    async with host.sessions.begin() as session:
        made = await commands.create(session, name="one", shell_command="echo $HOME\nexit 3\n")
    async with host.sessions.read() as session:
        found = await commands.get(session, made.id)
    assert found.shell_command == "echo $HOME\nexit 3\n"
    assert (found.enabled, found.timeout, found.max_attempts) == (True, 60.0, 1)
    assert (found.overlap, found.mode, found.output_limit) == ("skip", "shell", 10 * 2**20)
    assert (found.rerun_lost, found.keep_background) == (False, False)


async def test_a_schedule_keeps_the_order_of_its_links(host: Host) -> None:
    async with host.sessions.begin() as session:
        command = await commands.create(session, name="c", shell_command="true")
        where = [(await environments.create(session, name=f"e{n}")).id for n in range(3)]
        when = [
            (await crons.create(session, name=f"t{n}", expression=f"{n} * * * *")).id
            for n in range(2)
        ]
        made = await schedules.create(
            session, command_id=command.id, environment_ids=where[::-1], cron_ids=when
        )
    async with host.sessions.begin() as session:
        found = await schedules.get(session, made.id)
        assert (found.environment_ids, found.cron_ids) == (where[::-1], when)
        assert found.catch_up == "last"
        since = {link.environment_id: link.since for link in found.environments}
    async with host.sessions.begin() as session:
        await schedules.update(session, made.id, environment_ids=[where[1], where[0]])
    async with host.sessions.begin() as session:
        found = await schedules.update(session, made.id, environment_ids=[where[2], where[1]])
        links = {link.environment_id: link.since for link in found.environments}
        assert found.environment_ids == [where[2], where[1]]
        assert links[where[1]] == since[where[1]]
        assert links[where[2]] > since[where[2]]
        assert found.version == 3
        page = await schedules.find_all(session, environment_id=where[0])
        assert page.items == []
        page = await schedules.find_all(session, cron_id=when[0], command_id=command.id)
        assert [item.id for item in page.items] == [made.id]


async def test_a_schedule_of_what_is_not_there_is_refused(host: Host) -> None:
    with pytest.raises(InvalidFields) as caught:
        async with host.sessions.begin() as session:
            await schedules.create(
                session,
                command_id=uuid4(),
                environment_ids=[uuid4()],
                cron_ids=[uuid4()],
                catch_up="some",  # type: ignore[arg-type]
            )
    assert fields_of(caught.value) == ["catch_up", "command_id", "environment_ids", "cron_ids"]


@pytest.mark.parametrize("field", ["environment_ids", "cron_ids"])
async def test_of_a_list_of_ids_the_wrong_one_is_named(host: Host, field: str) -> None:
    async with host.sessions.begin() as session:
        command = await commands.create(session, name="c", shell_command="true")
    wrong: Any = {field: [uuid4(), "wrong"]}
    with pytest.raises(InvalidFields, match=f"{field}: expected ids, got 'wrong'"):
        async with host.sessions.begin() as session:
            await schedules.create(session, command_id=command.id, **wrong)


async def test_a_schedule_goes_with_its_command_and_loses_what_is_deleted(host: Host) -> None:
    async with host.sessions.begin() as session:
        command = await commands.create(session, name="c", shell_command="true")
        where = (await environments.create(session, name="e")).id
        when = (await crons.create(session, name="t", expression="@daily")).id
        made = await schedules.create(
            session, command_id=command.id, environment_ids=[where], cron_ids=[when]
        )
    async with host.sessions.begin() as session:
        await environments.delete(session, where)
        await crons.delete(session, when)
    async with host.sessions.begin() as session:
        found = await schedules.get(session, made.id)
        assert (found.environment_ids, found.cron_ids) == ([], [])
        await commands.delete(session, command.id)
    async with host.sessions.read() as session:
        with pytest.raises(RecordNotFound):
            await schedules.get(session, made.id)


async def test_a_row_counts_from_when_it_was_enabled_last(host: Host) -> None:
    async with host.sessions.begin() as session:
        made = await crons.create(session, name="t", expression="@daily", enabled=False)
        before = made.active_since
    async with host.sessions.begin() as session:
        enabled = await crons.update(session, made.id, enabled=True)
        since = enabled.active_since
        assert since > before
    async with host.sessions.begin() as session:
        same = await crons.update(session, made.id, enabled=True, name="u", expression="@daily")
        assert same.active_since == since
    async with host.sessions.begin() as session:
        assert (await crons.update(session, made.id, timezone="Europe/Oslo")).active_since > since
