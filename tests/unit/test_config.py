"""Settings: what each key takes, what it refuses, and what it says then."""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from elihu.config import (
    Config,
    LifelineConfig,
    PrunerConfig,
    RetentionConfig,
    StagerConfig,
    find_app,
    load_config,
)
from elihu.config.settings import known_keys
from elihu.errors import ConfigError, ElihuError

DAY = 86_400.0


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Config]:
    def call(
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> Config:
        return load_config(
            keywords=keywords, environ=environ or {}, flags=flags or {}, folder=tmp_path
        )

    return call


def nested(key: str, value: object) -> dict[str, Any]:
    head, _, rest = key.partition(".")
    return {head: nested(rest, value) if rest else value}


def read(config: Config, key: str) -> Any:
    found: Any = config
    for part in key.split("."):
        found = getattr(found, part)
    return found


def variable(key: str) -> str:
    return f"ELIHU_{key.upper().replace('.', '__')}"


def test_defaults_are_those_of_the_model(load: Callable[..., Config], tmp_path: Path) -> None:
    assert load() == Config(database_url=f"sqlite:///{tmp_path}/elihu.db")


DURATIONS = {
    "call_timeout": (0.05, 3_600),
    "poll": (0.01, 3_600),
    "poll_fallback": (0.01, 3_600),
    "heartbeat": (0.01, 3_600),
    "dead_after": (0.1, DAY),
    "lease": (0.1, 3_600),
    "grace": (0, DAY),
    "stager.interval": (0.01, 3_600),
    "lifeline.interval": (0.01, 3_600),
    "pruner.interval": (0.01, DAY),
}
WHOLES = {
    "connections": (1, 1_000),
    "stager.limit": (1, 100_000),
    "lifeline.limit": (1, 100_000),
    "pruner.limit": (1, 100_000),
}
SIZES = ("max_args", "max_result")
OUTSIDE_OF_EACH_OTHER = {"dead_after": {"heartbeat": 0.01, "call_timeout": 0.05}}
"""What must be given along with a key, so that its lowest value fits."""
AT_THE_TOP = {
    "heartbeat": {"dead_after": DAY},
    "call_timeout": {"dead_after": DAY},
}


@pytest.mark.parametrize("key", DURATIONS)
@pytest.mark.parametrize(
    ("value", "seconds"),
    [(7, 7.0), (6.5, 6.5), (timedelta(seconds=8), 8.0), ("9s", 9.0), ("9.5s", 9.5)],
)
def test_a_duration_in_every_form(
    load: Callable[..., Config], key: str, value: object, seconds: float
) -> None:
    config = load(
        **nested(key, value), **({"heartbeat": 1, "call_timeout": 1} if key == "dead_after" else {})
    )
    assert read(config, key) == seconds
    assert isinstance(read(config, key), float)


@pytest.mark.parametrize("key", DURATIONS)
def test_a_duration_at_its_bounds(load: Callable[..., Config], key: str) -> None:
    low, high = DURATIONS[key]
    assert read(load(**nested(key, low), **OUTSIDE_OF_EACH_OTHER.get(key, {})), key) == low
    assert read(load(**nested(key, high), **AT_THE_TOP.get(key, {})), key) == high


@pytest.mark.parametrize("key", DURATIONS)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "7",
        "1m1h",
        -1,
        True,
        [],
        float("nan"),
        float("inf"),
        timedelta(seconds=-1),
        10**9,
        b"1s",
    ],
)
def test_a_duration_refused(load: Callable[..., Config], key: str, value: object) -> None:
    message = refused(load, key, value)
    low, high = DURATIONS[key]
    assert f"expected a duration from {low:g} to {high:,.0f} seconds" in message


@pytest.mark.parametrize("key", [key for key, (low, _) in DURATIONS.items() if low])
def test_a_duration_must_not_be_too_short(load: Callable[..., Config], key: str) -> None:
    refused(load, key, DURATIONS[key][0] / 2)
    refused(load, key, 0)


@pytest.mark.parametrize("key", WHOLES)
def test_a_whole_number(load: Callable[..., Config], key: str) -> None:
    low, high = WHOLES[key]
    for number in (low, high):
        assert read(load(**nested(key, number)), key) == number
        assert read(load({variable(key): str(number)}), key) == number
    for value in (low - 1, high + 1, -1, 1.0, "1", "1 ", "", None.__class__, True, [1]):
        assert f"expected a whole number from {low:,} to {high:,}" in refused(load, key, value)
    for text in ("0x10", "1.0", " 1", "-1", "", "ten", "9" * 5_000, "٣"):
        assert f"expected a whole number from {low:,} to {high:,}" in refused_variable(
            load, key, text
        )


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize(
    ("value", "size"),
    [
        (64, 64),
        (2**28, 2**28),
        ("1MiB", 2**20),
        ("1.5 KiB", 1_536),
        ("64kib", 65_536),
        ("2MB", 2_000_000),
        ("100B", 100),
        ("0.25GiB", 2**28),
    ],
)
def test_a_size_in_every_form(
    load: Callable[..., Config], key: str, value: object, size: int
) -> None:
    assert read(load(**nested(key, value)), key) == size


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize(
    "value",
    [63, 2**28 + 1, "1", "1M", "MiB", "1TiB", "1 000 B", "-1KiB", "", True, 1e6, None.__class__],
)
def test_a_size_refused(load: Callable[..., Config], key: str, value: object) -> None:
    assert "expected a size from 64 to 268,435,456 bytes" in refused(load, key, value)


@pytest.mark.parametrize("text", ["true", "True", "yes", "on", "1"])
def test_truth_in_text(load: Callable[..., Config], text: str) -> None:
    assert load({"ELIHU_REQUIRE_QUEUES": text}).require_queues is True


@pytest.mark.parametrize("text", ["false", "FALSE", "no", "off", "0"])
def test_falsehood_in_text(load: Callable[..., Config], text: str) -> None:
    assert load({"ELIHU_REQUIRE_QUEUES": text}).require_queues is False


@pytest.mark.parametrize("value", [0, 1, "true", "maybe", [], ""])
def test_a_truth_value_refused(load: Callable[..., Config], value: object) -> None:
    assert "expected true or false" in refused(load, "require_queues", value)


def test_a_truth_value_refused_in_text(load: Callable[..., Config]) -> None:
    assert "expected true or false" in refused_variable(load, "require_queues", "maybe")


def test_synchronous(load: Callable[..., Config]) -> None:
    assert load(synchronous="normal").synchronous == "normal"
    for value in ("off", "FULL", "", 1, None.__class__):
        assert 'expected "full" or "normal"' in refused(load, "synchronous", value)


@pytest.mark.parametrize("value", ["a", "_", "billing_2", "a" * 41, "pgx"])
def test_a_schema(load: Callable[..., Config], value: str) -> None:
    assert load(schema=value).schema == value


@pytest.mark.parametrize(
    "value", ["", "2x", "Billing", "a-b", "a b", "a" * 42, 'a"b', "é", "a\n", "pg_x", 5, b"a"]
)
def test_a_schema_refused(load: Callable[..., Config], value: object) -> None:
    assert "expected a name of at most 41 lower-case letters" in refused(load, "schema", value)


@pytest.mark.parametrize("value", ["", "x" * 201, "a\nb", "a\0", "\x7f", "\x85", "\ud800", 5, b"n"])
def test_a_node_name_refused(load: Callable[..., Config], value: object) -> None:
    assert "expected text of 1 to 200 characters" in refused(load, "node_name", value)


@pytest.mark.parametrize("value", ["shop:app", "shop.jobs:app", "shop.jobs:registry.app", "_x1:é"])
def test_an_app(load: Callable[..., Config], value: str) -> None:
    assert load(app=value).app == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "shop",
        "shop:",
        ":app",
        "shop.:app",
        "shop:app()",
        "shop:1",
        "shop/api/jobs.py:app",
        "a:b:c",
        5,
    ],
)
def test_an_app_refused(load: Callable[..., Config], value: object) -> None:
    assert 'expected text such as "package.module:attribute"' in refused(load, "app", value)


@pytest.mark.parametrize(
    ("value", "queues"),
    [
        ({"default": 1, "mail": 10_000}, {"default": 1, "mail": 10_000}),
        ("default=10,mail=5", {"default": 10, "mail": 5}),
        (" zeta = 1 , alpha = 2 ", {"zeta": 1, "alpha": 2}),
        ("a=b=3", {"a=b": 3}),
        ({"Ærlig kø, nr. 1": 3}, {"Ærlig kø, nr. 1": 3}),
        ({}, {}),
    ],
)
def test_queues(load: Callable[..., Config], value: object, queues: dict[str, int]) -> None:
    assert list(load(queues=value).queues.items()) == list(queues.items())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "queues: expected pairs such as"),
        ("default", "queues: expected pairs such as"),
        ("default=10,", "queues: expected pairs such as"),
        ("a=1,a=2", "queues: expected each name once, got 'a' twice"),
        ("default=ten", "queues.default: expected a whole number from 1 to 10,000, got 'ten'"),
        ("=3", "queues: expected as a name text of 1 to 200 characters"),
        ({"default": 0}, "queues.default: expected a whole number from 1 to 10,000, got 0"),
        (
            {"default": 10_001},
            "queues.default: expected a whole number from 1 to 10,000, got 10001",
        ),
        ({"default": "10"}, "queues.default: expected a whole number from 1 to 10,000, got '10'"),
        ({"default": True}, "queues.default: expected a whole number from 1 to 10,000, got True"),
        (
            {"default": {"limit": 3}},
            "queues.default: expected a whole number from 1 to 10,000, got {",
        ),
        ({"": 3}, "queues: expected as a name text"),
        ({"a\nb": 3}, "queues: expected as a name text"),
        ({7: 3}, "queues: expected as a name text"),
        ({"x" * 201: 3}, "queues: expected as a name text"),
        (["default"], "queues: expected a table of names, got ['default']"),
        (10, "queues: expected a table of names, got 10"),
    ],
)
def test_queues_refused(load: Callable[..., Config], value: object, expected: str) -> None:
    assert refused(load, "queues", value).startswith(expected)


def test_retention(load: Callable[..., Config]) -> None:
    config = load(
        retention={
            "completed": "1h",
            "queues": {"mail": {"completed": 0, "discarded": "2d"}},
            "tasks": {"shop.scan": {"cancelled": timedelta(days=1)}},
        }
    )
    assert config.retention.states == {
        "completed": 3_600.0,
        "cancelled": 7 * DAY,
        "discarded": 7 * DAY,
    }
    assert config.retention.queues == {"mail": {"completed": 0.0, "discarded": 2 * DAY}}
    assert config.retention.tasks == {"shop.scan": {"cancelled": DAY}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {"completed": "long"},
            "retention.completed: expected a duration from 0 to 3,162,240,000 seconds",
        ),
        ({"executing": 5}, "retention.executing: expected a known setting, got 'executing'"),
        (
            {"queues": {"mail": "1d"}},
            (
                "retention.queues.mail: expected a table of settings (completed, cancelled, "
                "discarded), got '1d'"
            ),
        ),
        ({"queues": "mail=1"}, "retention.queues: expected a table of names, got 'mail=1'"),
        (
            {"tasks": {"scan": {"complete": 1}}},
            "retention.tasks.scan.complete: expected a known setting, got 'complete'",
        ),
        (
            {"tasks": {"scan": {"completed": -1}}},
            "retention.tasks.scan.completed: expected a duration",
        ),
        (
            "1d",
            (
                "retention: expected a table of settings (completed, cancelled, discarded, queues, "
                "tasks), got '1d'"
            ),
        ),
    ],
)
def test_retention_refused(load: Callable[..., Config], value: object, expected: str) -> None:
    assert refused(load, "retention", value).startswith(expected)


def test_parts_as_their_own_values(load: Callable[..., Config]) -> None:
    retention = RetentionConfig(states={"completed": 5.0}, queues={"mail": {"completed": 1.0}})
    config = load(
        stager=StagerConfig(limit=3),
        lifeline=LifelineConfig(),
        pruner=PrunerConfig(interval=2),
        retention=retention,
    )
    assert config.stager == StagerConfig(limit=3)
    assert config.pruner == PrunerConfig(interval=2.0)
    assert config.retention.states["completed"] == 5.0
    assert config.retention.queues == {"mail": {"completed": 1.0}}
    assert "stager.limit: expected a whole number" in refused(load, "stager", StagerConfig(limit=0))
    assert "stager: expected a table of settings (interval, limit), got Config" in refused(
        load, "stager", Config()
    )


@pytest.mark.parametrize("key", ["stager", "lifeline", "pruner", "retention"])
@pytest.mark.parametrize("value", [5, "interval=3", [], True])
def test_a_table_refused(load: Callable[..., Config], key: str, value: object) -> None:
    assert refused(load, key, value).startswith(f"{key}: expected a table of settings (")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (
            {"heartbeat": 10},
            (
                "dead_after: expected more than twice heartbeat (10 seconds, keyword heartbeat), got "
                "20 seconds (default)"
            ),
        ),
        (
            {"dead_after": 10, "call_timeout": 1},
            "dead_after: expected more than twice heartbeat (5 seconds, default), got 10 seconds",
        ),
        (
            {"call_timeout": 20},
            (
                "call_timeout: expected less than dead_after (20 seconds, default), got 20 seconds "
                "(keyword call_timeout)"
            ),
        ),
        (
            {"listen_url": "postgresql://h/d"},
            (
                "listen_url: expected no listen_url where the database is SQLite, got one (keyword "
                "listen_url)"
            ),
        ),
    ],
)
def test_settings_that_do_not_go_together(
    load: Callable[..., Config], keywords: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**keywords)
    assert str(caught.value).startswith(message)


def test_settings_that_go_together(load: Callable[..., Config]) -> None:
    config = load(heartbeat=0.1, dead_after=0.3, call_timeout=0.2)
    assert config.dead_after == 0.3


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("pol", "did you mean poll?"),
        ("database", "did you mean database_url?"),
        ("queue", "did you mean queues?"),
        ("max_arg", "did you mean max_args?"),
        ("stager.intervall", "did you mean stager.interval?"),
        ("stager.zzz", "known are stager.interval, stager.limit"),
        ("file", "known are database_url, "),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(
    load: Callable[..., Config], key: str, hint: str
) -> None:
    message = refused(load, key, 1)
    assert message.startswith(
        f"{key}: expected a known setting, got {key.rpartition('.')[2]!r} (keyword "
        f"{key.partition('.')[0]}); "
    )
    assert hint in message


def test_every_key_is_a_field_of_the_model_and_the_other_way_round() -> None:
    states = {"completed", "cancelled", "discarded"}
    modelled = {each.name for each in dataclasses.fields(Config)} - {"file"}
    for part in (StagerConfig, LifelineConfig, PrunerConfig):
        modelled |= {
            f"{part.__name__.removesuffix('Config').lower()}.{each.name}"
            for each in dataclasses.fields(part)
        }
    modelled |= {f"retention.{each}" for each in states | {"queues", "tasks"}}
    assert set(known_keys()) == modelled


def test_all_is_frozen(load: Callable[..., Config]) -> None:
    queues = {"default": 3}
    kept = {"mail": {"completed": 5}}
    config = load(queues=queues, retention={"queues": kept})
    queues["late"] = 1
    kept["mail"]["completed"] = 6
    assert config.queues == {"default": 3}
    assert config.retention.queues["mail"] == {"completed": 5.0}
    for value, field in ((config, "poll"), (config.stager, "limit"), (config.retention, "states")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field, 1)
    for mapping in (
        config.queues,
        config.retention.states,
        config.retention.queues,
        config.retention.tasks,
        config.retention.queues["mail"],
    ):
        assert isinstance(mapping, MappingProxyType)


def test_an_error_is_short_however_long_the_value(load: Callable[..., Config]) -> None:
    assert len(refused(load, "poll", "x" * 10_000)) < 300


def test_an_error_is_in_the_tree() -> None:
    assert issubclass(ConfigError, ElihuError)
    assert issubclass(ConfigError, ValueError)


def test_the_app_alone_can_be_found(tmp_path: Path) -> None:
    assert find_app(environ={}, folder=tmp_path) is None
    (tmp_path / "elihu.toml").write_text('app = "a:b"\npoll = "nonsense"\n')
    assert find_app(environ={}, folder=tmp_path) == ("a:b", f"file {tmp_path / 'elihu.toml'}")
    assert find_app(environ={"ELIHU_APP": "c:d"}, folder=tmp_path) == (
        "c:d",
        "environment variable ELIHU_APP",
    )
    assert find_app(flags={"app": "e:f"}, environ={"ELIHU_APP": "c:d"}, folder=tmp_path) == (
        "e:f",
        "flag --app",
    )
    with pytest.raises(ConfigError, match=r"app: expected text such as .*, got 'x' \(flag --app\)"):
        find_app(flags={"app": "x"}, environ={}, folder=tmp_path)


def refused(load: Callable[..., Config], key: str, value: object) -> str:
    """The message with which the key, given as a keyword, is refused."""
    with pytest.raises(ConfigError) as caught:
        load(**nested(key, value))
    message = str(caught.value)
    assert message.startswith(key.partition(".")[0])
    assert f"(keyword {key.partition('.')[0]})" in message
    return message


def refused_variable(load: Callable[..., Config], key: str, text: str) -> str:
    """The same for the environment."""
    with pytest.raises(ConfigError) as caught:
        load({variable(key): text})
    message = str(caught.value)
    assert message.startswith(f"{key}: expected")
    assert message.endswith(f"(environment variable {variable(key)})")
    return message
