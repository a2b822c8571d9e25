"""The digest of the fields that must be unique about a job."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from elihu.options import Unique
from elihu.task.json_paths import parts


def digest(
    unique: Unique,
    *,
    task: str,
    valid: Mapping[str, Any],
    data: bytes,
    queue: str,
    meta: Mapping[str, Any],
) -> bytes:
    """SHA-256 of one canonical JSON text of the fields that ``unique`` compares.

    ``valid`` are the validated arguments and ``data`` their JSON. The order of a set in
    JSON differs between processes, so its members are sorted by their text.
    """
    fields: dict[str, Any] = {}
    for name in unique.by:
        match name:
            case "task":
                fields[name] = task
            case "args":
                stored = _sort_sets(valid, from_json(data))
                fields[name] = (
                    stored
                    if unique.keys is None
                    else {key: stored[key] for key in unique.keys if key in stored}
                )
            case "queue":
                fields[name] = queue
            case "meta":
                fields[name] = dict(meta)
    return hashlib.sha256(_canonical(fields).encode()).digest()


def _canonical(tree: Any) -> str:
    return json.dumps(
        tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _sort_sets(value: Any, tree: Any) -> Any:
    if isinstance(tree, list):
        inner = [part for _, part in parts(value)]
        if len(inner) != len(tree):
            return tree
        ordered = [_sort_sets(part, holder) for part, holder in zip(inner, tree, strict=True)]
        return sorted(ordered, key=_canonical) if isinstance(value, set | frozenset) else ordered
    if isinstance(tree, dict):
        by_order = isinstance(value, dict) and len(value) == len(tree)
        holders = dict(zip(tree, value.values(), strict=True)) if by_order else dict(parts(value))
        return {key: _sort_sets(holders.get(key), holder) for key, holder in tree.items()}
    return tree
