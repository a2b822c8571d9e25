"""Variables: which one an environment sees, what is refused, and secrets."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from elihu import Elihu, InvalidFields, RecordNotFound, SecretError
from elihu.commands.host import Host
from elihu.commands.rules import commands, environments, variables
from elihu.commands.secrets import load_keyring, new_key
from elihu.orm.sessions import Sessions


async def make(host: Host, **given: Any) -> UUID:
    async with host.sessions.begin() as session:
        return (await variables.create(session, host, **given)).id


async def place(host: Host, name: str) -> UUID:
    async with host.sessions.begin() as session:
        return (await environments.create(session, name=name)).id


async def values(host: Host, environment_id: UUID) -> dict[str, str]:
    async with host.sessions.read() as session:
        return dict((await variables.resolve(session, host, environment_id)).values)


async def test_own_secret_over_own_value_over_default_secret_over_default_value(
    host: Host,
) -> None:
    here, there = await place(host, "here"), await place(host, "there")
    ranked = [
        await make(host, name="X", value="default value"),
        await make(host, name="X", secret="default secret"),
        await make(host, name="X", value="own value", environment_ids=[here]),
        await make(host, name="X", secret="own secret", environment_ids=[here]),
    ]
    for number, wins in enumerate(
        ["own secret", "own value", "default secret", "default value"], 1
    ):
        assert await values(host, here) == {"X": wins}
        if number < 3:
            assert await values(host, there) == {"X": "default secret"}
        async with host.sessions.begin() as session:
            await variables.delete(session, ranked[-number])
    assert await values(host, here) == {}


async def test_two_that_would_tie_are_refused(host: Host) -> None:
    here, there = await place(host, "here"), await place(host, "there")
    await make(host, name="X", value="1")
    await make(host, name="X", value="2", environment_ids=[here])
    other = await make(host, name="X", value="3", environment_ids=[there])
    await make(host, name="x", value="another name")
    with pytest.raises(InvalidFields, match="another value of X is the default too"):
        await make(host, name="X", value="4")
    with pytest.raises(InvalidFields, match="another value of X is for here too"):
        await make(host, name="X", value="4", environment_ids=[there, here])
    for links, said in (([], "the default"), ([here], "for here")):
        with pytest.raises(InvalidFields, match=said):
            async with host.sessions.begin() as session:
                await variables.update(session, host, other, environment_ids=links)
    assert await values(host, there) == {"X": "3", "x": "another name"}


@pytest.mark.parametrize(
    "name",
    ["", "1A", "A-B", "A B", "_A", "Ä", "A\n", "LD_PRELOAD", "DYLD_X", "BASH_ENV", "ENV", "PATH",
     "IFS", "PYTHONPATH", "PYTHON", 5],
)  # fmt: skip
async def test_a_name_that_is_none_or_changes_how_programs_load_is_refused(
    host: Host, name: Any
) -> None:
    with pytest.raises(InvalidFields) as caught:
        await make(host, name=name, value="1")
    assert [field for field, _ in caught.value.errors] == ["name"]


async def test_the_configuration_may_allow_such_a_name(database_url: str, schema: str) -> None:
    async with Elihu(database_url, schema=schema, commands={"allow_variables": ["PATH"]}) as app:
        await app.migrate("commands")
        host = Host(app, Sessions(app))
        await make(host, name="PATH", value="/opt/bin")
        with pytest.raises(InvalidFields):
            await make(host, name="LD_PRELOAD", value="/x.so")
        await host.sessions.aclose()


async def test_a_secret_is_encrypted_and_never_read_back(host: Host) -> None:
    here = await place(host, "here")
    secret = await make(host, name="TOKEN", secret="s3cret-value", environment_ids=[here])
    await make(host, name="PLAIN", value="seen")
    async with host.sessions.read() as session:
        stored = await variables.get(session, secret)
        assert stored.value is None
        assert stored.is_secret
        assert "s3cret" not in (stored.secret or "")
        seen = await variables.seen_by(session, here)
        assert [(each.name, each.value, each.is_secret, each.is_default) for each in seen] == [
            ("PLAIN", "seen", False, True),
            ("TOKEN", variables.MASK, True, False),
        ]
        resolved = await variables.resolve(session, host, here)
        assert list(resolved.secrets.values()) == ["s3cret-value"]
        with pytest.raises(RecordNotFound):
            await variables.seen_by(session, uuid4())


async def test_a_value_takes_the_place_of_a_secret_and_the_other_way_round(host: Host) -> None:
    here = await place(host, "here")
    made = await make(host, name="X", secret="hidden")
    async with host.sessions.begin() as session:
        changed = await variables.update(session, host, made, value="seen")
        assert (changed.value, changed.is_secret, changed.version) == ("seen", False, 2)
    async with host.sessions.begin() as session:
        changed = await variables.update(session, host, made, secret="hidden again")
        assert (changed.value, changed.is_secret) == (None, True)
    assert await values(host, here) == {"X": "hidden again"}
    for wrong in ({}, {"value": "a", "secret": "b"}):
        with pytest.raises(InvalidFields, match="a value or a secret"):
            await make(host, name="Y", **wrong)


async def test_a_refusal_of_a_secret_does_not_show_it(host: Host) -> None:
    for secret in ("hid\0den", "", "hidden" * 20_000):
        with pytest.raises(InvalidFields) as caught:
            await make(host, name="X", secret=secret)
        assert "hid" not in str(caught.value)


async def test_an_argv_command_that_names_a_secret_is_refused(host: Host) -> None:
    await make(host, name="TOKEN", secret="hidden")
    await make(host, name="PLAIN", value="seen")
    for text_ in ("curl -H $TOKEN", "curl '${TOKEN}'", 'curl "x$TOKEN"'):
        with pytest.raises(InvalidFields, match=r"shell_command: .*\$TOKEN"):
            async with host.sessions.begin() as session:
                await commands.create(session, name="c", shell_command=text_, mode="argv")
    async with host.sessions.begin() as session:
        await commands.create(session, name="c", shell_command="curl $PLAIN $TOKENS", mode="argv")
        made = await commands.create(session, name="d", shell_command="curl $TOKEN")
        await commands.create(session, name="e", shell_command="curl '$SPL''IT'", mode="argv")
    with pytest.raises(InvalidFields, match="shell_command"):
        async with host.sessions.begin() as session:
            await commands.update(session, made.id, mode="argv")
    for name, command in (("TOKENS", "c"), ("SPLIT", "e")):
        with pytest.raises(InvalidFields, match=f"the command {command!r} names it"):
            await make(host, name=name, secret="hidden too")


@pytest.mark.parametrize("wrong", ["'open", "", '""'])
async def test_an_argv_command_that_cannot_be_split_is_refused(host: Host, wrong: str) -> None:
    with pytest.raises(InvalidFields, match="shell_command"):
        async with host.sessions.begin() as session:
            await commands.create(session, name="c", shell_command=wrong, mode="argv")


async def test_an_environment_that_a_variable_is_for_alone_stays(host: Host) -> None:
    here, there = await place(host, "here"), await place(host, "there")
    alone = await make(host, name="X", value="1", environment_ids=[here])
    await make(host, name="Y", value="1", environment_ids=[here, there])
    with pytest.raises(InvalidFields, match="the variable 'X' is for this environment alone"):
        async with host.sessions.begin() as session:
            await environments.delete(session, here)
    async with host.sessions.begin() as session:
        await variables.delete(session, alone)
        await environments.delete(session, here)
    assert await values(host, there) == {"Y": "1"}


async def test_keys_can_be_replaced(host: Host, app: Elihu) -> None:
    here = await place(host, "here")
    made = await make(host, name="X", secret="hidden")
    old = str(app.config.secret_key)
    app.override(secret_key=f"{new_key()} {old}")
    assert await values(host, here) == {"X": "hidden"}
    async with host.sessions.begin() as session:
        assert await variables.reencrypt(session, host.keyring()) == 1
        assert await variables.reencrypt(session, host.keyring()) == 0
    app.override(secret_key=str(app.config.secret_key).split()[0])
    assert await values(host, here) == {"X": "hidden"}
    app.override(secret_key=old)
    with pytest.raises(SecretError, match=f"variable {made}: expected a secret of one of the keys"):
        await values(host, here)


async def test_a_secret_copied_to_another_variable_cannot_be_read(host: Host, app: Elihu) -> None:
    here = await place(host, "here")
    first = await make(host, name="X", secret="hidden")
    second = await make(host, name="Y", secret="other")
    prefix = "" if app.config.database_url.startswith("sqlite") else f"{app.config.schema}."
    async with host.sessions.begin() as session:
        stolen = (await variables.get(session, first)).secret
        owner = await variables.get(session, second)
        owner.secret = stolen
        await session.execute(text(f"SELECT count(*) FROM {prefix}command_variable"))
    with pytest.raises(SecretError, match="changed in the database"):
        await values(host, here)


async def test_without_a_key_a_secret_is_refused_and_nothing_stored(
    database_url: str, schema: str, tmp_path: Any
) -> None:
    async with Elihu(database_url, schema=schema, secret_key_file=str(tmp_path / "none")) as app:
        await app.migrate("commands")
        assert load_keyring(app.config).current is None
        host = Host(app, Sessions(app))
        with pytest.raises(SecretError, match="elihu up makes a file"):
            await make(host, name="X", secret="hidden")
        async with host.sessions.read() as session:
            assert (await variables.find_all(session)).items == []
        await host.sessions.aclose()


async def test_of_two_that_would_tie_and_are_made_at_once_one_is_refused(host: Host) -> None:
    here = await place(host, "here")
    for links in ([], [here]):
        done = await asyncio.gather(
            *(make(host, name="X", value="1", environment_ids=links) for _ in range(3)),
            return_exceptions=True,
        )
        assert sorted(isinstance(each, UUID) for each in done) == [False, False, True]


async def test_of_a_secret_and_an_argv_command_that_names_it_one_is_refused(host: Host) -> None:
    async def command() -> None:
        async with host.sessions.begin() as session:
            await commands.create(session, name="c", shell_command="curl $TOKEN", mode="argv")

    done = await asyncio.gather(
        command(), make(host, name="TOKEN", secret="hidden"), return_exceptions=True
    )
    assert sorted(isinstance(each, InvalidFields) for each in done) == [False, True]


async def test_of_the_last_two_environments_of_a_variable_one_stays(host: Host) -> None:
    here, there = await place(host, "here"), await place(host, "there")
    await make(host, name="X", value="1", environment_ids=[here, there])

    async def delete(environment_id: UUID) -> None:
        async with host.sessions.begin() as session:
            await environments.delete(session, environment_id)

    done = await asyncio.gather(delete(here), delete(there), return_exceptions=True)
    assert [type(each) for each in done if each] == [InvalidFields]
