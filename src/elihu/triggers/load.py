"""Reads the records of a trigger's jobs: locked, and only those that match now."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from elihu.enqueue import hold
from elihu.errors import InvalidTrigger
from elihu.outcome import Cancel
from elihu.triggers.options import TriggerOptions
from elihu.triggers.records import (
    RecordKey,
    before_first_write,
    begin_writing,
    connect,
    locked,
    still_matches,
)
from elihu.triggers.records.conditions import check_select, conditions, is_callable


class RecordLoader:
    """Reads records of one trigger by their stored keys."""

    def __init__(self, key: RecordKey, options: TriggerOptions, what: str) -> None:
        self._key = key
        self._options = options
        self._what: Final = what
        self._one: Any = None

    def matching(self, session: Any, keys: Sequence[Sequence[Any]], tenant: Any) -> dict[str, Any]:
        """The records with these keys that match now, by the text of their stored keys.
        They are locked unless the trigger says otherwise.
        """
        if len(keys) == 1 and self._is_fixed(tenant):
            if self._one is None:
                self._one = self._statement(tenant).where(self._key.equals_parameters)
            rows = session.execute(self._one, self._key.parameters(keys[0]))
        else:
            rows = session.execute(self._statement(tenant).where(self._key.among(keys)))
        records = rows.unique().scalars().all()
        # A database may write a key otherwise than the job does: 1.500 for 1.5.
        if len(keys) == 1:
            return {str(list(keys[0])): record for record in records}
        places = {self._key.load(key): str(list(key)) for key in keys}
        try:
            return {places[self._key.values(record)]: record for record in records}
        except KeyError as error:
            raise InvalidTrigger(
                f"{self._what}: expected the keys {', '.join(places.values())}, got {error}"
            ) from error

    def whatever(self, session: Any, key: Sequence[Any]) -> Any:
        """The record with this key, locked, whether or not it matches; None if it is
        gone.
        """
        statement = locked(self._key, None, (), lock=True).where(self._key.equals(key))
        return session.execute(statement).unique().scalars().first()

    def check_at_first_write(
        self, session: Any, keys: Sequence[Sequence[Any]], tenant: Any
    ) -> None:
        """Without a lock: before the session first writes, lock the records, and raise
        ``Cancel`` for one that no longer matches.
        """

        def check() -> None:
            hold(begin_writing(connect(session, self._key), self._key))
            rules = self._conditions(tenant)
            if not all(still_matches(session, self._key, rules, key) for key in keys):
                raise Cancel(f"TriggerNoLongerApplies: {self._what}: the record changed meanwhile")

        before_first_write(session, check)

    def _is_fixed(self, tenant: Any) -> bool:
        """Whether the statement is the same for every job but for the key."""
        options = self._options
        return (
            not is_callable(options.where)
            and self._base() is None
            and (options.tenant_column is None or tenant is None)
        )

    def _statement(self, tenant: Any) -> Any:
        return locked(self._key, self._base(), self._conditions(tenant), lock=self._options.lock)

    def _conditions(self, tenant: Any) -> list[Any]:
        options = self._options
        return conditions(self._key, options.where, options.tenant_column, tenant, self._what)

    def _base(self) -> Callable[[], Any] | None:
        read = self._options.worker_read or self._options.read
        if read is None:
            return None
        return lambda: check_select(self._key, read(), f"{self._what}: read")
