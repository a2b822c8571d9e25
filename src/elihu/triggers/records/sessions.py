"""The sessions that a trigger works with: of an ``async_sessionmaker``, a
``sessionmaker`` or a callable.
"""

import inspect
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from elihu.errors import InvalidTrigger
from elihu.triggers.records.keys import RecordKey

EXPECTED: Final = (
    "expected an async_sessionmaker, a sessionmaker or a callable that returns a session"
)


class Sessions:
    """Opens sessions; ``asynchronous`` where they are ``AsyncSession``s.

    A callable may take the tenant, by the name ``tenant``. ``tenant_schema`` puts the
    tenant's schema in place of the models' own.
    """

    def __init__(self, factory: Any, *, what: str, asynchronous: bool, tenant_schema: bool) -> None:
        if not callable(factory):
            raise InvalidTrigger(f"{what}: sessions: {EXPECTED}, got {factory!r}")
        self._factory: Callable[..., Any] = factory
        self._takes_tenant = not isinstance(
            factory, async_sessionmaker | sessionmaker
        ) and "tenant" in _parameters(factory)
        self._tenant_schema = tenant_schema
        known = kind_of(factory)
        self.asynchronous = asynchronous if known is None else known

    def open(self, tenant: Any) -> Any:
        """A new session for this tenant."""
        session = self._factory(tenant=tenant) if self._takes_tenant else self._factory()
        expected = AsyncSession if self.asynchronous else Session
        if not isinstance(session, expected):
            raise InvalidTrigger(
                f"sessions: expected the factory to return a {expected.__name__}, got "
                f"{type(session).__name__}"
            )
        return session

    def connect(self, session: Session, key: RecordKey, tenant: Any) -> Connection:
        """The connection of a synchronous session, or of the one below an
        ``AsyncSession``, to the table of the records, in a transaction of the tenant.
        """
        if self._tenant_schema and tenant is not None:
            return connect(session, key, schema_translate_map={None: str(tenant)})
        return connect(session, key)


def connect(session: Session, key: RecordKey, **options: Any) -> Connection:
    """The session's connection to the table of the records, in its transaction."""
    return session.connection(bind_arguments={"mapper": key.mapper}, execution_options=options)


def kind_of(factory: Any) -> bool | None:
    """Whether the factory makes ``AsyncSession``s; None where only a call can tell."""
    if isinstance(factory, async_sessionmaker | async_scoped_session):
        return True
    if isinstance(factory, sessionmaker):
        return False
    try:
        returns = inspect.signature(factory, eval_str=True).return_annotation
    except (NameError, TypeError, ValueError):
        return None
    if isinstance(returns, type):
        if issubclass(returns, AsyncSession):
            return True
        if issubclass(returns, Session):
            return False
    return None


def _parameters(factory: Callable[..., Any]) -> frozenset[str]:
    try:
        return frozenset(inspect.signature(factory).parameters)
    except (TypeError, ValueError):
        return frozenset()
