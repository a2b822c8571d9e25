"""Builds the jobs of a trigger: one for a record, unique per record, tenant and input."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final

from elihu.errors import ArgumentsTooLarge
from elihu.job import NewJob
from elihu.options import SCOPES
from elihu.triggers.action import Action
from elihu.triggers.arguments import TriggerArguments, canonical, check_extra, dump
from elihu.triggers.options import TriggerOptions

INCOMPLETE: Final = SCOPES["incomplete"]


class JobBuilder:
    """Builds jobs from ``plain``, a job of the run task without arguments."""

    def __init__(
        self, name: str, options: TriggerOptions, action: Action, plain: NewJob, max_args: int
    ) -> None:
        self._name = name
        self._what = f"trigger {name}"
        self._options = options
        self._action = action
        self._plain = plain
        self._max_args = max_args

    def build(
        self,
        key: Sequence[Any],
        record: Any = None,
        *,
        tenant: Any = None,
        actor: Any = None,
        action_input: Mapping[str, Any] | None = None,
        args: Mapping[str, Any] | None = None,
    ) -> NewJob:
        """The job for one record. ``record`` is needed where ``read_metadata`` or a
        callable ``extra_args`` looks at it; ``action_input`` and ``args`` go over the
        trigger's own. Raises ``InvalidArguments`` and ``InvalidTrigger``.
        """
        options = self._options
        given = {**options.action_input, **(action_input or {})}
        metadata = dict(options.read_metadata(record)) if options.read_metadata else None
        extra = options.extra_args(record) if callable(options.extra_args) else options.extra_args
        arguments = TriggerArguments(
            key=key,
            action_input=given,
            tenant=tenant,
            actor=actor,
            metadata=metadata,
            extra=check_extra(self._what, {**(extra or {}), **(args or {})}),
        )
        if given or metadata:
            self._action.encode(given, metadata, self._max_args)
        data = dump(dict(arguments.values()), self._what)
        if len(data) > self._max_args:
            raise ArgumentsTooLarge(
                f"{self._what}: expected arguments of at most {self._max_args:,} bytes of JSON, "
                f"got {len(data):,}"
            )
        return replace(
            self._plain,
            args=data.decode(),
            unique_key=arguments.digest(self._plain.task),
            unique_scope=INCOMPLETE,
        )

    def builder(self, tenant: Any, actor: Any) -> Callable[[Sequence[Any]], NewJob]:
        """``build`` for many keys, where ``is_plain``: what is the same for all of them
        is written once.
        """
        first = self.build([None], tenant=tenant, actor=actor)
        arguments = TriggerArguments.of(json.loads(first.args), self._what)
        digest = arguments.digests(self._plain.task)
        rest = dump(
            {name: value for name, value in arguments.values() if name != "key"}, self._what
        )
        end = "," + rest[1:].decode() if len(rest) > 2 else "}"
        same = {field.name: getattr(first, field.name) for field in fields(NewJob)}

        def build(key: Sequence[Any]) -> NewJob:
            plain = len(key) == 1 and type(key[0]) is int
            text = b"[%d]" % key[0] if plain else dump(list(key), self._what)
            same["args"] = '{"key":' + text.decode() + end
            same["unique_key"] = digest(text)
            # the constructor of a frozen dataclass makes a call for each of its fields
            new = object.__new__(NewJob)
            vars(new).update(same)
            return new

        return build

    def ledger_digest(self, job: NewJob) -> bytes:
        """What the ledger of ``once`` knows a job's record by."""
        stored = json.loads(job.args)
        return TriggerArguments.of(stored, self._what).digest(self._name)

    @property
    def is_plain(self) -> bool:
        """Whether ``build`` looks at nothing of the record but its key."""
        return self._options.read_metadata is None and not callable(self._options.extra_args)


def changed_input(action: Action, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The input of one call, checked against the action's parameters."""
    if not given:
        return {}
    action.check(given, complete=False)
    canonical(dict(given))
    return given
