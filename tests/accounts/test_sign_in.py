"""Sign-in, sessions, keys, and the limits of attempts."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from elihu import InvalidOption, SignInRefused, TooManySignIns
from elihu.accounts import audit, keys, sign_in, signed_in, tokens, users
from elihu.accounts.models import ApiKey, AuditEntry, SignedIn, SignInLimit
from elihu.accounts.roles import COMMAND_LINE
from elihu.orm.sessions import Sessions, now
from tests.accounts.conftest import PASSWORD, add

HERE = "192.0.2.7"


async def enter(
    sessions: Sessions, name: str = "ann", password: str = PASSWORD, address: str = HERE
) -> str:
    """Sign in and return the token."""
    token, _ = await sign_in.sign_in(sessions, name, password, address=address, browser="test")
    return token


async def entries(sessions: Sessions) -> Sequence[AuditEntry]:
    async with sessions.read() as session:
        return (await audit.find_all(session)).items


async def made_key(sessions: Sessions, user: Any, **values: Any) -> str:
    """The text of a new key."""
    given: dict[str, Any] = {"name": "ci", "role": "run"} | values
    async with sessions.begin() as session:
        owner = await users.get(session, user.id)
        _, text = await keys.add(session, COMMAND_LINE, owner, **given)
    return text


async def test_a_token_is_stored_as_its_digest_alone(sessions: Sessions) -> None:
    await add(sessions)
    token = await enter(sessions)
    async with sessions.read() as session:
        (row,) = (await session.scalars(select(SignedIn))).all()
        assert row.digest == tokens.digest(token)
        assert token not in {str(value) for value in vars(row).values()}
        found = await signed_in.find(session, token)
        assert found is not None
        assert found[1].name == "ann"
        assert await signed_in.find(session, token + "x") is None
        assert await signed_in.find(session, "x" * 10_000) is None


async def test_each_sign_in_has_a_token_of_its_own(sessions: Sessions) -> None:
    await add(sessions)
    one, two = await enter(sessions), await enter(sessions)
    assert one != two
    async with sessions.begin() as session:
        assert await signed_in.end(session, one)
        assert not await signed_in.end(session, one)
    async with sessions.read() as session:
        assert await signed_in.find(session, one) is None
        assert await signed_in.find(session, two) is not None


@pytest.mark.parametrize("values", [{"expires_at": -1}, {"seen_at": -8 * 86_400}])
async def test_an_old_session_has_ended(sessions: Sessions, values: dict[str, float]) -> None:
    await add(sessions)
    token = await enter(sessions)
    async with sessions.begin() as session:
        moment = await now(session)
        aged = {name: moment + timedelta(seconds=by) for name, by in values.items()}
        await session.execute(update(SignedIn).values(**aged))
    async with sessions.read() as session:
        assert await signed_in.find(session, token) is None


async def test_a_user_has_a_bounded_number_of_sessions(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed_in, "MOST", 3)
    ann = await add(sessions)
    made = [await enter(sessions) for _ in range(5)]
    async with sessions.read() as session:
        assert len(await signed_in.of_user(session, ann.id)) == 3
        assert await signed_in.find(session, made[0]) is None
        assert await signed_in.find(session, made[-1]) is not None


async def test_a_refusal_does_not_say_which_was_wrong(sessions: Sessions) -> None:
    await add(sessions)
    await add(sessions, "keys only", "edit", None)
    refused = []
    for name, password in (("ann", "wrong"), ("bob", PASSWORD), ("keys only", PASSWORD)):
        with pytest.raises(SignInRefused) as error:
            await enter(sessions, name, password)
        refused.append(str(error.value))
    assert len(set(refused)) == 1
    assert [entry.action for entry in (await entries(sessions))[:3]] == ["sign_in.refused"] * 3


async def test_a_disabled_user_is_refused(sessions: Sessions) -> None:
    await add(sessions, "root")
    ann = await add(sessions, "ann", "edit")
    async with sessions.begin() as session:
        await users.change(session, COMMAND_LINE, await users.get(session, ann.id), enabled=False)
    with pytest.raises(SignInRefused):
        await enter(sessions)


async def test_the_sixth_attempt_from_one_address_waits_even_with_the_right_password(
    sessions: Sessions,
) -> None:
    await add(sessions)
    for _ in range(sign_in.PER_PAIR):
        with pytest.raises(SignInRefused):
            await enter(sessions, password="wrong password")
    with pytest.raises(TooManySignIns) as refused:
        await enter(sessions)
    assert 0 < refused.value.retry_after <= 900
    assert await enter(sessions, address="198.51.100.1")


async def test_an_address_is_limited_over_all_names(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "PER_ADDRESS", 4)
    await add(sessions)
    for number in range(sign_in.PER_ADDRESS):
        with pytest.raises(SignInRefused):
            await enter(sessions, f"user {number}")
    with pytest.raises(TooManySignIns):
        await enter(sessions)


async def test_attempts_at_once_gain_nothing(sessions: Sessions) -> None:
    await add(sessions)
    ends = await asyncio.gather(
        *(enter(sessions, password="wrong password") for _ in range(12)), return_exceptions=True
    )
    refused = [end for end in ends if isinstance(end, SignInRefused)]
    waiting = [end for end in ends if isinstance(end, TooManySignIns)]
    assert len(refused) <= sign_in.PER_PAIR
    assert len(refused) + len(waiting) == 12


async def test_a_right_sign_in_and_the_end_of_the_window_clear_the_count(
    sessions: Sessions,
) -> None:
    await add(sessions)
    for _ in range(2):
        for _ in range(sign_in.PER_PAIR - 1):
            with pytest.raises(SignInRefused):
                await enter(sessions, password="wrong password")
        await enter(sessions)
    async with sessions.begin() as session:
        past = await now(session) - sign_in.WINDOW - timedelta(seconds=1)
        await session.execute(update(SignInLimit).values(begun_at=past, attempts=99))
    assert await enter(sessions)


async def test_a_key_is_stored_as_its_digest_and_expires(sessions: Sessions) -> None:
    ann = await add(sessions)
    text = await made_key(sessions, ann, areas=["runs", "commands"], lifetime=timedelta(days=1))
    async with sessions.read() as session:
        found = await keys.find(session, text)
        assert found is not None
        key, _ = found
        assert key.digest == tokens.digest(text)
        assert text.startswith(key.start)
        assert len(key.start) < 15
        assert keys.areas_of(key) == frozenset({"runs", "commands"})
        assert await keys.find(session, text[:-1]) is None
        assert text not in str((await audit.find_all(session)).items[0].after)
    async with sessions.begin() as session:
        past = await now(session) - timedelta(seconds=1)
        await session.execute(update(ApiKey).values(expires_at=past))
    async with sessions.read() as session:
        assert await keys.find(session, text) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"role": "edit"}, "role: expected at most run, the role of bob, got edit"),
        ({"role": "boss"}, "role: expected one of"),
        ({"areas": ["everything"]}, "areas: expected some of .* got 'everything'"),
        ({"areas": []}, "areas: expected one at least"),
        ({"lifetime": timedelta(days=-1)}, "lifetime: expected"),
        ({"name": ""}, "name: expected"),
    ],
)
async def test_bad_keys_are_refused(
    sessions: Sessions, values: dict[str, Any], message: str
) -> None:
    bob = await add(sessions, "bob", "run")
    with pytest.raises(InvalidOption, match=message):
        await made_key(sessions, bob, **values)
    async with sessions.read() as session:
        assert await keys.find_all(session) == []


async def test_a_revoked_key_signs_in_no_more(sessions: Sessions) -> None:
    text = await made_key(sessions, await add(sessions))
    async with sessions.begin() as session:
        found = await keys.find(session, text)
        assert found is not None
        await keys.revoke(session, COMMAND_LINE, found[0])
    async with sessions.read() as session:
        assert await keys.find(session, text) is None


def test_the_token_of_forms_belongs_to_one_session() -> None:
    one, two = tokens.new_token(), tokens.new_token()
    assert tokens.is_form_token(tokens.form_token(one), one)
    assert not tokens.is_form_token(tokens.form_token(one), two)
    assert not tokens.is_form_token(None, one)
    assert not tokens.is_form_token("\udcff", one)
