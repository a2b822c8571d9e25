"""Tenants and actors: whose records a trigger sees, and on whose behalf it acts."""

import inspect
from collections.abc import Sequence
from typing import Any

from elihu.errors import InvalidTrigger
from elihu.triggers.host import TriggerDefaults
from elihu.triggers.options import ActorPersister, TriggerOptions


async def tenants_of(options: TriggerOptions, defaults: TriggerDefaults, what: str) -> list[Any]:
    """The tenants of one scan; ``[None]`` where there are none."""
    given = options.tenants if options.tenants is not None else defaults.tenants
    if given is None:
        return [None]
    found = given() if callable(given) else given
    if inspect.isawaitable(found):
        found = await found
    if isinstance(found, str) or not isinstance(found, Sequence | set | frozenset):
        raise InvalidTrigger(f"{what}: tenants: expected a list of tenants, got {found!r}")
    return list(found)


def tenant_of_record(options: TriggerOptions, defaults: TriggerDefaults, record: Any) -> Any:
    """The tenant that a record itself names; None where nothing says so."""
    reader = options.tenant_from_record or defaults.tenant_from_record
    if reader is not None:
        return reader(record)
    if options.tenant_column is not None:
        return getattr(record, options.tenant_column.key)
    return None


def persister_of(options: TriggerOptions, defaults: TriggerDefaults) -> ActorPersister | None:
    """The persister that applies."""
    return options.actor_persister or defaults.actor_persister


async def store_actor(options: TriggerOptions, defaults: TriggerDefaults, actor: Any) -> Any:
    """The stored JSON of ``actor``, or of the default actor where it is None."""
    chosen = actor if actor is not None else options.default_actor
    if chosen is None:
        chosen = defaults.default_actor
    persister = persister_of(options, defaults)
    if chosen is None or persister is None:
        return chosen
    stored = persister.store(chosen)
    return await stored if inspect.isawaitable(stored) else stored


def lookup_actor(options: TriggerOptions, defaults: TriggerDefaults, stored: Any) -> Any:
    """The actor of a job, or an awaitable of it."""
    persister = persister_of(options, defaults)
    return stored if persister is None else persister.lookup(stored)
