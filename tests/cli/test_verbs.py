"""Commands and their output, on both engines."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from elihu.engines.sqlite.migrations import NEWEST
from tests.cli.shell import Shell


def test_migrate_twice(shell: Shell, database_url: str) -> None:
    tables = database_url + ("" if database_url.startswith("sqlite") else " (schema elihu)")
    assert shell("migrate") == f"{tables}: migrated to version {NEWEST}\n"
    assert shell("migrate") == f"{tables}: up to date\n"
    assert shell.json("migrate") == {"database": database_url, "schema": "elihu", "applied": []}


def test_migrate_prints_its_sql_and_changes_nothing(shell: Shell) -> None:
    script = shell("migrate", "--sql")
    assert "CREATE TABLE" in script
    assert shell.json("migrate")["applied"] == list(range(1, NEWEST + 1))


def test_enqueue_with_keywords_positions_and_stdin(shop: Shell) -> None:
    assert shop("enqueue", "shop.add", "--args", '{"a": 1}') == "1\n"
    assert shop("enqueue", "shop.add", "--args", "[1, 5]") == "2\n"
    assert shop("enqueue", "shop.add", "--args", "-", text='{"a": 7}') == "3\n"
    stored = [job["args"] for job in reversed(shop.json("jobs", "ls")["items"])]
    assert stored == [{"a": 1, "b": 2}, {"a": 1, "b": 5}, {"a": 7, "b": 2}]


def test_enqueue_with_options(shop: Shell) -> None:
    job = shop.json(
        "enqueue", "brief", "--queue", "mail", "--priority", "3", "--max-attempts", "4",
        "--delay", "1h", "--tag", "Vip", "--tag", "b", "--meta", '{"by": "me"}',
    )  # fmt: skip
    assert job == {"id": 1, "state": "scheduled", "queue": "mail", "conflict": False}
    shown = shop.json("jobs", "show", "1")
    assert (shown["priority"], shown["max_attempts"], shown["meta"]) == (3, 4, {"by": "me"})
    assert set(shown["tags"]) == {"vip", "b"}
    wait = datetime.fromisoformat(shown["scheduled_at"]) - datetime.fromisoformat(
        shown["inserted_at"]
    )
    assert abs(wait - timedelta(hours=1)) < timedelta(seconds=5)


def test_enqueue_with_run_at_delay_and_hold(shop: Shell) -> None:
    shop("enqueue", "brief", "--run-at", "2099-01-31T08:00:00+02:00")
    assert datetime.fromisoformat(shop.json("jobs", "show", "1")["scheduled_at"]) == datetime(
        2099, 1, 31, 6, tzinfo=UTC
    )
    assert shop.json("enqueue", "brief", "--delay", "90")["state"] == "scheduled"
    assert shop.json("enqueue", "brief", "--hold")["state"] == "suspended"


def test_enqueue_of_a_duplicate(shop: Shell) -> None:
    assert shop.json("enqueue", "once", "--args", "[1]") == {
        "id": 1,
        "state": "available",
        "queue": "default",
        "conflict": False,
    }
    assert shop.json("enqueue", "once", "--args", "[1]")["conflict"] is True
    done = shop.run("enqueue", "once", "--args", "[1]")
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert done.stderr == "elihu: no job stored: job 1 has the same unique key\n"


@pytest.mark.parametrize(
    ("arguments", "expected", "status"),
    [
        (["shop.add"], "a", 1),
        (["shop.add", "--args", '{"a": "x"}'], "a", 1),
        (["shop.add", "--args", '{"a": 1, "zzz": 1}'], "zzz", 1),
        (
            ["brief", "--priority", "10"],
            "Error: --priority: expected a whole number from 0 to 9, got 10",
            2,
        ),
        (["brief", "--wait", "--within", "-1"], "Error: --within: expected a duration", 2),
        (["brief", "--wait", "--within", "soon"], "Error: --within: expected a duration", 2),
        (["brief", "--delay", "soon"], "Error: --delay: expected a duration", 2),
        (
            ["brief", "--run-at", "2099-01-31T08:00:00"],
            "Error: --run-at: expected a time with a UTC offset, such as",
            2,
        ),
        (
            ["brief", "--delay", "1", "--run-at", "2099-01-31T08:00:00Z"],
            "Error: expected --delay or --run-at, got both",
            2,
        ),
        (["brief", "--meta", "[1]"], "Error: --meta: expected a dictionary", 2),
        (["brief", "--queue", ""], "queue", 2),
        (["nothing"], "nothing", 1),
    ],
)
def test_refused_enqueue(shop: Shell, arguments: list[str], expected: str, status: int) -> None:
    shop("migrate")
    assert expected in shop.refused("enqueue", *arguments, status=status)
    assert shop.json("jobs", "ls")["items"] == []


def test_jobs_ls(shop: Shell) -> None:
    for number in range(3):
        shop("enqueue", "shop.add", "--args", f"[{number}]", "--tag", f"t{number}")
    shop("enqueue", "mailed")
    lines = shop("jobs", "ls").splitlines()
    assert lines[0].split() == [
        "id",
        "state",
        "queue",
        "task",
        "attempt",
        "priority",
        "scheduled_at",
        "tags",
        "duration",
        "error",
    ]
    assert [line.split()[0] for line in lines[1:]] == ["4", "3", "2", "1"]
    assert lines[1].split()[1:6] == ["available", "mail", "mailed", "0/20", "0"]

    def ids(*arguments: str) -> list[int]:
        return [job["id"] for job in shop.json("jobs", "ls", *arguments)["items"]]

    assert ids("1", "3") == [3, 1]
    assert ids("--queue", "mail") == [4]
    assert ids("--queue", "mail", "--queue", "default", "--task", "mailed") == [4]
    assert ids("--tag", "t0", "--tag", "t2") == [3, 1]
    assert ids("--state", "completed") == []
    assert ids("--node", "00000000-0000-0000-0000-000000000000") == []
    page = shop.json("jobs", "ls", "--limit", "2")
    assert ([job["id"] for job in page["items"]], page["next"]) == ([4, 3], 3)
    assert ids("--limit", "2", "--after", "3") == [2, 1]
    done = shop.run("jobs", "ls", "--limit", "2")
    assert done.stderr == "elihu: more jobs: add --after 3\n"


def test_jobs_since_a_time(shop: Shell) -> None:
    shop("enqueue", "brief")
    assert len(shop.json("jobs", "ls", "--since", "1h")["items"]) == 1
    assert shop.json("jobs", "ls", "--since", "2099-01-31T08:00:00Z")["items"] == []
    assert "--since: expected a time" in shop.refused("jobs", "ls", "--since", "soon", status=2)


def test_lists_leave_out_what_is_of_the_system(shop: Shell) -> None:
    shop("enqueue", "brief", "--queue", "commands_dispatch")
    shop("enqueue", "brief")
    shop("crons", "create", "own", "@daily", "brief")
    shop("crons", "create", "theirs", "@daily", "brief", "--queue", "commands")

    def ids(*flags: str) -> list[int]:
        return [job["id"] for job in shop.json("jobs", "ls", *flags)["items"]]

    assert ids() == [2]
    assert ids("--state", "available") == [2]
    assert ids("--system") == [2, 1]
    assert ids("--queue", "commands_dispatch") == [1]
    assert ids("1") == [1]
    assert [each["name"] for each in shop.json("crons", "ls")] == ["own"]
    assert [each["name"] for each in shop.json("crons", "ls", "--system")] == ["own", "theirs"]


def test_tasks_ls(shop: Shell) -> None:
    shop("enqueue", "mailed")
    found = {each["name"]: each for each in shop.json("tasks", "ls")}
    assert found["mailed"] == {
        "name": "mailed",
        "aliases": [],
        "queue": "mail",
        "run_in": "loop",
        "max_attempts": 20,
        "timeout": None,
        "unfinished": 1,
    }
    assert shop("tasks", "ls").split()[:6] == [
        "name",
        "queue",
        "run_in",
        "max_attempts",
        "timeout",
        "unfinished",
    ]


def test_jobs_show(shop: Shell) -> None:
    shop("enqueue", "shop.add", "--args", "[1]")
    rows = dict(line.split(maxsplit=1) for line in shop("jobs", "show", "1").splitlines())
    assert (rows["id"], rows["state"], rows["task"], rows["node"]) == (
        "1",
        "available",
        "shop.add",
        "-",
    )
    assert shop.json("jobs", "show", "1")["finished_at"] is None
    assert "job 99 not found" in shop.refused("jobs", "show", "99", status=1)


def test_control_characters_of_jobs_are_escaped(shop: Shell) -> None:
    shop("enqueue", "brief", "--queue", "[red]x[/red]", "--meta", '{"a": "\\u001b[31m\\nline"}')
    assert "[red]x[/red]" in shop("jobs", "ls")
    shown = shop("jobs", "show", "1")
    assert "\x1b" not in shown
    assert "\\u001b[31m\\nline" in shown


def test_jobs_runs_and_position(shop: Shell) -> None:
    shop("enqueue", "brief")
    shop("enqueue", "brief", "--priority", "1")
    shop("enqueue", "brief", "--hold")
    assert shop("jobs", "position", "1") == "1\n"
    assert shop.json("jobs", "position", "2") == {"position": 2}
    assert shop("jobs", "position", "3") == "none\n"
    assert shop.json("jobs", "runs", "1") == []
    assert shop("jobs", "runs", "1").split() == [
        "id",
        "attempt",
        "node",
        "started_at",
        "duration",
        "outcome",
        "reason",
        "error",
    ]
    for command in ("runs", "position"):
        assert "job 99 not found" in shop.refused("jobs", command, "99", status=1)


def test_commands_that_change_jobs(shop: Shell) -> None:
    for _ in range(4):
        shop("enqueue", "brief", "--tag", "many")

    def states() -> list[str]:
        return [job["state"] for job in reversed(shop.json("jobs", "ls")["items"])]

    assert shop("jobs", "hold", "1", "2") == "2 jobs held\n"
    assert states() == ["suspended", "suspended", "available", "available"]
    assert shop("jobs", "release", "1") == "1 job released\n"
    assert shop("jobs", "cancel", "--state", "suspended") == "1 job cancelled\n"
    assert states() == ["available", "cancelled", "available", "available"]
    assert shop.json("jobs", "cancel", "--tag", "many", "--queue", "default") == {
        "cancelled": 3,
        "cancelling": 0,
    }
    assert shop("jobs", "retry", "2") == "1 job retried\n"
    assert shop("jobs", "delete", "2", "3", "99") == "2 jobs deleted\n"
    assert shop("jobs", "delete", "--task", "nothing") == "0 jobs deleted\n"
    assert states() == ["cancelled", "cancelled"]


def test_ids_that_change_nothing_fail(bare: Shell) -> None:
    bare.environ["ELIHU_APP"] = "shop:app"
    bare("enqueue", "brief")
    bare("enqueue", "brief", "--hold")
    expected = (
        "elihu: no job released: job 1 is available, release does not apply; job 99 not found\n"
    )
    assert bare.refused("jobs", "release", "1", "99", "1", status=1) == expected
    done = bare.run("jobs", "release", "1", "99", "--json")
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (1, {"released": 0}, expected)
    assert bare("jobs", "release", "1", "2") == "1 job released\n"
    assert bare("jobs", "release", "1", "--queue", "default") == "0 jobs released\n"
    assert bare("jobs", "release", "--state", "completed") == "0 jobs released\n"
    many = [str(number) for number in range(100, 130)]
    assert bare.refused("jobs", "hold", *many, status=1).endswith(
        "job 119 not found; and 10 more\n"
    )


def test_counts(shop: Shell) -> None:
    assert shop.json("jobs", "counts") == {}
    shop("enqueue", "brief")
    shop("enqueue", "brief", "--hold")
    shop("enqueue", "mailed")
    assert shop.json("jobs", "counts") == {
        "default": {"available": 1, "suspended": 1},
        "mail": {"available": 1},
    }
    assert [line.split()[:4] for line in shop("jobs", "counts").splitlines()] == [
        ["queue", "suspended", "scheduled", "available"],
        ["default", "1", "0", "1"],
        ["mail", "0", "0", "1"],
    ]


def test_update(shop: Shell) -> None:
    shop("enqueue", "shop.add", "--args", "[1]", "--tag", "old")
    assert (
        shop(
            "jobs", "update", "1", "--priority", "3", "--queue", "mail", "--tag", "a", "--tag", "B"
        )
        == "job 1 updated, available\n"
    )
    job = shop.json(
        "jobs", "update", "1", "--args", '{"a": 7}', "--max-attempts", "4", "--meta", '{"by": "me"}'
    )
    assert (job["args"], job["max_attempts"], job["meta"]) == ({"a": 7, "b": 2}, 4, {"by": "me"})
    assert (job["priority"], job["queue"], sorted(job["tags"])) == (3, "mail", ["a", "b"])
    job = shop.json("jobs", "update", "1", "--run-at", "2099-01-31T08:00:00+02:00")
    assert (job["state"], job["scheduled_at"]) == ("scheduled", "2099-01-31T06:00:00Z")
    assert "Error: --priority: expected a whole number" in shop.refused(
        "jobs", "update", "1", "--priority", "10", status=2
    )
    assert "b: expected" in shop.refused(
        "jobs", "update", "1", "--args", '{"a": 1, "b": "x"}', status=1
    )
    assert "job 99 not found" in shop.refused("jobs", "update", "99", "--priority", "1", status=1)


def test_nodes_ls_without_nodes(shop: Shell) -> None:
    assert shop("nodes", "ls").split() == [
        "id",
        "name",
        "started_at",
        "beat_at",
        "leader",
        "running",
        "abandoned",
    ]
    assert shop.json("nodes", "ls") == []


def test_missing_tables(shell: Shell, database_url: str) -> None:
    if database_url.startswith("postgresql"):
        assert 'run "elihu migrate"' in shell.refused("jobs", "ls", status=1)
        assert 'run "elihu migrate"' in shell.refused(
            "--app", "shop:app", "enqueue", "brief", status=1
        )
    else:
        assert shell("--app", "shop:app", "enqueue", "brief") == "1\n"


def test_schema_option(shop: Shell) -> None:
    shop("migrate", "--schema", "billing")
    shop("enqueue", "brief", "--schema", "billing")
    assert len(shop.json("jobs", "ls", "--schema", "billing")["items"]) == 1
    assert shop.json("jobs", "ls")["items"] == []


def test_a_filter_that_names_nothing_known_says_so(shop: Shell) -> None:
    shop("enqueue", "brief")
    done = shop.run("jobs", "ls", "--task", "brie", "--queue", "defalt", "--state", "completed")
    assert done.returncode == 0
    assert "elihu: no job of --task 'brie' is stored; did you mean 'brief'?\n" in done.stderr
    assert "elihu: no job of --queue 'defalt' is stored; did you mean 'default'?\n" in done.stderr
    assert shop.run("jobs", "ls", "--task", "brief", "--state", "completed").stderr == ""
    changed = shop.run("jobs", "cancel", "--tag", "none", "--yes")
    assert "no job of --tag 'none' is stored\n" in changed.stderr
