"""Accounts on the test's database."""

from collections.abc import AsyncIterator

import pytest

from elihu import Elihu
from elihu.accounts import users
from elihu.accounts.models import User
from elihu.accounts.roles import COMMAND_LINE
from elihu.engines.protocol import ChainName
from elihu.orm.sessions import Sessions
from tests.fixtures.passwords import cheap_passwords

__all__ = ["cheap_passwords"]
PASSWORD = "correct horse battery"


@pytest.fixture(scope="session")
def chains() -> tuple[ChainName, ...]:
    return ("accounts",)


@pytest.fixture
async def app(database_url: str, tables: None, schema: str) -> AsyncIterator[Elihu]:
    """An app with the tables of accounts."""
    async with Elihu(database_url, schema=schema) as app:
        yield app


@pytest.fixture
async def sessions(app: Elihu) -> AsyncIterator[Sessions]:
    """Sessions on the app's database."""
    sessions = Sessions(app)
    yield sessions
    await sessions.aclose()


async def add(
    sessions: Sessions, name: str = "ann", role: str = "admin", password: str | None = PASSWORD
) -> User:
    """A stored user."""
    async with sessions.begin() as session:
        return await users.add(session, COMMAND_LINE, name, role, password)
