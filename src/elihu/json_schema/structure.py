"""The structure of a schema: its subschemas, where each applies, and how much work a
value takes.

References must be JSON Pointers inside the document. So the work can be counted before
it is done.
"""

import math
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from elihu.errors import InvalidSchema

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

DEEPEST: Final = 64
"""The most levels of nesting of a schema as JSON."""

_HERE_ONE: Final = ("not", "if", "then", "else")
_HERE_LISTS: Final = ("allOf", "anyOf", "oneOf")
_BELOW_ONE: Final = (
    "additionalProperties",
    "unevaluatedProperties",
    "items",
    "unevaluatedItems",
    "contains",
    "propertyNames",
)
_REFUSED: Final = {
    "$anchor": 'a "$ref" by JSON Pointer, which needs no anchor',
    "$dynamicAnchor": 'a "$ref" by JSON Pointer, which needs no anchor',
    "$dynamicRef": 'a "$ref"',
    "$recursiveRef": 'a "$ref"',
    "$vocabulary": "the standard vocabularies",
}


_WIDEST: Final = 10**18


class Part(NamedTuple):
    """A subschema and its place, a JSON Pointer."""

    place: str
    schema: Any


class _Node(NamedTuple):
    """A subschema's own cost, the subschemas that apply to the same value, and the ids
    of those that apply to its parts.
    """

    weight: int
    here: list[Any]
    below: list[int]


def pointer(path: Iterable[object]) -> str:
    """A JSON Pointer (RFC 6901) of names and numbers."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


class Structure:
    """A valid schema as a graph of subschemas. Raises ``InvalidSchema`` for keywords
    that Elihu does not support.

    ``width`` is the most applications of a subschema to one part of any value, infinite
    where the schema recurs.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._nodes: dict[int, _Node] = {}
        pending = [Part("", root)]
        while pending:
            part = pending.pop()
            if id(part.schema) in self._nodes or not isinstance(part.schema, dict):
                continue
            _check_keywords(part, is_root=part.schema is root)
            here, below = list(self._here(part)), list(_below(part))
            self._nodes[id(part.schema)] = _Node(
                1 + _heaviest(part.schema),
                [each.schema for each in here],
                [id(each.schema) for each in below],
            )
            pending += [*here, *below, *_named(part, "$defs")]
        try:
            TopologicalSorter(
                {key: [id(each) for each in node.here] for key, node in self._nodes.items()}
            ).prepare()
        except CycleError as error:
            raise InvalidSchema(
                "schema: expected references that lead into the value, got a circle"
            ) from error
        self.width = self._width()

    def steps(self, value: Any, limit: float) -> int:
        """The number of applications of a subschema to a part of ``value``, weighted
        for long texts and lists of choices. Counting ends after ``limit``.
        """
        count = 0
        pending = [(self._root, value)]
        while pending and count <= limit:
            schema, part = pending.pop()
            node = self._nodes.get(id(schema))
            if node is None:
                count += 1
                continue
            count += node.weight + (len(part) // 32 if isinstance(part, str) else 0)
            if node.here:
                pending += [(each, part) for each in node.here]
            if node.below and isinstance(part, dict | list):
                pending += _applied_below(schema, part)
        return count

    def _width(self) -> float:
        try:
            order = list(
                TopologicalSorter(
                    {key: [*map(id, node.here), *node.below] for key, node in self._nodes.items()}
                ).static_order()
            )
        except CycleError:
            return math.inf
        widths: dict[int, int] = {}
        for key in order:
            node = self._nodes.get(key)
            widths[key] = (
                1
                if node is None
                else node.weight
                + sum(widths[id(each)] for each in node.here)
                + sum(widths[each] for each in node.below)
            )
        return float(min(widths[id(self._root)], _WIDEST))

    def _here(self, part: Part) -> Iterator[Part]:
        """The subschemas that apply to the same value."""
        schema = part.schema
        for name in _HERE_ONE:
            if name in schema:
                yield Part(f"{part.place}/{name}", schema[name])
        for name in _HERE_LISTS:
            yield from (
                Part(f"{part.place}/{name}/{index}", each)
                for index, each in enumerate(schema.get(name, ()))
            )
        yield from _named(part, "dependentSchemas")
        if "$ref" in schema:
            yield self._target(part.place, schema["$ref"])

    def _target(self, place: str, reference: str) -> Part:
        found, fragment = self._root, unquote(reference[1:])
        for step in fragment.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(name)] if isinstance(found, list) else found[name]
            except (LookupError, ValueError, TypeError):
                found = None
        if not isinstance(found, dict | bool):
            raise InvalidSchema(
                f"schema{place}/$ref: expected the place of a schema in this one, got "
                f"{reference!r}",
                place=f"{place}/$ref",
            )
        return Part(fragment, found)


def check_depth(root: Any) -> None:
    """Raise ``InvalidSchema`` where the schema is nested too deeply."""
    level = [root]
    for _ in range(DEEPEST):
        level = [
            each
            for part in level
            if isinstance(part, dict | list)
            for each in (part.values() if isinstance(part, dict) else part)
        ]
    if any(isinstance(part, dict | list) for part in level):
        raise InvalidSchema(f"schema: expected at most {DEEPEST} levels of nesting, got more")


def _check_keywords(part: Part, *, is_root: bool) -> None:
    place, schema = part
    for name, instead in _REFUSED.items():
        if name in schema:
            raise InvalidSchema(
                f"schema{place}/{name}: expected {instead}, got {name!r}", place=f"{place}/{name}"
            )
    if "$id" in schema and not is_root:
        raise InvalidSchema(
            f"schema{place}/$id: expected one document, got another inside it", place=f"{place}/$id"
        )
    if schema.get("$schema", DIALECT).removesuffix("#") != DIALECT:
        raise InvalidSchema(
            f"schema{place}/$schema: expected {DIALECT!r}, got {schema['$schema']!r}",
            place=f"{place}/$schema",
        )
    reference = schema.get("$ref", "#")
    if reference != "#" and not reference.startswith("#/"):
        raise InvalidSchema(
            f'schema{place}/$ref: expected a place in this schema such as "#/$defs/address", got '
            f"{reference!r}: nothing is read from "
            "elsewhere",
            place=f"{place}/$ref",
        )


def _below(part: Part) -> Iterator[Part]:
    """The subschemas that apply to parts of the value."""
    for name in _BELOW_ONE:
        if name in part.schema:
            yield Part(f"{part.place}/{name}", part.schema[name])
    yield from (
        Part(f"{part.place}/prefixItems/{index}", each)
        for index, each in enumerate(part.schema.get("prefixItems", ()))
    )
    yield from _named(part, "properties")
    yield from _named(part, "patternProperties")


def _named(part: Part, keyword: str) -> Iterator[Part]:
    return (
        Part(f"{part.place}{pointer((keyword, name))}", each)
        for name, each in part.schema.get(keyword, {}).items()
    )


def _applied_below(
    schema: dict[str, Any], value: dict[str, Any] | list[Any]
) -> Iterator[tuple[Any, Any]]:
    """The subschemas that apply to parts of this value. It may return more: patterns
    are not matched.
    """
    if isinstance(value, list):
        prefix = schema.get("prefixItems", ())
        yield from zip(prefix, value, strict=False)
        whole = [
            schema[name] for name in ("items", "contains", "unevaluatedItems") if name in schema
        ]
        yield from ((each, part) for part in value for each in whole)
        return
    named = schema.get("properties", {})
    whole = [*schema.get("patternProperties", {}).values()]
    whole += [
        schema[name] for name in ("additionalProperties", "unevaluatedProperties") if name in schema
    ]
    for name, part in value.items():
        if name in named:
            yield named[name], part
        yield from ((each, part) for each in whole)
        if "propertyNames" in schema:
            yield schema["propertyNames"], name


def _heaviest(schema: dict[str, Any]) -> int:
    """The extra cost of its own keywords for one value."""
    return (
        len(schema.get("enum", ()))
        + len(schema.get("required", ())) // 8
        + len(schema.get("pattern", "")) // 8
    )
