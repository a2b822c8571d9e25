"""Settings: what each key takes, what it refuses, and what it says then."""

import dataclasses
from collections.abc import Callable
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
)
from elihu.config.model import CommandsConfig, WebConfig
from elihu.config.settings import known_keys
from elihu.config.slots import Slots, prefetch_of, shown_slots
from elihu.errors import ConfigError, ElihuError
from tests.unit.configs import DAY, refused


def test_defaults_are_those_of_the_model(load: Callable[..., Config], tmp_path: Path) -> None:
    assert load() == Config(database_url=f"sqlite:///{tmp_path}/elihu.db")


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
    "value",
    [
        {"default": {"limit": 10, "prefetch": 1_000}, "mail": 5, "web": {"limit": 5}},
        {"default": Slots(10, 1_000), "mail": 5, "web": {"limit": 5, "prefetch": 0}},
        "default=10+1000,mail=5,web=5+0",
    ],
)
def test_queues_whose_jobs_wait(load: Callable[..., Config], value: object) -> None:
    queues = load(queues=value).queues
    assert queues == {"default": 10, "mail": 5, "web": 5}
    assert {name: prefetch_of(slots) for name, slots in queues.items()} == {
        "default": 1_000,
        "mail": 0,
        "web": 0,
    }
    assert [shown_slots(slots) for slots in queues.values()] == ["10+1000", "5", "5"]


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
            {"default": {"limit": 0}},
            "queues.default: expected as limit a whole number from 1 to 10,000, got 0",
        ),
        (
            {"default": {"limit": 3, "prefetch": 1_001}},
            "queues.default: expected as prefetch a whole number from 0 to 1,000, got 1001",
        ),
        (
            {"default": {"limit": 3, "prefetch": "5"}},
            "queues.default: expected as prefetch a whole number from 0 to 1,000, got '5'",
        ),
        ("default=3+1001", "queues.default: expected as prefetch a whole number from 0 to 1,000"),
        ("default=3+", "queues.default: expected a whole number from 1 to 10,000, got '3+'"),
        ({"default": {"prefetch": 3}}, "queues.default: expected a table of limit and, where"),
        (
            {"default": {"limit": 3, "most": 3}},
            "queues.default: expected a table of limit and, where it has one, prefetch, got {",
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
                "dead_after: expected more than twice heartbeat (10 seconds, keyword heartbeat), "
                "got "
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
    for part in (StagerConfig, LifelineConfig, PrunerConfig, CommandsConfig, WebConfig):
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
    django = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    assert find_app(environ=django, folder=tmp_path) == (
        "elihu.contrib.django:app",
        "environment variable DJANGO_SETTINGS_MODULE",
    )
    assert find_app(environ=django | {"ELIHU_APP": "c:d"}, folder=tmp_path) == (
        "c:d",
        "environment variable ELIHU_APP",
    )
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
