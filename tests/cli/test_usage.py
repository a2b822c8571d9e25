"""Wrong use exits with status 2 and says what was expected."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from elihu.cli.main import cli
from tests.cli.shell import BOUND, Shell

pytestmark = pytest.mark.sqlite_first


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["migrat"], "no such command 'migrat'; did you mean 'migrate'?"),
        (["zzz"], "no such command 'zzz'"),
        (["ls"], "no such command 'ls'; did you mean 'jobs ls'?"),
        (["cancel", "1"], "no such command 'cancel'; did you mean 'jobs cancel'?"),
        (["jobs", "canel"], "no such command 'canel'; did you mean 'cancel'?"),
        (["nodes", "lss"], "no such command 'lss'; did you mean 'ls'?"),
        (["jobs", "update", "1"], "expected at least one option to change, got none"),
        (["jobs", "update", "1", "--args", "[1]"], "--args: expected a JSON object, got a list"),
        (
            ["jobs", "update", "1", "--run-at", "2030-01-31T08:00:00"],
            "--run-at: expected a time with a UTC offset",
        ),
        (["jobs", "cancel"], "expected ids or a filter, got none"),
        (["jobs", "ls", "--state", "running"], "'running' is not one of 'suspended'"),
        (["jobs", "ls", "--limit", "0"], "0 is not in the range 1<=x<=1000"),
        (["jobs", "ls", "--limit", "1001"], "1001 is not in the range 1<=x<=1000"),
        (["jobs", "show"], "Missing argument 'ID'"),
        (["jobs", "show", "x"], "'x' is not a valid integer range"),
        (["jobs", "show", "0"], "0 is not in the range 1<=x<="),
        (["jobs", "show", "9" * 30], "is not in the range"),
        (["jobs", "cancel", "-1"], "No such option"),
        (["jobs", "frobnicate"], "no such command 'frobnicate'"),
        (["enqueue"], "Missing argument 'TASK'"),
        (["enqueue", "t", "--args", "{"], "--args: expected JSON, got '{'"),
        (["enqueue", "t", "--args", "5"], "--args: expected a JSON object or list, got '5'"),
        (["enqueue", "t", "--args", "[" * 100_000], "--args: expected JSON, got"),
        (
            ["enqueue", "t", "--within", "5"],
            "--within: expected together with --wait, got it alone",
        ),
        (["enqueue", "t", "--meta", "x"], "--meta: expected JSON, got 'x'"),
        (
            ["enqueue", "t", "--run-at", "soon"],
            "--run-at: expected a time with a UTC offset, such as 2030-01-31T08:00:00Z, got 'soon'",
        ),
        (
            ["enqueue", "t"],
            (
                "app: expected --app module:attribute, ELIHU_APP or app in a configuration file, "
                "got none (in a Django project, DJANGO_SETTINGS_MODULE names it)"
            ),
        ),
        (["start"], "app: expected --app module:attribute"),
        (
            ["--app", "shop", "jobs", "ls"],
            "app: expected text such as \"package.module:attribute\", got 'shop' (flag --app)",
        ),
        (
            ["--database", "mysql://u:hunter2@h/d", "jobs", "ls"],
            "got the scheme 'mysql' (flag --database)",
        ),
        (["jobs", "--database", "sqlite://", "ls"], "got a database in memory"),
        (["jobs", "ls", "--schema", "No"], "schema: expected a name of at most 41"),
        (
            ["up", "--queues", "default"],
            "queues: expected pairs such as \"default=10,mail=5\", got 'default' (flag --queues)",
        ),
        (
            ["up", "--queues", "default=0"],
            "queues.default: expected a whole number from 1 to 10,000, got 0 (flag --queues)",
        ),
        (["--json", "up"], "--json: expected a command that prints a table"),
        (["up", "--json"], "No such option"),
        (["migrate", "--sql", "--json"], "expected --sql or --json, got both"),
        ([], "Usage: "),
    ],
)
def test_wrong_use(
    arguments: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    monkeypatch.delenv("ELIHU_APP", raising=False)
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2, result.output
    assert expected in result.stderr
    assert "hunter2" not in result.output


def test_wrong_settings_in_environment_and_file(bare: Shell) -> None:
    bare.environ["ELIHU_POLL"] = "x"
    assert "poll: expected a duration" in bare.refused("jobs", "ls", status=1)
    del bare.environ["ELIHU_POLL"]
    bare.environ["ELIHU_POL"] = "5"
    assert "did you mean ELIHU_POLL?" in bare.refused("jobs", "ls", status=1)
    del bare.environ["ELIHU_POL"]
    (bare.folder / "elihu.toml").write_text("pol = 5\n")
    assert f"(file {bare.folder / 'elihu.toml'}); did you mean poll?" in bare.refused(
        "jobs", "ls", status=1
    )


@pytest.mark.parametrize(
    "url", ["postgresql://nobody:hunter2@127.0.0.1:1/nowhere", "sqlite:////nowhere/at/all.db"]
)
@pytest.mark.parametrize("command", [("migrate",), ("jobs", "ls"), ("nodes", "ls"), ("up",)])
def test_unreachable_database(bare: Shell, url: str, command: tuple[str, ...]) -> None:
    bare.environ["ELIHU_DATABASE_URL"] = url
    done = bare.run(*command)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert done.stderr.splitlines()[-1].startswith("elihu: ")


@pytest.mark.parametrize(
    "arguments", [("--help",), ("jobs", "--help"), ("jobs", "ls"), ("migrate",), ("up",)]
)
def test_failed_output_is_a_one_line_error(bare: Shell, arguments: tuple[str, ...]) -> None:
    bare("migrate")
    with open("/dev/full", "w") as full:  # noqa: PTH123 (a device)
        done = subprocess.run(
            [sys.executable, "-m", "elihu", *arguments],
            cwd=bare.folder, env=bare.environ, stdout=full, stderr=subprocess.PIPE,
            text=True, check=False, timeout=BOUND,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "elihu: standard output: No space left on device\n"
