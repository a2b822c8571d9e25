"""Where settings come from, and which level wins."""

from pathlib import Path
from typing import Any

import pytest

from elihu.config import Config, load_config
from elihu.errors import ConfigError


def load(folder: Path, environ: dict[str, str] | None = None, **more: Any) -> Config:
    return load_config(environ=environ or {}, folder=folder, **more)


@pytest.mark.parametrize(
    ("levels", "winner"),
    [
        ({"flag", "keyword", "environment", "file"}, "flag"),
        ({"keyword", "environment", "file"}, "keyword"),
        ({"environment", "file"}, "environment"),
        ({"file"}, "file"),
        (set(), "default"),
        ({"flag", "file"}, "flag"),
        ({"flag", "environment"}, "flag"),
        ({"keyword", "file"}, "keyword"),
    ],
)
@pytest.mark.parametrize("key", ["poll", "stager.limit", "schema", "queues", "retention.completed"])
def test_precedence(tmp_path: Path, levels: set[str], winner: str, key: str) -> None:
    values: dict[str, dict[str, Any]] = {
        "poll": {"flag": "11", "keyword": 12, "environment": "13", "file": 14, "default": 5.0},
        "stager.limit": {
            "flag": {"limit": 11},
            "keyword": {"limit": 12},
            "environment": "13",
            "file": {"limit": 14},
            "default": 5_000,
        },
        "schema": {
            "flag": "eleven",
            "keyword": "twelve",
            "environment": "thirteen",
            "file": "fourteen",
            "default": "elihu",
        },
        "queues": {
            "flag": "a=11",
            "keyword": {"a": 12},
            "environment": "a=13",
            "file": {"a": 14},
            "default": {"default": 10},
        },
        "retention.completed": {
            "flag": {"completed": 11},
            "keyword": {"completed": 12},
            "environment": "13",
            "file": {"completed": 14},
            "default": 86_400.0,
        },
    }
    given = values[key]
    top = key.partition(".")[0]
    if "file" in levels:
        (tmp_path / "elihu.toml").write_text(f"{top} = {toml(given['file'])}\n")
    config = load(
        tmp_path,
        {f"ELIHU_{key.upper().replace('.', '__')}": given["environment"]}
        if "environment" in levels
        else {},
        keywords={top: given["keyword"]} if "keyword" in levels else {},
        flags={top: given["flag"]} if "flag" in levels else {},
    )
    found: Any = {
        "poll": config.poll,
        "stager.limit": config.stager.limit,
        "schema": config.schema,
        "queues": dict(config.queues),
        "retention.completed": config.retention.states["completed"],
    }[key]
    wanted: Any = given[winner]
    if winner != "default":
        number = {"flag": 11, "keyword": 12, "environment": 13, "file": 14}[winner]
        wanted = wanted if key == "schema" else {"a": number} if key == "queues" else number
    assert found == wanted


def test_tables_merge_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "elihu.toml").write_text("[stager]\ninterval = 2\nlimit = 20\n")
    config = load(tmp_path, {"ELIHU_STAGER__LIMIT": "30"}, keywords={"stager": {}})
    assert (config.stager.interval, config.stager.limit) == (2.0, 30)


def test_queues_replace_those_below_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "elihu.toml").write_text("[queues]\nmail = 3\n")
    assert load(tmp_path).queues == {"mail": 3}
    assert load(tmp_path, {"ELIHU_QUEUES": "other=1"}).queues == {"other": 1}
    assert load(
        tmp_path, {"ELIHU_QUEUES__MAIL": "9"}, keywords={"queues": {"other": 1}}
    ).queues == {"other": 1}


def test_a_variable_sets_one_entry(tmp_path: Path) -> None:
    assert load(tmp_path, {"ELIHU_QUEUES__MAIL": "5"}).queues == {"default": 10, "mail": 5}
    assert load(
        tmp_path, {"ELIHU_QUEUES": "default=10,mail=5", "ELIHU_QUEUES__MAIL": "7"}
    ).queues == {"default": 10, "mail": 7}
    (tmp_path / "elihu.toml").write_text("[queues]\nmail = 3\n")
    assert load(tmp_path, {"ELIHU_QUEUES__MAIL": "4"}).queues == {"mail": 4}
    config = load(tmp_path, {"ELIHU_RETENTION__QUEUES__MAIL__COMPLETED": "1h"})
    assert config.retention.queues == {"mail": {"completed": 3_600.0}}


def test_numbers_are_text_in_the_environment_and_in_flags(tmp_path: Path) -> None:
    environ = {
        "ELIHU_POLL": "7",
        "ELIHU_GRACE": "1h30m",
        "ELIHU_MAX_ARGS": "100",
        "ELIHU_MAX_RESULT": "1MiB",
        "ELIHU_LEASE": "2.5",
    }
    config = load(tmp_path, environ, flags={"heartbeat": "0.5"})
    assert (config.poll, config.grace, config.max_args, config.max_result, config.lease) == (
        7.0,
        5_400.0,
        100,
        2**20,
        2.5,
    )
    assert config.heartbeat == 0.5


def test_none_is_not_given(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {"ELIHU_POLL": "7"},
        keywords={"poll": None, "unheard_of": None},
        flags={"poll": None},
    )
    assert config.poll == 7.0


def test_a_value_that_loses_is_not_judged(tmp_path: Path) -> None:
    assert load(tmp_path, {"ELIHU_POLL": "nonsense"}, keywords={"poll": 3}).poll == 3.0


@pytest.mark.parametrize(
    ("how", "label"),
    [
        ({"flags": {"database_url": "x"}}, "flag --database"),
        ({"flags": {"call_timeout": "x"}}, "flag --call-timeout"),
        ({"keywords": {"poll": "x"}}, "keyword poll"),
        ({"keywords": {"stager": {"limit": "x"}}}, "keyword stager"),
        ({"environ": {"ELIHU_POLL": "x"}}, "environment variable ELIHU_POLL"),
        ({"environ": {"ELIHU_STAGER__LIMIT": "x"}}, "environment variable ELIHU_STAGER__LIMIT"),
        ({"environ": {"ELIHU_QUEUES": "x"}}, "environment variable ELIHU_QUEUES"),
        ({"environ": {"ELIHU_QUEUES__MAIL": "x"}}, "environment variable ELIHU_QUEUES__MAIL"),
        ({"environ": {"ELIHU_STAGER": "x"}}, "environment variable ELIHU_STAGER"),
        ({"environ": {"ELIHU_SCHEMA": ""}}, "environment variable ELIHU_SCHEMA"),
    ],
)
def test_an_error_says_where_the_value_stood(
    tmp_path: Path, how: dict[str, Any], label: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(**{"environ": {}, "folder": tmp_path, **how})
    assert str(caught.value).endswith(f"({label})")
    assert ": expected " in str(caught.value)
    assert ", got " in str(caught.value)


def test_an_error_says_in_which_file(tmp_path: Path) -> None:
    (tmp_path / "elihu.toml").write_text("[stager]\nlimit = 0\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        "stager.limit: expected a whole number from 1 to 100,000, got 0 (file "
        f"{tmp_path / 'elihu.toml'})"
    )


def test_an_unknown_key_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "elihu.toml").write_text("pol = 3\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        "pol: expected a known setting, got 'pol' (file "
        f"{tmp_path / 'elihu.toml'}); did you mean poll?"
    )


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("ELIHU_POL", "did you mean ELIHU_POLL?"),
        ("ELIHU_STAGER__INTERVALL", "did you mean ELIHU_STAGER__INTERVAL?"),
        ("ELIHU_STAGER_INTERVAL", "did you mean ELIHU_STAGER__INTERVAL?"),
        ("ELIHU_POLL__X", "poll is no table"),
        ("ELIHU_QUEUES__MAIL__LIMITS", "queues.mail is no table"),
        ("ELIHU_", "known are ELIHU_DATABASE_URL, "),
        ("ELIHU_SERVICE_HOST", "known are ELIHU_DATABASE_URL, "),
        ("ELIHU_FILE", "known are ELIHU_DATABASE_URL, "),
    ],
)
def test_an_unknown_variable(tmp_path: Path, variable: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {variable: "hidden"})
    message = str(caught.value)
    assert "expected a known setting" in message
    assert f"(environment variable {variable})" in message
    assert hint in message
    assert "hidden" not in message


@pytest.mark.parametrize(
    "variable",
    ["ELIHU_TEST_DATABASE", "ELIHUX", "elihu_poll"],
)
def test_variables_that_are_not_ours_to_judge(tmp_path: Path, variable: str) -> None:
    assert load(tmp_path, {variable: "x"}) == load(tmp_path)


def test_the_keys_of_secrets(tmp_path: Path) -> None:
    assert load(tmp_path, {"ELIHU_SECRET_KEY": "a b"}).secret_key == "a b"
    assert load(tmp_path, {"ELIHU_SECRET_KEY_FILE": "/run/key"}).secret_key_file == "/run/key"


def test_the_variables_of_a_kubernetes_service_named_elihu(tmp_path: Path) -> None:
    environ = {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "ELIHU_SERVICE_HOST": "10.0.0.2",
        "ELIHU_WEB_SERVICE_PORT_HTTP": "80",
        "ELIHU_PORT": "tcp://10.0.0.2:80",
        "ELIHU_PORT_80_TCP": "tcp://10.0.0.2:80",
        "ELIHU_PORT_80_TCP_ADDR": "10.0.0.2",
        "ELIHU_POLL": "3",
    }
    assert load(tmp_path, environ).poll == 3.0
    with pytest.raises(ConfigError, match="ELIHU_POL"):
        load(tmp_path, {**environ, "ELIHU_POL": "3"})


def test_the_app_in_the_environment(tmp_path: Path) -> None:
    assert load(tmp_path, {"ELIHU_APP": "shop:app"}).app == "shop:app"


def test_neither_environment_nor_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elihu.toml").write_text("nonsense")
    monkeypatch.setenv("ELIHU_NONSENSE", "1")
    config = load_config(folder=tmp_path, read_files=False, read_environment=False)
    assert config.poll == 5.0
    assert config.file is None


def test_the_environment_and_folder_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELIHU_POLL", "3")
    config = load_config()
    assert config.poll == 3.0
    assert config.database_url == f"sqlite:///{tmp_path}/elihu.db"


def test_the_nearest_file_upwards(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "elihu.toml").write_text("poll = 11\n")
    assert load(below).poll == 11.0
    assert load(below).file == tmp_path / "elihu.toml"
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert load(below).poll == 11.0
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.elihu]\npoll = 12\n")
    assert load(below).poll == 12.0
    assert load(below).file == tmp_path / "a" / "pyproject.toml"
    (tmp_path / "a" / "elihu.toml").write_text("poll = 13\n")
    assert load(below).poll == 13.0
    assert load(below).stager.limit == 5_000


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        """
        [tool.elihu]
        app = "shop:app"
        database_url = "sqlite:///data/jobs.db"
        schema = "billing"
        grace = "1m"
        max_args = "2MiB"

        [tool.elihu.queues]
        default = 20
        "a queue" = 1

        [tool.elihu.stager]
        interval = 0.5

        [tool.elihu.retention]
        completed = "2d"
        queues.mail.completed = "1h"
        tasks."shop.scan".discarded = 5
        """
    )
    config = load(tmp_path)
    assert (config.app, config.grace, config.max_args) == ("shop:app", 60.0, 2**21)
    assert config.database_url == f"sqlite:///{tmp_path}/data/jobs-billing.db"
    assert config.queues == {"default": 20, "a queue": 1}
    assert config.stager.interval == 0.5
    assert config.retention.states["completed"] == 172_800.0
    assert config.retention.queues == {"mail": {"completed": 3_600.0}}
    assert config.retention.tasks == {"shop.scan": {"discarded": 5.0}}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("elihu.toml", b"poll = ", "configuration: expected TOML, got an error: "),
        ("elihu.toml", b"\xff\xfe", "configuration: expected UTF-8 text, got other bytes"),
        ("pyproject.toml", b"[tool.elihu", "configuration: expected TOML, got an error: "),
        ("pyproject.toml", b"[tool]\nelihu = 3", "configuration: expected a table of settings ("),
        ("elihu.toml", b"[tool.elihu]\npoll = 3", "tool: expected a known setting, got 'tool'"),
        ("elihu.toml", b"poll = 2026-11-20", "poll: expected a duration"),
    ],
)
def test_a_broken_file(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(expected)
    assert f"(file {tmp_path / name})" in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: Path, **options: Any) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "elihu.toml").touch()
    monkeypatch.setattr(Path, "read_text", deny)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    expected = (
        "configuration: expected a file that can be read, got Permission "
        f"denied (file {tmp_path / 'elihu.toml'})"
    )
    assert str(caught.value) == expected


def toml(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{key} = {toml(below)}" for key, below in value.items()) + "}"
        case str():
            return f'"{value}"'
    return str(value)
