"""``elihu up`` and ``elihu start``: their output and their end."""

import os
import pty
import re
import select
import signal
import time

import pytest

from tests.cli.shell import BOUND, Shell

BLOCKED = """
import asyncio
from contextlib import asynccontextmanager
from elihu import Elihu


@asynccontextmanager
async def lifespan(app):
    print("lifespan begins", flush=True)
    await asyncio.Event().wait()
    yield


app = Elihu(lifespan=lifespan)
"""


def test_enqueue_with_wait_prints_the_result(shop: Shell) -> None:
    node = shop.begin("start")
    node.wait_for("node  ")
    assert shop("enqueue", "shop.add", "--args", "[1, 5]", "--wait", "--within", "20") == "6\n"
    assert shop("enqueue", "brief", "--wait", "--within", "20s") == "null\n"
    assert "elihu: job 3 failed: ValueError: a [red]bad[/red] thing\n" in shop.refused(
        "enqueue", "fail", "--wait", "--within", "20", status=1
    )
    late = shop.refused("enqueue", "brief", "--delay", "1h", "--wait", "--within", "0.1", status=1)
    assert late == "elihu: job 4 did not end within 0.1 s\n"
    node.signal(signal.SIGTERM)
    assert node.end() == 0


def test_start_runs_jobs_and_stops_gracefully(shop: Shell, database_url: str) -> None:
    node = shop.begin("start")
    assert node.wait_for("app  ").split(maxsplit=3)[3] == "shop:app (6 tasks)\n"
    tables = database_url + ("" if database_url.startswith("sqlite") else " (schema elihu)")
    assert node.wait_for("database  ").split(maxsplit=3)[3].strip() == tables
    assert node.wait_for("queues  ").split()[3] == "default=10"
    identity = node.wait_for("node  ").split()[3]
    assert [(each["id"], each["info"]["queues"]) for each in shop.json("nodes", "ls")] == [
        (identity, {"default": 10})
    ]
    shop("enqueue", "brief")
    node.wait_for("brief job ran")
    node.signal(signal.SIGTERM)
    node.wait_for("stopping: running jobs have 15 s to finish")
    assert node.end() == 0
    assert "all jobs finished" in node.seen[-1]
    assert "Traceback" not in node.errors
    assert shop.json("nodes", "ls") == []
    assert shop.json("jobs", "show", "1")["state"] == "completed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_returns_running_jobs(shop: Shell, number: signal.Signals) -> None:
    shop.environ["ELIHU_GRACE"] = "1h"
    node = shop.begin("start")
    shop("enqueue", "long")
    node.wait_for("long job begins")
    node.signal(number)
    node.wait_for("stopping")
    node.signal_until(number, "second signal: returning running jobs")
    assert node.end() == 0
    assert "1 job returned" in node.seen[-1]
    job = shop.json("jobs", "show", "1")
    assert (job["state"], job["attempt"]) == ("available", 0)
    assert [run["outcome"] for run in shop.json("jobs", "runs", "1")] == ["returned"]


def test_only_named_queues_are_served(shop: Shell) -> None:
    shop("enqueue", "mailed")
    shop("enqueue", "brief")
    node = shop.begin("start", "--queues", "default=1")
    node.wait_for("brief job ran")
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    assert "mail job ran\n" not in node.seen
    assert "not served" not in node.errors
    assert shop.json("jobs", "show", "1")["state"] == "available"


def test_unserved_queue_is_a_warning(shop: Shell) -> None:
    node = shop.begin("start")
    node.wait_for("node  ")
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    assert "queue 'mail' of task 'mailed' is not served by this node" in node.errors


def test_up_creates_tables_without_an_app(shell: Shell) -> None:
    node = shell.begin("up")
    node.wait_for("app       none: this node runs commands alone")
    assert node.wait_for("tables  ").split(maxsplit=3)[3].startswith("migrated to version ")
    assert "; made a key for secrets in " in node.wait_for("commands  tables migrated to version ")
    assert node.wait_for("queues  ").split(maxsplit=3)[3] == (
        "commands_dispatch=4, commands=10, commands_alerts=4\n"
    )
    node.wait_for("node  ")
    node.signal(signal.SIGINT)
    assert node.end() == 0
    assert "has no tasks" not in node.errors
    again = shell.begin("up", "--queues", "a=1,b=2")
    again.wait_for("app       none: this node knows no tasks and runs no jobs")
    assert again.wait_for("tables  ").split(maxsplit=3)[3] == "up to date\n"
    assert again.wait_for("queues  ").split(maxsplit=3)[3] == "a=1, b=2\n"
    again.wait_for("node  ")
    again.signal(signal.SIGTERM)
    assert again.end() == 0
    assert "this app has no tasks" in again.errors


def test_up_without_an_app_leaves_jobs_alone(shop: Shell) -> None:
    shop("enqueue", "brief")
    del shop.environ["ELIHU_APP"]
    node = shop.begin("up")
    node.wait_for("node  ")
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    assert shop.json("jobs", "show", "1")["state"] == "available"
    assert shop.json("jobs", "runs", "1") == []


def test_app_without_tasks_is_a_warning(shell: Shell) -> None:
    (shell.folder / "empty.py").write_text("from elihu import Elihu\napp = Elihu()\n")
    shell.environ["ELIHU_APP"] = "empty:app"
    shell("migrate")
    node = shell.begin("start")
    assert node.wait_for("app  ").split(maxsplit=3)[3] == "empty:app (0 tasks)\n"
    node.wait_for("node  ")
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    assert node.errors.count("this app has no tasks") == 1


def test_up_with_app_from_a_file(bare: Shell) -> None:
    (bare.folder / "elihu.toml").write_text('app = "shop:app"\n[queues]\nmail = 2\n')
    bare("enqueue", "mailed")
    node = bare.begin("up")
    node.wait_for(f"sqlite:///{bare.folder}/elihu.db")
    node.wait_for(f"{bare.folder}/elihu.toml")
    node.wait_for("mail job ran")
    node.signal(signal.SIGTERM)
    assert node.end() == 0


def test_failed_job_is_shown_in_runs(shop: Shell) -> None:
    node = shop.begin("start")
    node.wait_for("node  ")
    shop("enqueue", "fail")
    shop("enqueue", "brief")
    node.wait_for("brief job ran")
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    assert shop.json("jobs", "show", "1")["state"] == "discarded"
    assert "a [red]bad[/red] thing" in shop("jobs", "runs", "1")


def test_progress_lines_without_a_terminal(bare: Shell) -> None:
    bare.environ["ELIHU_APP"] = "shop:app"
    node = bare.begin("start")
    node.wait_for("node  ")
    bare("enqueue", "brief")
    line = node.wait_for("jobs  ")
    assert "completed 1" in line
    node.signal(signal.SIGTERM)
    assert node.end() == 0


def test_live_display_on_a_terminal(shop: Shell) -> None:
    shop("enqueue", "brief")
    master, slave = pty.openpty()
    process = shop.start("start", streams=(slave,) * 3, TERM="xterm", COLUMNS="100")
    os.close(slave)
    try:
        screen = read_until(master, "completed 1")
        assert "\x1b[" in screen
        process.send_signal(signal.SIGTERM)
        read_until(master, "all jobs finished")
        assert process.wait(BOUND) == 0
    finally:
        process.kill()
        process.wait(BOUND)
        os.close(master)


def test_live_display_on_a_narrow_terminal(bare: Shell) -> None:
    bare.environ["ELIHU_APP"] = "shop:app"
    for queue in ("default", "x"):
        bare("enqueue", "brief", "--queue", queue)
    bare("enqueue", "brief", "--hold")
    master, slave = pty.openpty()
    process = bare.start("start", streams=(slave,) * 3, TERM="xterm", COLUMNS="30")
    os.close(slave)
    try:
        read_until(master, "…")
        process.send_signal(signal.SIGINT)
        screen = read_until(master, "all jobs finished")
        assert process.wait(BOUND) == 0
    finally:
        process.kill()
        process.wait(BOUND)
        os.close(master)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen).replace("\r", "\n").splitlines()
    assert any(" stopping: " in line for line in plain)
    assert all(len(line) <= 30 for line in plain if line.startswith("jobs  "))
    assert not any("jobs  " in line and "stop" in line for line in plain)


def test_cancel_counts_running_jobs_separately(shop: Shell) -> None:
    node = shop.begin("start")
    shop("enqueue", "long")
    node.wait_for("long job begins")
    shop("enqueue", "mailed")
    assert (
        shop("jobs", "cancel", "--task", "long", "--task", "mailed")
        == "1 job cancelled, cancelling 1 running job\n"
    )
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    assert {job["state"] for job in shop.json("jobs", "ls")["items"]} == {"cancelled"}


def test_runs_as_table_and_in_full(bare: Shell) -> None:
    bare.environ["ELIHU_APP"] = "shop:app"
    bare("enqueue", "fail")
    bare("enqueue", "brief")
    node = bare.begin("start", "--queues", "default=1")
    node.wait_for("brief job ran")
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    (run,) = bare.json("jobs", "runs", "1")
    row = bare("jobs", "runs", "1").splitlines()[1]
    assert re.fullmatch(
        rf"1\.1  1  +{run['node'][:8]}  .*\d\.\d{{3}}Z  \d+ ms +failed +-  +"
        r"ValueError: a \[red\]bad\[/red\] thing",
        row,
    )
    full = bare("jobs", "runs", "1", "--full")
    assert run["node"] in full
    assert "\n    Traceback (most recent call last):\n" in full
    assert "\n    ValueError: a [red]bad[/red] thing\n" in full


def test_start_without_tables_names_migrate(bare: Shell, postgres_url: str) -> None:
    bare.environ["ELIHU_DATABASE_URL"] = postgres_url
    done = bare.run("--app", "shop:app", "start")
    assert done.returncode == 1
    assert 'run "elihu migrate"' in done.stderr
    assert "Traceback" not in done.stderr


def test_signal_during_startup_ends_the_command(bare: Shell) -> None:
    (bare.folder / "blocked.py").write_text(BLOCKED)
    node = bare.begin("--app", "blocked:app", "up")
    node.wait_for("lifespan begins")
    node.signal(signal.SIGINT)
    assert node.end() == 1
    assert "Traceback" not in node.errors


def read_until(descriptor: int, text: str) -> str:
    seen = b""
    deadline = time.monotonic() + BOUND
    while text.encode() not in seen:
        ready = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]
        assert ready, f"expected {text!r}, got {seen!r}"
        try:
            seen += os.read(descriptor, 65_536)
        except OSError as error:
            raise AssertionError(f"expected {text!r}, got {seen!r}") from error
    return seen.decode(errors="replace")


def test_start_serves_queues_of_the_scheduler_without_an_app(shell: Shell) -> None:
    refused = shell.refused("start", "--queues", "commands=3,mail=1", status=2)
    assert "app: expected --app" in refused
    shell("migrate")
    absent = shell.run("start", "--queues", "commands=3")
    assert absent.returncode == 1
    assert "migrate --commands" in absent.stderr
    shell("migrate", "--commands")
    node = shell.begin("start", "--queues", "commands=3,commands_alerts=1")
    node.wait_for("app       none: this node runs commands alone")
    assert node.wait_for("queues  ").split(maxsplit=3)[3] == "commands=3, commands_alerts=1\n"
    node.wait_for("node  ")
    node.signal(signal.SIGTERM)
    assert node.end() == 0


def without(shell: Shell, package: str) -> None:
    """Make the imports of a package fail as if it were not installed."""
    absent = shell.folder / "absent" / package
    absent.mkdir(parents=True)
    (absent / "__init__.py").write_text(
        f"raise ModuleNotFoundError('No module named {package}', name={package!r})\n"
    )
    shell.environ["PYTHONPATH"] = str(absent.parent)


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        ("commands ls", "sqlalchemy", "commands"),
        ("start --queues commands=2", "sqlalchemy", "commands"),
        ("users ls", "sqlalchemy", "web"),
        ("keys ls", "sqlalchemy", "web"),
        ("audit ls", "sqlalchemy", "web"),
        ("web", "fastapi", "web"),
    ],
)
def test_a_command_without_its_libraries_says_what_to_install(
    bare: Shell, command: str, package: str, extra: str
) -> None:
    without(bare, package)
    process = bare.begin_anew(*command.split())
    assert process.end() == 1
    assert process.errors == (
        f"elihu: expected the packages of elihu[{extra}], got no {package}: "
        f"pip install 'elihu[{extra}]'\n"
    )


def test_up_without_the_libraries_of_commands_says_so_and_goes_on(bare: Shell) -> None:
    without(bare, "sqlalchemy")
    node = bare.begin_anew("up")
    node.wait_for("commands  not served: sqlalchemy is missing, install elihu[commands]")
    assert node.wait_for("queues  ").split()[3] == "none"
    node.wait_for("node  ")
    node.signal(signal.SIGTERM)
    assert node.end() == 0


def test_up_with_a_key_of_the_wrong_form_is_refused(bare: Shell) -> None:
    bare.environ["ELIHU_SECRET_KEY"] = "c2hvcnQ="
    done = bare.run("up")
    assert done.returncode == 1
    assert "ELIHU_SECRET_KEY: expected keys of 32 bytes in base64" in done.stderr
    assert "c2hvcnQ=" not in done.stderr + done.stdout


def test_up_serves_the_scheduler_that_an_app_has_made(bare: Shell) -> None:
    (bare.folder / "own.py").write_text(
        "from elihu import Elihu\nfrom elihu.commands import CommandScheduler\n"
        "app = Elihu()\nscheduler = CommandScheduler(app)\n"
    )
    node = bare.begin("--app", "own:app", "up")
    queues = node.wait_for("queues  ").split(maxsplit=3)[3]
    assert queues == "commands_dispatch=4, commands=10, commands_alerts=4, default=10\n"
    node.wait_for("node  ")
    node.signal(signal.SIGTERM)
    assert node.end() == 0
