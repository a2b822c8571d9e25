"""``elihu tick``."""

import json

from tests.cli.shell import Shell


def test_printed_counts(shop: Shell) -> None:
    for task in ("brief", "fail", "once"):
        shop("enqueue", task, *(["--args", "[1]"] if task == "once" else []))
    done = shop.run("tick", "--limit", "2")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "brief job ran",
        (
            '{"start": {"ok": 1, "error": 1}, "expire": {"ok": 0, "error": 0}, "staged": 0, '
            '"cron": 0, "pruned": 0}'
        ),
    ]
    assert "job 2 (fail) failed in attempt 1 of 1 and is discarded" in done.stderr
    assert json.loads(shop("tick", "--json"))["start"] == {"ok": 1, "error": 0}
    assert shop.json("nodes", "ls") == []


def test_wrong_use(shop: Shell) -> None:
    assert "limit: expected a whole number from 1 to 10,000, got 0" in shop.refused(
        "tick", "--limit", "0", status=2
    )
    assert "'many' is not a valid integer" in shop.refused("tick", "--limit", "many", status=2)
    del shop.environ["ELIHU_APP"]
    assert "app: expected --app module:attribute" in shop.refused("tick", status=2)


def test_unavailable_database(bare: Shell) -> None:
    bare.environ |= {
        "ELIHU_APP": "shop:app",
        "ELIHU_DATABASE_URL": "postgresql://127.0.0.1:1/x",
        "ELIHU_CALL_TIMEOUT": "1",
    }
    done = bare.run("tick")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
