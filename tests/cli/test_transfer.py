"""``elihu jobs export`` and ``import``: every unfinished job arrives once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from elihu import Elihu
from tests.cli.shell import BOUND, Shell

MANY = 3_000


@pytest.fixture(params=["sqlite to postgres", "postgres to sqlite", "schema to schema"])
def way(request: pytest.FixtureRequest, bare: Shell) -> tuple[Shell, list[str], list[str]]:
    """A shell, and the options of the database that jobs leave and of the one they enter."""
    here = ["--database", f"sqlite:///{bare.folder}/x.db"]
    bare.environ["ELIHU_APP"] = "shop:app"
    there = ["--database", str(request.getfixturevalue("new_postgres_url"))]
    source, target = {
        "sqlite to postgres": (here, there),
        "postgres to sqlite": (there, here),
        "schema to schema": (there, [*there, "--schema", "other"]),
    }[request.param]
    bare("migrate", *source)
    bare("migrate", *target)
    return bare, source, target


def jobs(shell: Shell, options: list[str]) -> list[dict[str, Any]]:
    kept = (
        "task", "queue", "state", "priority", "args", "tags", "meta", "scheduled_at", "expires_at",
        "identifier", "unique_key",
    )  # fmt: skip
    found = shell.json("jobs", "ls", *options)["items"][::-1]
    for job in found:
        job["unique_key"] = job["unique_key"] and job["unique_key"][:64]
    return [{name: job[name] for name in kept} for job in found]


def test_every_unfinished_job_moves_as_it_is(
    way: tuple[Shell, list[str], list[str]], tmp_path: Path
) -> None:
    shell, source, target = way
    shell("enqueue", "shop.add", "--args", '{"a": 1}', "--tag", "x", "--meta", '{"é": 1}', *source)
    shell("enqueue", "brief", "--delay", "1h", "--expires", "2h", "--priority", "3", *source)
    shell("enqueue", "mailed", "--hold", "--timeout", "9s", *source)
    shell("enqueue", "once", "--args", "[7]", *source)
    shell("enqueue", "brief", *source)
    shell("jobs", "cancel", "5", *source)
    before = jobs(shell, source)[:4]
    done = shell.run("jobs", "export", *source)
    assert (done.returncode, done.stderr) == (0, "elihu: 4 jobs written\n")
    assert json.loads(done.stdout.splitlines()[2])["options"] == {"timeout": 9.0}
    (tmp_path / "jobs.jsonl").write_text(done.stdout)
    assert shell.json("jobs", "import", str(tmp_path / "jobs.jsonl"), *target) == {
        "stored": 4,
        "known": 0,
        "conflicts": 0,
    }
    assert jobs(shell, target) == before
    assert shell("jobs", "import", "-", *target, text=done.stdout).startswith(
        "0 stored, 4 imported"
    )
    shell("jobs", "cancel", "--state", "available", "--yes", *target)
    assert shell("jobs", "import", "-", *target, text=done.stdout).startswith(
        "0 stored, 4 imported"
    )
    assert shell.json("enqueue", "once", "--args", "[7]", *source)["conflict"] is True


def test_the_occurrence_of_a_cron_job_moves(shop: Shell) -> None:
    other = ("--schema", "other")
    shop("migrate", *other)
    shop("enqueue", "brief")
    shop("enqueue", "once", "--args", "[7]")
    plain, once = map(json.loads, shop("jobs", "export").splitlines())
    assert plain.pop("occurrence") is None  # as earlier releases wrote it
    once["occurrence"] = "2030-01-01T03:00:00+00:00"
    text = f"{json.dumps(plain)}\n{json.dumps(once)}\n"
    assert shop("jobs", "import", "-", *other, text=text).startswith("2 stored")
    assert shop.json("jobs", "show", "1", *other)["occurrence"] is None
    assert shop.json("jobs", "show", "2", *other)["occurrence"] == "2030-01-01T03:00:00Z"
    again = json.loads(shop("jobs", "export", *other).splitlines()[1])
    assert again["occurrence"] == once["occurrence"]
    once["id"] = 99
    assert "1 with the unique key" in shop("jobs", "import", "-", *other, text=json.dumps(once))


def test_a_held_unique_key_and_lines_that_cannot_be_read(shop: Shell) -> None:
    shop("enqueue", "once", "--args", "[7]")
    line = shop("jobs", "export")
    other = json.loads(line) | {"installation": "another", "id": 9}
    assert shop.json("jobs", "import", "-") == {"stored": 0, "known": 0, "conflicts": 0}
    text = json.dumps(other)
    assert shop("jobs", "import", "-", text=text).startswith("0 stored, 0 imported before, 1 with")
    for wrong in ("{", "[]", "{}", '{"elihu": 2}', json.dumps(other | {"colour": 1})):
        done = shop.run("jobs", "import", "-", text=f"\n{wrong}\n")
        assert done.returncode == 1
        assert done.stderr.startswith("elihu: line 2: expected a job")


def test_an_import_that_is_killed_is_finished_by_the_next_one(shell: Shell) -> None:
    shell("migrate")
    database = shell.environ["ELIHU_DATABASE_URL"]
    lines = shell.folder / "jobs.jsonl"
    line = {
        "elihu": 1, "installation": "another", "state": "available", "queue": "default",
        "task": "brief", "priority": 0, "attempt": 0, "max_attempts": 20, "args": {},
        "options": None, "meta": None, "tags": [],
        "unique_key": None, "unique_window": None, "unique_scope": None,
        "scheduled_at": "2026-01-01T00:00:00+00:00", "expires_at": None, "awaited": False,
        "template": None, "identifier": None,
    }  # fmt: skip
    pipe_end, feed = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "elihu", "jobs", "import", "-"],
        cwd=shell.folder,
        env=shell.environ,
        stdin=pipe_end,
        stdout=subprocess.DEVNULL,
    )
    os.close(pipe_end)
    texts = [json.dumps(line | {"id": number}) for number in range(1, MANY + 1)]
    lines.write_text("\n".join(texts))
    app = Elihu(database)
    try:
        with os.fdopen(feed, "w") as pipe:
            pipe.write("\n".join(texts[: MANY // 2]) + "\n")
            pipe.flush()
            deadline = time.monotonic() + BOUND
            while not (half := app.run(app.jobs.count())):
                assert time.monotonic() < deadline
            process.send_signal(signal.SIGKILL)
            process.wait(BOUND)
    finally:
        process.kill()
        process.wait(BOUND)
    assert 0 < half < MANY
    shell("jobs", "import", str(lines))
    assert app.run(app.jobs.count()) == MANY
    app.run(app.aclose())


def test_executing_jobs_are_not_exported(shop: Shell) -> None:
    shop.environ["ELIHU_GRACE"] = "0.1"
    shop("enqueue", "long")
    node = shop.begin("start")
    node.wait_for("long job begins")
    assert "stop the nodes first" in shop.refused("jobs", "export", status=1)
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    assert len(shop("jobs", "export").splitlines()) == 1
