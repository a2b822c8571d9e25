"""Tables and lists of the documentation that repeat the code."""

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import click
import pytest

import elihu.errors
import oracle.table
from elihu import ElihuError, Job, JobState, RunOutcome, Template, Unique
from elihu.api.templates import When
from elihu.cli.main import COMMANDS, cli
from elihu.config import Config
from elihu.config.checks import InvalidValue
from elihu.config.settings import SETTINGS, Named, Node, Table, known_keys
from elihu.task.options import TaskKeywords, UsingKeywords
from oracle.mutants import MUTANTS
from oracle.scenarios import SCENARIOS

DOCS = Path(__file__).parents[2] / "docs"


def tables(page: str) -> list[list[dict[str, str]]]:
    """Every table of a guide: its rows by the heads of the columns."""
    found = []
    for block in re.findall(r"(?:^\|.*\n?)+", (DOCS / page).read_text(), re.MULTILINE):
        head, _, *rows = (
            [cell.strip() for cell in line.strip("|").split(" | ")]
            for line in block.strip().splitlines()
        )
        found.append(
            [
                dict(
                    zip(
                        (cell.strip("| ") for cell in head),
                        (cell.strip("| ") for cell in row),
                        strict=True,
                    )
                )
                for row in rows
            ]
        )
    return found


def table(page: str, first_column: str) -> list[dict[str, str]]:
    """The table whose first column has this head."""
    return next(rows for rows in tables(page) if next(iter(rows[0])) == first_column)


def names(page: str, first_column: str) -> list[str]:
    """The names in backticks in the first column of that table."""
    return [
        name
        for row in table(page, first_column)
        for name in re.findall(r"`(?:--)?(\w+)", row[first_column])
    ]


def node_of(key: str) -> Node:
    node: Node = SETTINGS
    for part in key.split("."):
        assert isinstance(node, Table)
        node = node.keys[part]
    return node


def default_of(key: str) -> Any:
    value: Any = Config()
    for part in key.split("."):
        value = (
            value.states[part]
            if hasattr(value, "states") and part in value.states
            else getattr(value, part)
        )
    return value


def check_of(key: str) -> Callable[[Any, bool], Any]:
    node = node_of(key)
    assert callable(node)
    return node


def accepted(key: str) -> str:
    """What a setting accepts by the message of its check, in the words of the table."""
    try:
        check_of(key)(object(), False)
    except InvalidValue as error:
        words = re.sub(r" \(a (number|whole number),.*\)", "", error.expected)
        words = re.sub(r"^a duration from (\S+) to (\S+) seconds$", r"\1 to \2 s", words)
        return re.sub(r"^a (?:whole number|size) from (\S+) to (\S+)", r"\1 to \2", words)
    raise AssertionError(key)


SETTINGS_TABLE = {
    row["setting"].strip("`"): row for row in table("reference/configuration.md", "setting")
}


def test_every_setting_has_a_row() -> None:
    assert sorted(SETTINGS_TABLE) == sorted(
        key for key in known_keys() if not isinstance(node_of(key), Table)
    )


@pytest.mark.parametrize("key", SETTINGS_TABLE)
def test_row_of_a_setting(key: str) -> None:
    row = SETTINGS_TABLE[key]
    assert row["environment"] == f"`ELIHU_{key.upper().replace('.', '__')}`"
    if isinstance(node_of(key), Named):
        assert row["accepts"].startswith("names, each with a ")
        assert row["default"] == ("`default=10`" if key == "queues" else "none")
        return
    check_default(key, row["default"])
    if key != "database_url":
        assert row["accepts"] == accepted(key)


def check_default(key: str, cell: str) -> None:
    default = default_of(key)
    assert (
        (cell == "none") if default is None else (check_of(key)(cell.strip("`"), True) == default)
    )


def test_queues_default() -> None:
    assert dict(Config().queues) == {"default": 10}


def test_defaults_of_the_table_of_times() -> None:
    timing = table("operate/nodes.md", "what")
    assert timing
    for row in timing:
        check_default(row["setting"].strip("`"), row["default"])


def test_options_of_tasks() -> None:
    assert sorted(names("guides/tasks.md", "option")) == sorted(TaskKeywords.__optional_keys__)


def test_options_of_using() -> None:
    assert sorted(names("guides/enqueueing.md", "option of `using`")) == sorted(
        UsingKeywords.__optional_keys__
    )


def test_options_of_unique() -> None:
    assert names("guides/uniqueness.md", "of `Unique`") == [field.name for field in fields(Unique)]


def test_fields_of_a_job() -> None:
    assert sorted(names("operate/jobs.md", "field of a job")) == sorted(
        field.name for field in fields(Job)
    )


def test_fields_of_a_template() -> None:
    assert sorted(names("guides/templates.md", "field of a template")) == sorted(
        field.name for field in fields(Template)
    )


def test_ways_to_run() -> None:
    assert names("guides/templates.md", "`run`") == list(get_args(When))


def test_results_of_a_run() -> None:
    assert set(names("operate/jobs.md", "outcome of a run")) == set(RunOutcome)


def test_states() -> None:
    assert names("start/how-it-works.md", "state") == [state.value for state in JobState]


def test_tree_of_errors() -> None:
    drawn = re.findall(
        r"^[│├└─ ]*([A-Z]\w+)(?: \((\w+)\))? ",
        (DOCS / "reference/errors.md").read_text().split("```")[1],
        re.MULTILINE,
    )
    kinds = [
        kind
        for kind in vars(elihu.errors).values()
        if isinstance(kind, type) and issubclass(kind, ElihuError)
    ]
    assert [name for name, _ in drawn] == [
        kind.__name__ for kind in kinds if kind is not ElihuError
    ]
    for name, builtin in drawn:
        assert [base.__name__ for base in getattr(elihu.errors, name).__bases__][1:] == (
            [builtin] if builtin else []
        )


def test_errors_of_the_advice() -> None:
    for name in names("reference/errors.md", "error"):
        assert hasattr(elihu.errors, name)


def test_commands() -> None:
    rows = table("reference/command-line.md", "command")
    written = {
        row["command"].strip("`").removeprefix("elihu "): row["what it does"] for row in rows
    }
    assert sorted(written) == sorted(COMMANDS)
    for name, text in written.items():
        command = cli.get_command(click.Context(cli), name)
        if isinstance(command, click.Group):
            (listed,) = re.findall(r"`([a-z -]+)`$", text)
            assert sorted(listed.split()) == sorted(command.commands), name


def test_shared_options() -> None:
    command = cli.get_command(click.Context(cli), "enqueue")
    assert command is not None
    written = names("reference/command-line.md", "option")
    flags = {f"--{name}" for name in written}
    assert flags == {"--app", "--database", "--schema", "--json"}
    for shared_by in (cli, command):
        assert flags <= {flag for option in shared_by.params for flag in option.opts}


def test_counts_of_the_oracle() -> None:
    counts = [row["count"] for row in table("operate/promises.md", "count")]
    assert counts == list(oracle.table.HEAD[4:-1])


def test_experiments_of_the_oracle() -> None:
    results = [rows for rows in tables("reliability/results.md") if "fault" in rows[0]]
    assert list(results[0][0]) == list(oracle.table.HEAD)
    known = {scenario.name for scenario in SCENARIOS}
    assert {row["fault"] for rows in results for row in rows} <= known
    mutants = {row["mutant"] for row in table("reliability/results.md", "mutant")}
    assert mutants <= set(MUTANTS)
