"""The arguments of a trigger's jobs: one JSON object, with what ``extra_args`` adds at
its top level.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import PydanticSerializationError, from_json, to_json

from elihu.errors import ArgumentsTooLarge, InvalidArguments, InvalidTrigger
from elihu.task import Codec, show
from elihu.task.plain_json import NotPlainJson, check_plain

RESERVED: Final = frozenset({"key", "action_input", "tenant", "actor", "metadata"})


@dataclass(slots=True, kw_only=True)  # frozen, each field would cost a call
class TriggerArguments:
    """What a trigger's job is about: the key of a record, and what the action gets.

    ``action_input`` and ``metadata`` are plain JSON, ``actor`` is what the persister
    stored.
    """

    key: Sequence[Any]
    action_input: Mapping[str, Any] = field(default_factory=dict)
    tenant: Any = None
    actor: Any = None
    metadata: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any], what: str) -> "TriggerArguments":
        """What a job's arguments say. Raises ``InvalidArguments``."""
        key, given = stored.get("key"), stored.get("action_input") or {}
        if not isinstance(key, list) or not isinstance(given, dict):
            raise InvalidArguments(
                f"{what}: expected a key (a list) and action_input (an object), got {show(stored)}"
            )
        return cls(
            key=key,
            action_input=given,
            tenant=stored.get("tenant"),
            actor=stored.get("actor"),
            metadata=stored.get("metadata"),
            extra={name: value for name, value in stored.items() if name not in RESERVED},
        )

    def values(self) -> Iterator[tuple[str, Any]]:
        """The members of the JSON object; what is absent is left out."""
        yield "key", list(self.key)
        if self.action_input:
            yield "action_input", dict(self.action_input)
        for name in ("tenant", "actor", "metadata"):
            if (value := getattr(self, name)) is not None:
                yield name, value
        yield from self.extra.items()

    def digest(self, task: str) -> bytes:
        """What is unique about the job: SHA-256 of task, tenant, action input and key."""
        rest = canonical([task, self.tenant, dict(self.action_input)])
        return hashlib.sha256(rest + dump(list(self.key), task)).digest()

    def digests(self, task: str) -> "Callable[[bytes], bytes]":
        """``digest`` for the JSON of other keys, with all else equal."""
        begun = hashlib.sha256(canonical([task, self.tenant, dict(self.action_input)]))

        def digest(key: bytes) -> bytes:
            whole = begun.copy()
            whole.update(key)
            return whole.digest()

        return digest


class TriggerCodec(Codec):
    """A job's arguments as the one object that the run function takes whole."""

    @property
    def names(self) -> frozenset[str]:
        return RESERVED

    def encode_values(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], limit: int
    ) -> tuple[dict[str, Any], bytes]:
        values = dict(kwargs)
        data = dump(values, "trigger")
        if len(data) > limit:
            raise ArgumentsTooLarge(
                f"trigger: expected arguments of at most {limit:,} bytes of JSON, got {len(data):,}"
            )
        return values, data

    def decode(self, text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (from_json(text),), {}


def canonical(tree: Any) -> bytes:
    """One JSON text for equal values."""
    return json.dumps(
        tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def dump(value: Any, what: str) -> bytes:
    """The JSON of a value that every database can hold. Raises ``InvalidArguments``."""
    try:
        check_plain(value)
        return to_json(value)
    except NotPlainJson as error:
        raise InvalidArguments(f"{what}: {error}") from error
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidArguments(f"{what}: expected JSON values, got {show(value)}") from error


def check_extra(what: str, extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``extra``. Raises ``InvalidTrigger`` for a name that the job itself uses."""
    if taken := sorted(RESERVED & extra.keys()):
        raise InvalidTrigger(
            f"{what}: extra_args: expected other names than {', '.join(sorted(RESERVED))}, got "
            f"{', '.join(taken)}"
        )
    return extra
