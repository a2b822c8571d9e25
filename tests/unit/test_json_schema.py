"""JSON Schemas: what is refused when one is stored, what is said of a value, and that
neither can do harm.
"""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elihu import InvalidSchema
from elihu.json_schema.validator import Problem, Schema
from tests.support import Stopwatch

SOON = 3.0
"""Seconds, on a busy machine, within which everything here ends; unbounded, it would
take hours.
"""


def schema(root: Any) -> Schema:
    return Schema(json.dumps(root))


def problems(root: Any, value: Any) -> list[Problem]:
    return schema(root).problems(value, len(json.dumps(value)))


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a server of schemas, and what was asked of it."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/schema.json", paths
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_remote_reference_is_refused_and_not_fetched(asked: tuple[str, list[str]]) -> None:
    url, paths = asked
    for root in (
        {"$ref": url},
        {"properties": {"a": {"$ref": url}}},
        {"$defs": {"a": {"items": {"$ref": url}}}},
    ):
        with pytest.raises(InvalidSchema, match="nothing is read from elsewhere"):
            schema(root)
    assert paths == []


def test_a_reference_to_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    for reference in (
        f"file://{tmp_path}/other.json",
        f"{tmp_path}/other.json",
        "other.json",
        "#anchor",
        "urn:x",
    ):
        with pytest.raises(InvalidSchema) as refused:
            schema({"properties": {"a": {"$ref": reference}}})
        assert refused.value.place == "/properties/a/$ref"


@pytest.mark.parametrize(
    ("root", "place", "words"),
    [
        ({"type": "strin"}, "/type", 'expected one of "array"'),
        ({"properties": 3}, "/properties", "expected object, got 3"),
        ({"minimum": "x"}, "/minimum", "expected number, got 'x'"),
        ({"pattern": "("}, "/pattern", "'regex'"),
        ({"pattern": "^(?!a)b"}, "/pattern", "'regex'"),
        ({"pattern": "(a{1000}){1000}"}, "/pattern", "'regex'"),
        ({"$ref": "#/nowhere"}, "/$ref", "expected the place of a schema"),
        ({"$ref": "#/required", "required": []}, "/$ref", "expected the place of a schema"),
        (
            {"properties": {"a/b": {"$ref": "#/x"}}},
            "/properties/a~1b/$ref",
            "expected the place of a schema",
        ),
        ({"$ref": "#"}, "", "got a circle"),
        ({"allOf": [{"not": {"$ref": "#"}}]}, "", "got a circle"),
        (
            {
                "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
                "$ref": "#/$defs/a",
            },
            "",
            "got a circle",
        ),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema", "2020-12"),
        ({"items": {"$id": "https://elsewhere/"}}, "/items/$id", "one document"),
        ({"items": {"$anchor": "a"}}, "/items/$anchor", "JSON Pointer"),
        ({"$dynamicRef": "#a"}, "/$dynamicRef", "$ref"),
    ],
)
def test_a_schema_that_is_refused(root: Any, place: str, words: str) -> None:
    with pytest.raises(InvalidSchema) as refused:
        schema(root)
    assert refused.value.place == place
    assert words in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "3", "true", "{", "[" * 100_000])
def test_a_text_that_is_no_schema(text: str) -> None:
    with pytest.raises(InvalidSchema):
        Schema(text)


def test_nesting_is_bounded() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"not": deep}
    with pytest.raises(InvalidSchema, match="levels of nesting"):
        schema(deep)


def test_names_of_properties_are_no_keywords() -> None:
    root = {
        "properties": {
            "$ref": {"type": "integer"},
            "$id": {"type": "string"},
            "pattern": {"const": 1},
        },
        "enum": [{"$ref": "x"}],
    }
    assert problems(root, {"$ref": "x"}) == [("/$ref", "expected integer, got 'x'")]


@pytest.mark.parametrize(
    ("root", "value", "expected"),
    [
        ({"type": "integer"}, "x", "expected integer, got 'x'"),
        ({"type": ["integer", "null"]}, "x", "expected integer or null, got 'x'"),
        (
            {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
            [],
            "expected integer, string or null, got []",
        ),
        (
            {"oneOf": [{"minimum": 1}, {"maximum": 5}]},
            3,
            "expected a value that fits one of the alternatives, not several of them, got 3",
        ),
        ({"enum": ["a", 1]}, "b", "expected one of \"a\", 1, got 'b'"),
        ({"const": "é"}, "b", "expected \"é\", got 'b'"),
        ({"minimum": 3}, 2, "expected a number of at least 3, got 2"),
        ({"exclusiveMaximum": 3}, 3, "expected a number below 3, got 3"),
        ({"multipleOf": 2}, 3, "expected a multiple of 2, got 3"),
        ({"minLength": 1}, "", "expected at least 1 character, got ''"),
        ({"maxItems": 2}, [1, 2, 3], "expected at most 2 items, got [1, 2, 3]"),
        ({"pattern": "^a+$"}, "b", "expected text that the pattern '^a+$' finds, got 'b'"),
        ({"format": "date"}, "soon", "expected text in the format 'date', got 'soon'"),
        ({"format": "email"}, "nobody", "expected text in the format 'email', got 'nobody'"),
        ({"uniqueItems": True}, [1, 1], "expected items of which no two are equal, got [1, 1]"),
        ({"required": ["a"]}, {}, "expected a property 'a', got none"),
        (
            {"properties": {"a": {}}, "additionalProperties": False},
            {"q": 1},
            "expected no other properties, got 'q'",
        ),
        ({"not": {"type": "string"}}, "x", "expected a value that fits 'not' of the schema"),
        ({"properties": {"a": False}}, {"a": 1}, "expected no value here, got 1"),
    ],
)
def test_what_was_expected(root: Any, value: Any, expected: str) -> None:
    ((_, told),) = problems(root, value)
    assert told.startswith(expected)


def test_every_error_with_its_place_in_their_order() -> None:
    root = {
        "type": "object",
        "properties": {
            "a/b~c": {"type": "integer"},
            "lines": {"items": {"properties": {"price": {"type": "number"}}}},
        },
        "required": ["id"],
        "additionalProperties": False,
    }
    value = {"a/b~c": "x", "lines": [{"price": 1}, *({"price": "?"} for _ in range(10))], "z": 1}
    found = problems(root, value)
    assert [place for place, _ in found] == [
        "",
        "",
        "/a~1b~0c",
        *(f"/lines/{index}/price" for index in range(1, 11)),
    ]
    assert found == problems(root, dict(reversed(value.items())))


def test_many_errors_are_named_in_part() -> None:
    found = problems({"items": {"type": "integer"}}, ["x"] * 1_000)
    assert [place for place, _ in found[:3]] == ["/0", "/1", "/2"]
    assert (len(found), found[-1]) == (51, ("", "and 950 errors more"))


def test_what_fits_has_no_problems() -> None:
    tree = {
        "properties": {"kids": {"items": {"$ref": "#"}}, "n": {"$ref": "#/$defs/n"}},
        "required": ["n"],
        "$defs": {"n": {"minimum": 0}},
    }
    assert problems(tree, {"n": 1, "kids": [{"n": 2, "kids": []}, {"n": 10**400}]}) == []
    assert problems(tree, {"n": 1, "kids": [{"n": 2}, {"n": -1}]}) == [
        ("/kids/1/n", "expected a number of at least 0, got -1")
    ]
    assert problems({}, {"anything": [None, 1.5, "x"]}) == []
    assert problems({"items": {"type": "integer"}}, list(range(100_000))) == []


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "(x+x+)+y", "(a?){200}a{200}"])
def test_a_hostile_pattern_hangs_nothing(pattern: str) -> None:
    watch = Stopwatch(time.process_time)
    assert problems({"items": {"pattern": f"^{pattern}!$"}}, ["a" * 10_000] * 10) != []
    assert watch.seconds < SOON


def chain(steps: int, times: int) -> dict[str, Any]:
    """A schema that applies ``times ** steps`` subschemas to one value."""
    links = {
        f"d{step}": {"allOf": [{"$ref": f"#/$defs/d{step + 1}"}] * times} for step in range(steps)
    }
    return {"$defs": {**links, f"d{steps}": {"type": "object"}}, "$ref": "#/$defs/d0"}


def test_a_schema_that_doubles_itself_hangs_nothing() -> None:
    watch = Stopwatch(time.process_time)
    ((place, told),) = problems(chain(300, 2), {})
    assert place == ""
    assert "bounded time" in told
    assert problems(chain(10, 2), {}) == []
    assert problems(chain(1_000, 1), {}) == []
    assert watch.seconds < SOON


@pytest.mark.parametrize("depth", [14, 40, 150])
def test_a_schema_that_doubles_itself_with_each_level_of_the_value_hangs_nothing(
    depth: int,
) -> None:
    branch = {"properties": {"x": {"$ref": "#/$defs/e"}}}
    root = {
        "$defs": {
            "e": {
                "anyOf": [
                    branch | {"required": ["a"]},
                    branch | {"required": ["b"]},
                    {"type": "integer"},
                ]
            }
        },
        "$ref": "#/$defs/e",
    }
    value: Any = "?"
    for _ in range(depth):
        value = {"x": value}
    watch = Stopwatch(time.process_time)
    assert problems(root, value) != []
    assert watch.seconds < SOON


def test_many_errors_that_each_name_many_choices_hang_nothing() -> None:
    watch = Stopwatch(time.process_time)
    assert (
        problems({"items": {"enum": [[number] for number in range(5_000)]}}, [[-1]] * 20_000) != []
    )
    assert watch.seconds < SOON
